"""Files that are replaced as a whole: written beside their place, then renamed.

A reader finds the earlier file or the whole new one, whenever the program ends.
"""

import errno
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from functools import partial

_KINDS = {
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def replaceable_path(path, name):
    """Return the path at which a file is to be written, with symbolic links followed.

    Parameters
    ----------
    path : str or os.PathLike
        Of a regular file, or of a new one in a folder that exists.
    name : str
        Of the parameter, for the error.

    Raises
    ------
    ValueError
        If it is a device, a pipe, a socket or a folder, or there is no folder for it.
    """
    path = os.fsdecode(path)
    try:
        real = os.path.realpath(path)
        names_a_folder = os.path.isdir(real) or not os.path.basename(path)
        if not names_a_folder:
            find_regular_file(path)
        if names_a_folder or not os.path.isdir(os.path.dirname(real)):
            raise ValueError(f"{name} must be a file in a folder that exists, got {path!r}.")
    except OSError as error:
        raise ValueError(
            f"{name} must be a file that can be written, but {path!r} cannot: {error.strerror}."
        ) from error
    return real


def find_regular_file(path):
    """Return the os.stat_result of a file, None where there is none.

    Raises
    ------
    OSError
        If it is not a regular file, which alone can be replaced without harm.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "not a regular file")
        raise OSError(errno.EINVAL, f"it is {kind}", path)
    return found


@contextmanager
def replace_atomically(path, beside=None):
    """Give a binary file that replaces another one if the block ends without an error.

    It has the owner and the mode of the file that it replaces; the mode of a new file follows the
    umask. After an error nothing is left of it.

    Parameters
    ----------
    path : str
        As `replaceable_path` returns it.
    beside : str or None, default=None
        Where to write, in the same folder. None is a new hidden name.

    Raises
    ------
    OSError
        If the file cannot be written, or what is to be replaced is not a regular file.
    """
    if beside is None:
        folder, name = os.path.split(path)
        beside = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.partial")
    earlier = find_regular_file(path)
    # What replaces a private file is private before the first byte is written.
    mode = 0o666 if earlier is None else 0o600
    try:
        with open(beside, "xb", opener=partial(os.open, mode=mode)) as file:
            if earlier is not None and hasattr(os, "fchown"):  # not on Windows
                _take_owner_and_mode(file.fileno(), earlier)
            yield file
            file.flush()
            os.fsync(file.fileno())
        find_regular_file(path)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _take_owner_and_mode(descriptor, earlier):
    """Give an open file owner, group and mode of another one, as far as the system allows."""
    for owner in (earlier.st_uid, -1):  # only root gives a file to somebody else
        with suppress(OSError):
            os.fchown(descriptor, owner, earlier.st_gid)
    mode = earlier.st_mode & 0o777
    now = os.fstat(descriptor)
    if now.st_gid != earlier.st_gid:
        # Members of either group may do what both they and all others could do before.
        shared = mode & mode >> 3 & 0o007
        mode = mode & 0o700 | shared << 3 | shared
    if now.st_mode & 0o777 != mode:
        os.fchmod(descriptor, mode)
