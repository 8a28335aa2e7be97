"""Replace files atomically: write a temporary file in the same folder, then rename it.

Whenever the program ends, a reader finds either the complete old file or the complete new one.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import BinaryIO

_FILE_TYPES = {
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def replaceable_path(path: str | os.PathLike, name: str) -> str:
    """Return the path to write a file to, with symbolic links resolved.

    Parameters
    ----------
    path : str or os.PathLike
        Path of a regular file, or of a new file in an existing folder.
    name : str
        Name of the parameter, for error messages.

    Raises
    ------
    ValueError
        If the path names a device, pipe, socket or folder, or its folder does not exist.
    """
    path = os.fsdecode(path)
    try:
        real = os.path.realpath(path)
        is_folder = os.path.isdir(real) or not os.path.basename(path)
        if not is_folder:
            stat_regular_file(path)
        if is_folder or not os.path.isdir(os.path.dirname(real)):
            raise ValueError(f"{name} must be a file in a folder that exists, got {path!r}.")
    except OSError as error:
        raise ValueError(f"{name}={path!r} cannot be written: {error.strerror}.") from error
    return real


def stat_regular_file(path: str) -> os.stat_result | None:
    """Return the os.stat_result of a file, or None if the file does not exist.

    Raises
    ------
    OSError
        If it is not a regular file. Only regular files can be replaced safely.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        file_type = _FILE_TYPES.get(stat.S_IFMT(status.st_mode), "not a regular file")
        raise OSError(errno.EINVAL, f"it is {file_type}", path)
    return status


@contextmanager
def replace_atomically(path: str, temporary_path: str | None = None) -> Iterator[BinaryIO]:
    """Open a binary file that replaces the file at `path` if the block ends without an error.

    The new file gets the owner and mode of the file that it replaces. If there was none, its mode
    follows the umask. After an error, the temporary file is removed.

    Parameters
    ----------
    path : str
        As returned by `replaceable_path`.
    temporary_path : str or None, default=None
        Path in the same folder to write to. None creates a new hidden name.

    Raises
    ------
    OSError
        If the file cannot be written, or `path` is not a regular file.
    """
    if temporary_path is None:
        folder, name = os.path.split(path)
        temporary_path = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.partial")
    earlier = stat_regular_file(path)
    # The replacement of a private file is private before its first byte is written.
    mode = 0o666 if earlier is None else 0o600
    try:
        with open(temporary_path, "xb", opener=partial(os.open, mode=mode)) as file:
            if earlier is not None and hasattr(os, "fchown"):  # not on Windows
                _copy_owner_and_mode(earlier, file.fileno())
            yield file
            file.flush()
            os.fsync(file.fileno())
        stat_regular_file(path)
        os.replace(temporary_path, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary_path)
        raise


def _copy_owner_and_mode(earlier: os.stat_result, descriptor: int) -> None:
    """Give an open file the owner, group and mode of another file, as far as permitted."""
    for owner in (earlier.st_uid, -1):  # only root can give a file to another user
        with suppress(OSError):
            os.fchown(descriptor, owner, earlier.st_gid)
    mode = earlier.st_mode & 0o777
    status = os.fstat(descriptor)
    if status.st_gid != earlier.st_gid:
        # The new group gets only the permissions that both the old group and others had.
        common = mode & mode >> 3 & 0o007
        mode = mode & 0o700 | common << 3 | common
    if status.st_mode & 0o777 != mode:
        os.fchmod(descriptor, mode)
