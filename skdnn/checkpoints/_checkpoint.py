"""Checkpoints: a training on disk, from which the same fit goes on after it was killed.

What is in the file is in `_archive`, whose file it is in `_locked_file`, and of which fit in
`_origin`.
"""

import math
import os
import time
from dataclasses import dataclass
from numbers import Integral, Real

from skdnn.callbacks import warn
from skdnn.data.frames import shown

from ._archive import archive_parts, read_archive
from ._atomic_replace import replaceable_path
from ._fingerprint import make_fingerprint
from ._locked_file import LockedFile

# Of a torch.Generator.
_SEEDS = range(2**63)


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often a fit saves its training, to go on after it was killed.

    A fit that is given the file of an earlier one with the same parameters and data goes on from
    there, and on the CPU, with as many threads, ends with the same bits as if it had never stopped.
    A fit that has ended leaves its last checkpoint: delete it to train anew. A file that is
    damaged, or of another fit, is an error and stays as it is; reading it runs no code.

    `max_iter` may be another one than before, from the epochs trained so far on. A larger one
    continues a fit that reached the earlier one; a fit that stopped for lack of improvement, or by
    a callback, stays finished. With ``learning_rate_schedule="constant"`` or "inverse_scaling" the
    result is bit-identical to a fit with that `max_iter` from the beginning. "cosine",
    "warmup_cosine" and functions depend on `max_iter`: from the epoch of the checkpoint on, the
    learning rate is that of the new schedule, so that after a finished fit it rises again.

    While a fit runs, the file is its own, and another fit that is given it is refused. Beside it
    stand ``path`` with ``.lock`` and, during a save, with ``.partial``, which then replaces it in a
    single step, so that there is a whole one at any moment. Where a save fails, as on a full disk,
    the fit warns and goes on, the earlier checkpoint stays, and the next save is tried in its turn.

    Parameters
    ----------
    path : str or os.PathLike
        A regular file, or a new one, in a folder that exists and can be written. A symbolic link is
        followed; the file keeps its owner and mode.
    every_epochs : int or None, default=None
        Save after so many epochs.
    every_seconds : float or None, default=30.0
        Save at the first end of an epoch after so many seconds. With both, whichever comes first;
        with neither, only at the end.

    Raises
    ------
    ValueError
        If the path is no text that can name a file, or the intervals are not positive.

    See Also
    --------
    DeepBinaryClassifier, DeepRegressor : Take it, or the path alone, as `checkpoint`.

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
        for name, keeps, constraint in (
            ("path", _is_path, "a str or os.PathLike that can name the file of a checkpoint"),
            ("every_epochs", _is_count, "an integer of at least 1 or None"),
            ("every_seconds", _is_duration, "a finite number above 0 or None"),
        ):
            value = getattr(self, name)
            if not keeps(value):
                raise ValueError(f"{name} must be {constraint}, got {shown(value, longest=200)}.")


def _is_path(value):
    try:
        text = os.fspath(value)
        return isinstance(text, str) and text != "" and b"\0" not in os.fsencode(text)
    except Exception:  # whatever a user's class may raise
        return False


def _is_count(value):
    return value is None or (
        isinstance(value, Integral) and not isinstance(value, bool) and value >= 1
    )


def _is_duration(value):
    try:
        return value is None or (
            isinstance(value, Real)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and value > 0
        )
    except OverflowError:  # an integer beyond all floats
        return False


