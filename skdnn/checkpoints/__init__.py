"""Checkpoints: save a training to a file, and resume it."""

from ._checkpoint import Checkpoint, Journal, open_journal
from ._fingerprint import describe, digest_of
from ._replacing import replaceable_path, replacing

__all__ = [
    "Checkpoint",
    "Journal",
    "describe",
    "digest_of",
    "open_journal",
    "replaceable_path",
    "replacing",
]
