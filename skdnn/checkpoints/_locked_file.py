"""A file that belongs to one program at a time, and is replaced as a whole or not at all."""

import errno
import os
import stat
import weakref
from contextlib import suppress

from ._atomic_replace import find_regular_file, replace_atomically

try:
    import fcntl
except ImportError:  # Windows: only `is_unchanged` tells of another program
    fcntl = None  # type: ignore[assignment]

# A link would lead elsewhere, and a pipe would be waited for.
_AS_IT_IS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_LOCKED: weakref.WeakSet = weakref.WeakSet()


class LockedFile:
    """A file that this program alone replaces, until it is closed or ends, however it ends.

    Beside it stand a file with the ending ``.lock`` all the while, whose lock is the system's, and
    one with ``.partial`` while it is replaced. What a killed program left of them is taken over.

    Parameters
    ----------
    path : str
        As `replaceable_path` returns it.

    Raises
    ------
    BlockingIOError
        If it is locked already, by this program or another.
    OSError
        If it cannot be written.
    """

    def __init__(self, path):
        self.path, self.partial = path, path + ".partial"
        lock = self.path + ".lock"
        self._release = weakref.finalize(self, _unlock, _lock(lock), lock)
        _LOCKED.add(self)
        try:
            self._remove_partial()
            try:
                with open(self.partial, "xb"):
                    pass
            finally:
                self._remove_partial()
            self._signature = self._present_signature()
        except BaseException:
            self.close()
            raise

    @property
    def is_locked(self):
        """Whether it is this program's to replace."""
        return self._release.alive

    def exists(self):
        """Tell whether there is one."""
        return os.path.lexists(self.path)

    def is_unchanged(self):
        """Tell whether it is as it was found, or as `replace` last left it."""
        return self._present_signature() == self._signature

    def replace(self, parts):
        """Replace the file by one of this content, a list of bytes, in a single step.

        Raises
        ------
        OSError
            If that fails; the file is then as it was, and nothing is left beside it.
        """
        self._remove_partial()
        with replace_atomically(self.path, self.partial) as file:
            file.writelines(parts)
        self._signature = self._present_signature()

    def close(self):
        """Leave the file to others."""
        self._release()

    def leave_to_parent(self):
        """In a forked process: know that the file is not its own, and do not unlock it."""
        released = self._release.detach()
        if released is not None:
            os.close(released[2][0])

    def _remove_partial(self):
        """Remove what a killed fit left; a device, pipe or socket of this name is an OSError."""
        if os.path.islink(self.partial) or find_regular_file(self.partial) is not None:
            os.unlink(self.partial)

    def _present_signature(self):
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


def _lock(path):
    """Return the descriptor of a file that holds a lock."""
    while True:
        find_regular_file(path)  # a device is not even opened
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _AS_IT_IS, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file", path)
            _lock_descriptor(descriptor)
            if _stands_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its owner deleted it in between


def _stands_at(path, descriptor):
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _lock_descriptor(descriptor):
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass  # a file system without locks; is_unchanged has to do


def _unlock(descriptor, path):
    with suppress(OSError):
        # With content it was somebody's before, and another one by this name is not ours.
        if os.fstat(descriptor).st_size == 0 and _stands_at(path, descriptor):
            os.unlink(path)
    os.close(descriptor)


def _leave_to_parent():
    for file in list(_LOCKED):
        file.leave_to_parent()


if hasattr(os, "register_at_fork"):
    # A child would keep the lock of a parent that was killed.
    os.register_at_fork(after_in_child=_leave_to_parent)