class CheckpointFile:
    """The checkpoint file of one fit: what it found there, and what it writes.

    The file is the fit's own until the journal is closed: by `close`, at the end of a ``with``
    block, or with the journal itself.

    Parameters
    ----------
    checkpoint : Checkpoint or None
        None keeps nothing.

    Attributes
    ----------
    origin : dict of str
        What the fit that wrote the file depends on, by name.
    seed : int or None
        Of that fit; None where there was none. To be set before writing.
    state : SavedState or None
        Of its training: a dict whose arrays are in the file until they are asked for.

    Raises
    ------
    ValueError
        If the file cannot be written, is used by another fit, is no checkpoint or damaged.
    """

    def __init__(self, checkpoint):
        self.checkpoint = checkpoint
        self.file = self.origin = self.seed = self.state = None
        self.epoch, self.time, self.has_warned = 0, time.monotonic(), False
        if checkpoint is None:
            return
        self.file = _lock(os.fspath(checkpoint.path))
        try:
            if self.file.exists():
                self._read()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Leave the file to others."""
        if self.file is not None:
            self.file.close()

    @property
    def is_active(self):
        """Whether there is a file to write."""
        return self.file is not None

    @property
    def path(self):
        """The path of the file as the user gave it, None where there is none."""
        return None if self.checkpoint is None else os.fspath(self.checkpoint.path)

    def find(self, parameters, examples):
        """Return the seed of the fit in the file, None where there was none.

        Parameters
        ----------
        parameters : object
            With the parameters as attributes.
        examples : Examples

        Raises
        ------
        ValueError
            If it was a fit of other parameters or data.
        """
        processes = examples.processes
        if not processes.broadcast(self.file is not None):
            return None
        found, self.origin = self.origin, make_fingerprint(parameters, examples)
        if found is not None:
            self._check_fingerprint(found)
        return processes.broadcast(self.seed)

    def __call__(self, progress):
        """Save the training if it is time, or its end; where that fails, warn and go on.

        Warns
        -----
        UserWarning
            Once, if the system refuses, as on a full disk.
        """
        if self.file is None or not (progress.is_last or self._is_due(progress.epoch)):
            return
        try:
            self._check_that_it_is_ours()
            notes = {"origin": self.origin, "seed": self.seed}
            self.file.replace(archive_parts(notes, progress.state()))
        except OSError as error:
            self._warn(error)
        self.epoch, self.time = progress.epoch, time.monotonic()

    def _is_due(self, epoch):
        every, seconds = self.checkpoint.every_epochs, self.checkpoint.every_seconds
        has_run = every is not None and epoch - self.epoch >= every
        return has_run or (seconds is not None and time.monotonic() - self.time >= seconds)

    def _read(self):
        path = self.file.path
        try:
            notes, state = read_archive(path)
        except OSError as error:
            raise ValueError(
                f"checkpoint must be a file that can be read, but {path!r} cannot: {error}."
            ) from error
        if not _are_notes(notes):
            raise ValueError(f"checkpoint must be whole, but {path!r} is damaged.")
        self.origin, self.seed, self.state = notes["origin"], notes["seed"], state

    def _check_fingerprint(self, origin):
        if origin == self.origin:
            return
        differs = ", ".join(
            f"{name}={origin.get(name)} instead of {self.origin.get(name)}"
            for name in {**self.origin, **origin}
            if origin.get(name) != self.origin.get(name)
        )
        raise ValueError(
            "checkpoint must be of a fit with the same parameters and data, but "
            f"{self.file.path!r} has {differs}. Delete it to start anew, or name another file."
        )

    def _check_that_it_is_ours(self):
        if not self.file.is_locked:
            raise ValueError(
                f"checkpoint must belong to one fit, but {self.file.path!r} was given up by it."
            )
        if not self.file.is_unchanged():
            raise ValueError(
                f"checkpoint must belong to one fit, but another program has changed or deleted "
                f"{self.file.path!r}."
            )

    def _warn(self, error):
        if self.has_warned:
            return
        self.has_warned = True
        warn(
            f"The checkpoint {self.file.path!r} could not be saved: {error}. The fit goes on, the "
            "file stays as it was, and later saves are tried in their turn.",
        )


def open_checkpoint(checkpoint):
    """Return the Journal of a fit, for the parameter `checkpoint`."""
    if checkpoint is None or isinstance(checkpoint, Checkpoint):
        return CheckpointFile(checkpoint)
    return CheckpointFile(Checkpoint(checkpoint))


def _lock(path):
    try:
        return LockedFile(replaceable_path(path, "checkpoint"))
    except BlockingIOError as error:
        raise ValueError(
            f"checkpoint must belong to one fit at a time, but another one is using {path!r}."
        ) from error
    except OSError as error:
        raise ValueError(
            f"checkpoint must be a file that can be written, but {path!r} cannot: {error}."
        ) from error


def _are_notes(notes):
    origin, seed = notes.get("origin"), notes.get("seed")
    is_origin = isinstance(origin, dict) and all(isinstance(text, str) for text in origin.values())
    return notes.keys() == {"origin", "seed"} and is_origin and type(seed) is int and seed in _SEEDS
