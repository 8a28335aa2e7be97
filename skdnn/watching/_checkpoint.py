"""Checkpoints: a training on disk, from which the same fit goes on after it was killed.

The file is a line that says what it is, the SHA-256 digest of the rest, and the rest: a NumPy
archive of arrays, without pickle, so that reading a hostile file runs no code. It replaces the
previous one in a single step, so that there is a whole one at any moment.
"""

import hashlib
import io
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import sparse

from skdnn.data import Table, row_chunks

_MAGIC = b"skdnn checkpoint 1\n"
_DIGEST_SIZE = hashlib.sha256().digest_size
# What changes nothing of the result.
_WITHOUT_EFFECT = ("checkpoint", "verbose")


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often a fit saves its training, to go on after it was killed.

    A fit that is given the file of an earlier one with the same parameters and data goes on from
    there, and on the CPU ends with the same bits as if it had never stopped. A fit that has ended
    leaves its last checkpoint: delete it to train anew.

    Parameters
    ----------
    path : str or os.PathLike
        The file, in a folder that exists.
    every_epochs : int or None, default=None
        Save after so many epochs.
    every_seconds : float or None, default=30.0
        Save at the first end of an epoch after so many seconds. With both, whichever comes first;
        with neither, only at the end.

    Raises
    ------
    ValueError
        If the intervals are not positive.

    See Also
    --------
    DeepBinaryClassifier : Takes it, or the path alone, as `checkpoint`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skdnn import Checkpoint, DeepBinaryClassifier
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint = Checkpoint(Path(folder, "flowers.ckpt"), every_epochs=10)
    ...     clf = DeepBinaryClassifier(checkpoint=checkpoint, random_state=0).fit(X, y)
    ...     again = DeepBinaryClassifier(checkpoint=checkpoint, random_state=0).fit(X, y)
    >>> again.n_iter_ == clf.n_iter_  # read, not trained
    True
    """

    path: str | os.PathLike
    every_epochs: int | None = None
    every_seconds: float | None = 30.0

    def __post_init__(self) -> None:
        for name in ("every_epochs", "every_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0 or None, got {value!r}.")


class Journal:
    """The checkpoint file of one fit: what it found there, and what it writes.

    Parameters
    ----------
    checkpoint : Checkpoint or None
        None keeps nothing.
    origin : dict of str
        What the fit depends on, by name: a checkpoint of another origin is refused.

    Attributes
    ----------
    seed : int or None
        Of the fit that wrote the file; None where there was none. To be set before writing.
    state : dict or None
        Of its training.

    Raises
    ------
    ValueError
        If the file is no checkpoint, damaged, or that of another fit.
    """

    def __init__(self, checkpoint, origin):
        self.checkpoint, self.origin = checkpoint, origin
        self.seed = self.state = None
        if checkpoint is None:
            return
        self.path = Path(checkpoint.path)
        if not self.path.parent.is_dir() or self.path.is_dir():
            raise ValueError(
                f"checkpoint must be a file in a folder that exists, got {str(self.path)!r}."
            )
        if self.path.exists():
            found = _read(self.path)
            self._check_origin(json.loads(found["origin"]))
            self.seed, self.state = found["seed"], found["state"]
        self.epoch, self.time = 0, time.monotonic()
        self.signature = self._signature()

    def __call__(self, progress):
        """Save the training if it is time, or its end."""
        if self.checkpoint is None or not (progress.is_last or self._is_due(progress.epoch)):
            return
        self._check_that_it_is_ours()
        origin = json.dumps(self.origin)
        _write(self.path, {"origin": origin, "seed": self.seed, "state": progress.state()})
        self.epoch, self.time = progress.epoch, time.monotonic()
        self.signature = self._signature()

    def _is_due(self, epoch):
        every, seconds = self.checkpoint.every_epochs, self.checkpoint.every_seconds
        has_run = every is not None and epoch - self.epoch >= every
        return has_run or (seconds is not None and time.monotonic() - self.time >= seconds)

    def _check_origin(self, origin):
        if origin == self.origin:
            return
        differs = ", ".join(
            f"{name}={origin.get(name)} instead of {self.origin.get(name)}"
            for name in {**self.origin, **origin}
            if origin.get(name) != self.origin.get(name)
        )
        raise ValueError(
            "checkpoint must be of a fit with the same parameters and data, but "
            f"{str(self.path)!r} has {differs}. Delete it to start anew, or name another file."
        )

    def _signature(self):
        if not self.path.exists():
            return None
        found = self.path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _check_that_it_is_ours(self):
        if self._signature() != self.signature:
            raise ValueError(
                f"checkpoint must belong to one fit, but another program has changed or deleted "
                f"{str(self.path)!r}."
            )


def open_journal(parameters, examples, watched, before):
    """Return the Journal of a fit.

    Parameters
    ----------
    parameters : object
        With the parameters as attributes.
    examples, watched : Examples, Examples or None
        All that the fit reads.
    before : DeepBinaryClassifier or None
        Fitted before, where training goes on.
    """
    checkpoint = parameters.checkpoint
    if checkpoint is None:
        return Journal(None, {})
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint)
    names = {n: _describe(v) for n, v in vars(parameters).items() if n not in _WITHOUT_EFFECT}
    digest = hashlib.sha256()
    for part in (examples, watched):
        for array in () if part is None else vars(part).values():
            _update(digest, array)
    for array in () if before is None else before.coefs_ + before.intercepts_:
        _update(digest, array)
    return Journal(checkpoint, {**names, "data": digest.hexdigest()[:16]})


def _describe(value):
    if isinstance(value, list | tuple | np.ndarray):
        return f"({', '.join(map(_describe, value))})"
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    # What else has an address in its text, such as a RandomState, is told by its type alone.
    text = repr(value)
    return text if " at 0x" not in text else type(value).__qualname__


def _update(digest, array):
    if array is None:
        return
    if isinstance(array, Table):
        digest.update(repr([levels.tolist() for levels in array.levels]).encode())
        _update(digest, array.numbers)
        _update(digest, array.codes)
        return
    digest.update(f"{tuple(array.shape)} {array.dtype}".encode())
    if sparse.issparse(array):
        for part in (array.data, array.indices, array.indptr):
            digest.update(np.ascontiguousarray(part))
        return
    table = array if array.ndim == 2 else array[:, None]
    for rows in row_chunks(table):
        chunk = table[rows]
        chunk = chunk.double().cpu().numpy() if isinstance(chunk, torch.Tensor) else chunk
        digest.update(np.ascontiguousarray(chunk))


def _write(path, tree):
    payload = io.BytesIO()
    np.savez(payload, **dict(_flatten(tree)))
    content = payload.getvalue()
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(_MAGIC + hashlib.sha256(content).digest() + content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _read(path):
    content = path.read_bytes()
    if not content.startswith(_MAGIC):
        raise ValueError(f"checkpoint must be a file that skdnn wrote, got {str(path)!r}.")
    start = len(_MAGIC) + _DIGEST_SIZE
    if hashlib.sha256(content[start:]).digest() != content[len(_MAGIC) : start]:
        raise ValueError(f"checkpoint must be whole, but {str(path)!r} is damaged.")
    with np.load(io.BytesIO(content[start:]), allow_pickle=False) as arrays:
        return _unflatten({name: arrays[name] for name in arrays.files})


def _flatten(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value


def _unflatten(arrays):
    tree = {}
    for path, array in arrays.items():
        *folders, name = path.split("/")
        branch = tree
        for folder in folders:
            branch = branch.setdefault(folder, {})
        branch[name] = array if array.ndim else array.item()
    return tree
