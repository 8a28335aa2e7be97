"""Write a tree of arrays to a file and read it back, without pickle.

A file has three lines of text, followed by the bytes of the arrays:

1. the file format and its version;
2. the SHA-256 digest of the third line;
3. a JSON object: metadata, and the dtype, shape and digest of each array.

The arrays are stored one after the other in little-endian order, up to the end of the file. The
reader knows the size of the file from its header, so a hostile file cannot make it read or allocate
more than the file contains.
"""

import errno
import hashlib
import json
import math
import os
import stat
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

_MAGIC = b"skdnn checkpoint 3\n"
_MAGIC_OF_ANY_VERSION = b"skdnn checkpoint "
_DIGEST_LINE_BYTES = 65
_MAX_HEADER_BYTES = 2**20
_MAX_AXES = 32
_STORED_DTYPES = {
    "bool": "u1", "uint8": "u1", "int32": "<i4", "int64": "<i8", "float32": "<f4", "float64": "<f8",
}  # fmt: skip


class SavedState(dict):
    """A nested dict of SavedArrays. `source` describes the file, for error messages."""

    source = ""


@dataclass(frozen=True, eq=False)
class SavedArray:
    """An array in a file. NumPy reads it when it converts the object to an array.

    Attributes
    ----------
    path : str
    start : int
        Position of the first byte.
    dtype : dtype
        One of bool, uint8, int32, int64, float32 and float64.
    shape : tuple of int
    digest : str
        SHA-256 digest of the bytes.
    """

    path: str
    start: int
    dtype: np.dtype
    shape: tuple[int, ...]
    digest: str

    @property
    def nbytes(self) -> int:
        """Size in bytes, according to the header."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __reduce__(self) -> tuple:
        # Another process may not have access to the file, so the values are pickled.
        return np.asarray, (np.asarray(self),)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        with open_regular_file(self.path) as file:
            file.seek(self.start)
            content = file.read(self.nbytes)
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise ValueError(f"checkpoint={self.path!r} is damaged.")
        stored = np.frombuffer(content, _STORED_DTYPES[self.dtype.name])
        return stored.astype(self.dtype if dtype is None else dtype).reshape(self.shape)


def open_regular_file(path: str) -> BinaryIO:
    """Open a regular file for reading; raise an OSError for a pipe or device without blocking."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    return os.fdopen(descriptor, "rb")


def archive_content(metadata: dict, state: dict) -> list[bytes]:
    """Return the content of a file as a list of byte strings.

    Parameters
    ----------
    metadata : dict
        Values that JSON can represent.
    state : dict
        Nested dict of arrays and numbers.
    """
    arrays = []

    def describe(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {name: describe(branch) for name, branch in tree.items()}
        array = np.asarray(tree)
        arrays.append(array.astype(_STORED_DTYPES[array.dtype.name]).tobytes())
        return [array.dtype.name, array.shape, hashlib.sha256(arrays[-1]).hexdigest()]

    return [_encode_header({**metadata, "state": describe(state)}), *arrays]


def read_archive(path: str) -> tuple[dict, SavedState]:
    """Return the metadata and the SavedState of a file.

    The metadata are not validated.

    Raises
    ------
    ValueError
        If `archive_content` did not write the file, or the file is damaged.
    OSError
        If the file cannot be read.
    """
    with open_regular_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        magic = file.readline(len(_MAGIC))
        if magic != _MAGIC:
            if magic.startswith(_MAGIC_OF_ANY_VERSION):
                raise ValueError(
                    f"checkpoint={path!r} was written by another version of skdnn. Delete it to "
                    "start anew, or name another file."
                )
            raise ValueError(f"checkpoint={path!r} is not a checkpoint file of skdnn.")
        digest, header = file.readline(_DIGEST_LINE_BYTES), file.readline(_MAX_HEADER_BYTES)
        start = file.tell()
    try:
        metadata = json.loads(header.decode("ascii"))
        # Encoding it again detects a wrong digest and names that occur twice.
        if not isinstance(metadata, dict) or _encode_header(metadata) != magic + digest + header:
            raise ValueError("the header does not match its digest or is not canonical")
        arrays, end = _read_arrays(metadata.pop("state", None), path, start)
        if end != size:
            raise ValueError("the size of the file does not match the header")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"checkpoint={path!r} is damaged.") from error
    state = SavedState(arrays)
    state.source = repr(path)
    return metadata, state


def _encode_header(metadata: dict) -> bytes:
    header = json.dumps(metadata, separators=(",", ":")).encode("ascii") + b"\n"
    return _MAGIC + hashlib.sha256(header).hexdigest().encode("ascii") + b"\n" + header


def _read_arrays(description: Any, path: str, start: int) -> tuple[Any, int]:
    """Return the tree of SavedArrays that a header describes, and the end of the last array."""
    match description:
        case dict():
            tree = {}
            for name, branch in description.items():
                tree[name], start = _read_arrays(branch, path, start)
            return tree, start
        case [str(dtype), list(shape), str(digest)] if (
            dtype in _STORED_DTYPES
            and len(shape) <= _MAX_AXES
            and all(type(n) is int and 0 <= n < 2**63 for n in shape)
        ):
            array = SavedArray(path, start, np.dtype(dtype), tuple(shape), digest)
            return array, start + array.nbytes
    raise ValueError("neither a dict nor the description of an array")
