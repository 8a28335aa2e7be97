"""What an image that cannot be read is told as: its name, and one of four types of error."""

import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

# Errors that keep their type when they get the name of the image; all others are ValueErrors.
_KEPT: tuple[type[Exception], ...] = (FileNotFoundError, TypeError, MemoryError)
_PILLOWS_MODULES = re.compile(r"PIL\.")


def name_of(source: Any, index: int) -> str:
    """Name an image by its place in X and, if it has one, by its path."""
    path = None
    with suppress(Exception):  # attributes of strange objects raise what they like
        path = _path_of(source)
    return f"X[{index}] ({path!r})" if path and isinstance(path, str | bytes) else f"X[{index}]"


def _path_of(source):
    if isinstance(source, str | os.PathLike):
        return str(os.fsdecode(source))
    return getattr(source, "filename", None) or getattr(source, "name", None)


@contextmanager
def naming(source: Any, index: int) -> Iterator[None]:
    """Name the image in every error; leave four types of error of all that readers raise."""
    try:
        yield
    except Exception as error:  # Pillow's readers raise a dozen types for broken files.
        kept = [kind for kind in _KEPT if isinstance(error, kind)] or [ValueError]
        reason = str(error) or type(error).__name__
        raise kept[0](f"Cannot read {name_of(source, index)}: {reason}") from error


class _InThisThread:
    """What a filter of warnings asks whether a warning matches: one thread's all do."""

    def __init__(self):
        self._thread = threading.get_ident()

    def match(self, _text):
        return threading.get_ident() == self._thread


@contextmanager
def pillows_warnings_ignored() -> Iterator[None]:
    """Ignore what Pillow warns of in this thread: damaged metadata, sizes that are checked here.

    `warnings.catch_warnings` is not safe among threads: of two that overlap, the second leaves
    the filters of the first behind. This adds and removes one filter that only matches here.
    """
    ignore: Any = ("ignore", _InThisThread(), Warning, _PILLOWS_MODULES, 0)
    filters: Any = warnings.filters
    filters.insert(0, ignore)
    try:
        yield
    finally:
        with suppress(ValueError):  # another thread's catch_warnings took it away
            filters.remove(ignore)
