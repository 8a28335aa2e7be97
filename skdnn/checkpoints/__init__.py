"""Checkpoints: save the training state of a fit, and resume an interrupted fit."""

from ._atomic_replace import replace_atomically, replaceable_path
from ._checkpoint import Checkpoint, CheckpointFile, open_checkpoint
from ._fingerprint import describe, digest_of

__all__ = [
    "Checkpoint",
    "CheckpointFile",
    "describe",
    "digest_of",
    "open_checkpoint",
    "replace_atomically",
    "replaceable_path",
]
