"""A file that one program at a time may replace, atomically."""

import errno
import os
import stat
import weakref
from collections.abc import Iterable
from contextlib import suppress
from functools import cache

from ._atomic_replace import replace_atomically, stat_regular_file

try:
    import fcntl
except ImportError:  # Windows: only `is_unchanged` notices other programs
    fcntl = None  # type: ignore[assignment]

# Do not follow symbolic links, and do not block on a pipe.
_SAFE_OPEN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_LOCKED_FILES: weakref.WeakSet["LockedFile"] = weakref.WeakSet()


class LockedFile:
    """A file that only this program replaces, until `close` or the end of the program.

    Two files lie beside it: one with the suffix ``.lock``, which holds a lock of the operating
    system, and during a replacement one with the suffix ``.partial``. If an earlier program was
    killed and left them behind, they are reused.

    Parameters
    ----------
    path : str
        As returned by `replaceable_path`.

    Raises
    ------
    BlockingIOError
        If this program or another one has locked the file already.
    OSError
        If the file cannot be written.
    """

    def __init__(self, path: str) -> None:
        self.path, self.partial_path, lock_path = path, path + ".partial", path + ".lock"
        _register_fork_hook()
        self._unlock = weakref.finalize(self, _unlock, _lock(lock_path), lock_path)
        _LOCKED_FILES.add(self)
        try:
            self._remove_partial_file()
            try:
                with open(self.partial_path, "xb"):
                    pass
            finally:
                self._remove_partial_file()
            self._signature = self._current_signature()
        except BaseException:
            self.close()
            raise

    @property
    def is_locked(self) -> bool:
        """Whether this program holds the lock."""
        return self._unlock.alive

    def is_unchanged(self) -> bool:
        """Return whether the file is as it was when it was locked or last replaced."""
        return self._current_signature() == self._signature

    def replace(self, content: Iterable[bytes]) -> None:
        """Replace the file atomically.

        Parameters
        ----------
        content : iterable of bytes

        Raises
        ------
        OSError
            If the file cannot be replaced. It is then unchanged, and the temporary file is removed.
        """
        self._remove_partial_file()
        with replace_atomically(self.path, self.partial_path) as file:
            file.writelines(content)
        self._signature = self._current_signature()

    def close(self) -> None:
        """Release the lock. It may be called more than once."""
        self._unlock()

    def _remove_partial_file(self) -> None:
        """Remove the file that a killed fit left; raise an OSError for a device, pipe or socket."""
        if os.path.islink(self.partial_path) or stat_regular_file(self.partial_path) is not None:
            os.unlink(self.partial_path)

    def _current_signature(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns


def _lock(path: str) -> int:
    """Return the descriptor of an open file that holds the lock."""
    while True:
        stat_regular_file(path)  # do not even open a device
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _SAFE_OPEN, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file", path)
            if fcntl is not None:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise
                except OSError:
                    pass  # this file system has no locks; `is_unchanged` has to suffice
            if _is_same_file(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # another program deleted the file before it was locked here


def _unlock(descriptor: int, path: str) -> None:
    with suppress(OSError):
        # A lock file with content, or another file of this name, belongs to somebody else.
        if os.fstat(descriptor).st_size == 0 and _is_same_file(path, descriptor):
            os.unlink(path)
    os.close(descriptor)


def _is_same_file(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@cache
def _register_fork_hook() -> None:
    """Make forked children give up the locks; register this once, when a file is first locked.

    A child inherits the lock of its parent. It would keep the file locked after the parent was
    killed, and it would delete the lock file of a parent that is still running.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_give_up_locks)


def _give_up_locks() -> None:
    for file in list(_LOCKED_FILES):
        finalizer = file._unlock.detach()
        if finalizer is not None:
            _, _, (descriptor, _), _ = finalizer
            os.close(descriptor)
