"""Write a tree of arrays beside a header to an .npz file and read it back, without pickle.

The file is a zip archive as `numpy.savez` writes it: "theta.npy", "optimizer/mean.npy", and beside
them "header.json". The reader compares what a member declares with what it expects before reading
it, so a file that claims to be huge takes no memory.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, ZipFile

import numpy as np

_HEADER = "header.json"
_MAX_HEADER_BYTES = 2**20


def named_arrays(tree: Any, name: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of a nested dict, with the path to each as its name."""
    if not isinstance(tree, dict):
        yield name, np.asarray(tree)
        return
    for key, branch in tree.items():
        yield from named_arrays(branch, f"{name}/{key}" if name else key)


def write_archive(file: BinaryIO, header: dict[str, Any], tree: dict[str, Any]) -> None:
    """Write a header of values that JSON can represent, and a nested dict of arrays and numbers."""
    with ZipFile(file, "w") as archive:
        with archive.open(_HEADER, "w") as member:
            member.write(json.dumps(header).encode("ascii"))
        for name, array in named_arrays(tree):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


@contextmanager
def open_archive(path: str) -> Iterator[ZipFile]:
    """Open a file for `read_header` and `read_tree`.

    Raises
    ------
    ValueError
        If the file cannot be read, or the block raises any Exception.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise ValueError(f"checkpoint={path!r} cannot be read: {error}.") from error
    try:
        with file, ZipFile(file) as archive:
            size = os.fstat(file.fileno()).st_size
            for member in archive.infolist():
                is_stored = member.compress_type == ZIP_STORED
                if not (is_stored and member.compress_size == member.file_size <= size):
                    raise ValueError("a part is compressed, or larger than the file")
            yield archive
    except Exception as error:  # for a damaged file, zipfile and NumPy raise errors of many types
        raise ValueError(
            f"checkpoint={path!r} is not a checkpoint file of this version of skdnn, or is "
            f"damaged: {error}. Delete it to start anew, or name another file."
        ) from error


def read_header(archive: ZipFile) -> Any:
    """Return the header, which is not validated."""
    if archive.getinfo(_HEADER).file_size > _MAX_HEADER_BYTES:
        raise ValueError("the header is too long")
    return json.loads(archive.read(_HEADER).decode("ascii"))


def read_tree(archive: ZipFile, expected: Any, name: str = "") -> Any:
    """Return the nested dict of arrays and numbers in a file.

    Parameters
    ----------
    archive : ZipFile
    expected : dict
        A tree with the same names, dtypes and shapes; its values do not matter.
    name : str, default=""
        Name of the branch of the tree to read.

    Raises
    ------
    ValueError
        If names, dtypes or shapes differ. What differs is not read.
    """
    if not name:
        names = {_HEADER, *(f"{path}.npy" for path, _ in named_arrays(expected))}
        if sorted(archive.namelist()) != sorted(names):
            raise ValueError("it has other parts than the state of this fit")
    if isinstance(expected, dict):
        return {
            key: read_tree(archive, branch, f"{name}/{key}" if name else key)
            for key, branch in expected.items()
        }
    expected = np.asarray(expected)
    with archive.open(f"{name}.npy") as member:
        np.lib.format.read_magic(member)
        declared = np.lib.format.read_array_header_1_0(member)
        if declared != (expected.shape, False, expected.dtype):  # False: in C order
            raise ValueError(f"{name} has another dtype or shape")
        content = member.read(expected.nbytes + 1)
    if len(content) != expected.nbytes:
        raise ValueError(f"{name} has another size than its shape")
    array = np.ndarray(expected.shape, expected.dtype, bytearray(content))
    return array if array.ndim else array.item()
