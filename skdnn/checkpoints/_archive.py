"""A tree of arrays as a file, and back: without pickle, and nothing believed unread.

The first line says what the file is, the second is the SHA-256 digest of the third, and that is
JSON: what the writer notes, and of each array its dtype, shape and own digest. The numbers of the
arrays follow, one after the other and little-endian, to the end of the file. So a reader knows from
a few bytes how much there is to come, and of a file that lies reads no more than these.
"""

import errno
import hashlib
import json
import math
import os
import stat

import numpy as np

_MAGIC = b"skdnn checkpoint 3\n"
_OF_ANY_VERSION = b"skdnn checkpoint "
_LONGEST_HEADER = 2**20
_MOST_AXES = 32
# How an array of a dtype stands in the file.
_STORED = {
    "bool": "u1", "uint8": "u1", "int32": "<i4", "int64": "<i8", "float32": "<f4", "float64": "<f8",
}  # fmt: skip


class SavedState(dict):
    """A tree whose leaves are SavedArrays; `source` says where it comes from."""

    source = ""


class SavedArray:
    """An array in a file, whose numbers are read when NumPy asks for them.

    Parameters
    ----------
    path : str
    start : int
        Of the first byte.
    dtype : {"bool", "uint8", "int32", "int64", "float32", "float64"}
    shape : tuple of int
    digest : str
        SHA-256 of its bytes.
    """

    def __init__(self, path, start, dtype, shape, digest):
        self.path, self.start, self.digest = path, start, digest
        self.dtype, self.shape = np.dtype(dtype), shape

    @property
    def nbytes(self):
        """How many bytes it says to take."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __reduce__(self):
        # Another process need not have the file.
        return np.asarray, (np.asarray(self),)

    def __array__(self, dtype=None, copy=None):
        with open_ordinary(self.path) as file:
            file.seek(self.start)
            content = file.read(self.nbytes)
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise ValueError(f"checkpoint must be whole, but {self.path!r} is damaged.")
        stored = np.frombuffer(content, _STORED[self.dtype.name])
        return stored.astype(self.dtype if dtype is None else dtype).reshape(self.shape)


def open_ordinary(path):
    """Return a file opened to read; a pipe or device is an OSError, and is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not an ordinary file", path)
    return os.fdopen(descriptor, "rb")


def archive_parts(notes, state):
    """Return the content of a file, in parts.

    Parameters
    ----------
    notes : dict
        Of what JSON knows.
    state : dict of arrays, numbers and such dicts
    """
    parts = []

    def describe(tree):
        if isinstance(tree, dict):
            return {name: describe(part) for name, part in tree.items()}
        array = np.asarray(tree)
        parts.append(array.astype(_STORED[array.dtype.name]).tobytes())
        return [array.dtype.name, array.shape, hashlib.sha256(parts[-1]).hexdigest()]

    header = _encode({**notes, "state": describe(state)})
    return [_MAGIC, _digest_line(header), header, *parts]


def read_archive(path):
    """Return the notes of a file, and its SavedState.

    Raises
    ------
    ValueError
        If it is none that `archive_parts` describes; what the notes say is not looked at.
    OSError
        If it cannot be read.
    """
    with open_ordinary(path) as file:
        size = os.fstat(file.fileno()).st_size
        magic = file.readline(len(_MAGIC))
        if magic != _MAGIC:
            raise ValueError(_not_ours(path, magic))
        digest, header = file.readline(len(_digest_line(b""))), file.readline(_LONGEST_HEADER)
        start = file.tell()
    damaged = f"checkpoint must be whole, but {path!r} is damaged."
    if digest != _digest_line(header):
        raise ValueError(damaged)
    try:
        notes = json.loads(header.decode("ascii"))
        # Written anew, it is the same unless a name stood there twice.
        if not isinstance(notes, dict) or _encode(notes) != header:
            raise ValueError("not as it was written")
        state, end = _arrays(notes.pop("state", None), path, start)
    except (ValueError, RecursionError) as error:
        raise ValueError(damaged) from error
    if end != size:
        raise ValueError(damaged)
    saved = SavedState(state)
    saved.source = repr(path)
    return notes, saved


def _not_ours(path, magic):
    if magic.startswith(_OF_ANY_VERSION):
        return (
            f"checkpoint must be a file of this version of skdnn, but {path!r} is of another one. "
            "Delete it to start anew, or name another file."
        )
    return f"checkpoint must be a file that skdnn wrote, got {path!r}."


def _encode(notes):
    return json.dumps(notes, separators=(",", ":")).encode("ascii") + b"\n"


def _digest_line(header):
    return hashlib.sha256(header).hexdigest().encode("ascii") + b"\n"


def _arrays(described, path, start):
    """Return the tree of SavedArrays that a header describes, and where the last one ends."""
    if isinstance(described, dict):
        tree = {}
        for name, part in described.items():
            tree[name], start = _arrays(part, path, start)
        return tree, start
    if not _describes_an_array(described):
        raise ValueError("neither an array nor a dict of some")
    dtype, shape, digest = described
    array = SavedArray(path, start, dtype, tuple(shape), digest)
    return array, start + array.nbytes


def _describes_an_array(described):
    if not isinstance(described, list) or len(described) != 3:
        return False
    dtype, shape, digest = described
    is_known = isinstance(dtype, str) and dtype in _STORED and isinstance(digest, str)
    is_shape = isinstance(shape, list) and len(shape) <= _MOST_AXES
    return is_known and is_shape and all(type(n) is int and 0 <= n < 2**63 for n in shape)
