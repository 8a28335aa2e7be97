"""Save the training state of a fit to a file, and resume an interrupted fit from it."""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from filelock import FileLock, Timeout

from skdnn.callbacks import warn
from skdnn.data.frames import short_repr
from skdnn.training import Progress

from ._archive import open_archive, read_header, write_archive
from ._atomic_replace import replace_atomically, replaceable_path, stat_regular_file
from ._fingerprint import make_fingerprint
from ._state import restore_from_archive

_FORMAT = "skdnn checkpoint 4"
_ENTRIES = ("fingerprint", "seed", "n_epochs")  # of the header, beside "format"
_PARTIAL = ".partial"
_PATH = "a str or os.PathLike that can name the file of a checkpoint"
_EPOCHS, _SECONDS = "an integer of at least 1 or None", "a finite number above 0 or None"
_NUMBERS = range(2**63)  # the seeds of a torch.Generator


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often a fit saves its training state, so that it can be resumed.

    A fit with the same parameters and data as the fit that wrote the file resumes from there. On
    the CPU, with the same number of threads, the result is bit-identical to that of an
    uninterrupted fit. A finished fit leaves its last checkpoint: delete the file to train anew. A
    damaged file, or one of another fit, raises an error and is not changed. Reading a file runs no
    code from it.

    `max_iter` may be changed, but not below the number of epochs trained so far. A larger one
    continues a fit that reached its `max_iter`; a fit that was stopped early or by a callback stays
    finished. With ``learning_rate_schedule="constant"`` or "inverse_scaling", the result is
    bit-identical to a fit with the new `max_iter` from the beginning. "cosine", "warmup_cosine" and
    functions depend on `max_iter`: after the checkpoint the learning rate follows the new schedule,
    so it rises again when a finished fit is continued.

    While a fit runs, other fits with the same file raise an error. A checkpoint is written to a
    file with the suffix ``.partial``, which ``.partial.lock`` locks, and then renamed, so that the
    file is complete at any time. If a save fails, for example because the disk is full, the fit
    warns and continues, the earlier checkpoint stays, and later saves are tried as planned.

    The file is an archive of NumPy as ``numpy.savez`` writes it, without pickled objects.

    Parameters
    ----------
    path : str or os.PathLike
        A regular file or a new one, in an existing, writable folder. Symbolic links are followed.
        The file keeps its owner and mode.
    every_epochs : int or None, default=None
        Number of epochs between two saves.
    every_seconds : float or None, default=30.0
        Save at the end of the first epoch after this many seconds. If both intervals are given,
        whichever ends first counts; if both are None, only the end of the fit is saved.

    Raises
    ------
    ValueError
        If the path cannot name a file, or an interval is not positive.

    See Also
    --------
    DeepBinaryClassifier, DeepRegressor : Take it, or just the path, as `checkpoint`.

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
    >>> again.n_iter_ == clf.n_iter_  # read from the file, not trained
    True
    """

    path: str | os.PathLike
    every_epochs: int | None = None
    every_seconds: float | None = 30.0

    def __post_init__(self) -> None:
        for name, is_valid, constraint in (
            ("path", _can_name_a_file(self.path), _PATH),
            ("every_epochs", _is_none_or_positive(self.every_epochs, Integral), _EPOCHS),
            ("every_seconds", _is_none_or_positive(self.every_seconds, Real), _SECONDS),
        ):
            if not is_valid:
                value = short_repr(getattr(self, name), longest=200)
                raise ValueError(f"{name} must be {constraint}, got {value}.")


def _can_name_a_file(path: Any) -> bool:
    try:
        text = os.fspath(path)
        return isinstance(text, str) and text != "" and b"\0" not in os.fsencode(text)
    except Exception:  # a user's class may raise anything
        return False


def _is_none_or_positive(value: Any, type_: Any) -> bool:
    """Return whether a value is None, or a positive and finite number of an abstract type."""
    with suppress(OverflowError):  # an integer too large for a float
        return value is None or (
            isinstance(value, type_)
            and not isinstance(value, bool)
            and value > 0
            and math.isfinite(value)
        )
    return False


class CheckpointFile:
    """The checkpoint file of one fit, as `open_checkpoint` opens it.

    Parameters
    ----------
    checkpoint : Checkpoint
    path : str
        The real path of the file.
    lock : FileLock
        Held by this fit.
    verbose : int
        Whether to print from which epoch the fit resumes.

    Attributes
    ----------
    seed : int or None
        The seed of the fit, to be set before it is saved.
    """

    def __init__(self, checkpoint: Checkpoint, path: str, lock: FileLock, verbose: int) -> None:
        self.checkpoint, self.path, self.lock, self.verbose = checkpoint, path, lock, verbose
        self.fingerprint: dict[str, str] = {}
        self.seed: int | None = None
        self.n_epochs: int | None = None  # in the file; None for a new file
        self.last_epoch, self.last_time, self.has_warned = 0, time.monotonic(), False
        self.signature = _signature(path)

    def saved_seed(self, parameters: Any, data: str) -> int | None:
        """Return the seed of the fit that wrote the file, None for a new file.

        Parameters
        ----------
        parameters : object
            The parameters as attributes.
        data : str
            The digest of all data of the fit.

        Raises
        ------
        ValueError
            If the file is damaged or not a checkpoint, or of a fit with other parameters or data.
        """
        self.fingerprint = make_fingerprint(parameters, data)
        if self.signature is not None:
            with open_archive(self.path) as archive:
                header = read_header(archive)
                saved, self.seed, self.n_epochs = map(header.pop, _ENTRIES)
                are_numbers = all(
                    type(n) is int and n in _NUMBERS for n in (self.seed, self.n_epochs)
                )
                if header != {"format": _FORMAT} or not isinstance(saved, dict) or not are_numbers:
                    raise ValueError("the header has other entries")
            differences = ", ".join(
                f"{name}={saved.get(name)} instead of {self.fingerprint.get(name)}"
                for name in {**self.fingerprint, **saved}
                if saved.get(name) != self.fingerprint.get(name)
            )
            if differences:
                raise ValueError(
                    f"checkpoint={self.path!r} belongs to a fit with other parameters or data: it "
                    f"has {differences}. Delete it to start anew, or name another file."
                )
        return self.seed

    def restore(self, progress: Progress) -> dict[str, Any] | None:
        """Set the progress of a training to that in the file, unless the file is new.

        Return the state in the file, None for a new file.

        Raises
        ------
        ValueError
            If the file does not have a state of this training.
        """
        state = None
        if self.n_epochs is not None:
            if self.n_epochs > progress.max_iter:
                raise ValueError(
                    f"checkpoint must be of at most max_iter={progress.max_iter} epochs, but "
                    f"{self.path!r} has been trained for {self.n_epochs}. Raise max_iter, or name "
                    "another file."
                )
            with open_archive(self.path) as archive:
                state = restore_from_archive(progress, archive, self.n_epochs)
        if self.verbose and progress.epoch:
            path = os.fspath(self.checkpoint.path)
            if progress.is_last:
                print(f"The fit of {path} is already finished")
            else:
                print(f"Resumed from epoch {progress.epoch} of {path}")
        return state

    def __call__(self, progress: Progress) -> None:
        """Save the training state if an interval has passed or the fit ends.

        Raises
        ------
        ValueError
            If another program has changed the file.

        Warns
        -----
        UserWarning
            Once, if the file cannot be saved, for example because the disk is full.
        """
        epochs, seconds = self.checkpoint.every_epochs, self.checkpoint.every_seconds
        is_due = (
            progress.is_last
            or (epochs is not None and progress.epoch - self.last_epoch >= epochs)
            or (seconds is not None and time.monotonic() - self.last_time >= seconds)
        )
        if not is_due:
            return
        entries = zip(_ENTRIES, (self.fingerprint, self.seed, progress.epoch), strict=True)
        try:
            if not self.lock.is_locked or _signature(self.path) != self.signature:
                raise ValueError(
                    f"checkpoint={self.path!r} was changed or deleted by another program during "
                    "the fit, or the fit was continued in a forked process."
                )
            with replace_atomically(self.path, self.path + _PARTIAL) as file:
                write_archive(file, {"format": _FORMAT, **dict(entries)}, progress.state())
            self.signature = _signature(self.path)
        except OSError as error:
            if not self.has_warned:
                warn(
                    f"The checkpoint {self.path!r} could not be saved: {error}. The fit continues, "
                    "the file is unchanged, and later saves are tried as planned.",
                )
            self.has_warned = True
        self.last_epoch, self.last_time = progress.epoch, time.monotonic()


@contextmanager
def open_checkpoint(parameters: Any) -> Iterator[CheckpointFile | None]:
    """Open the CheckpointFile of a fit, which is locked in the block; None if there is none.

    Parameters
    ----------
    parameters : object
        `checkpoint` and `verbose` as attributes.

    Raises
    ------
    ValueError
        If the file cannot be written or is in use by another fit.
    """
    checkpoint, verbose = parameters.checkpoint, parameters.verbose
    if checkpoint is None:
        yield None
        return
    checkpoint = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    path = replaceable_path(checkpoint.path, "checkpoint")
    with _locked(path) as lock:
        yield CheckpointFile(checkpoint, path, lock, verbose)


@contextmanager
def _locked(path: str) -> Iterator[FileLock]:
    """Lock a file that is to be written, by a lock file that is removed after the block."""
    partial_path = path + _PARTIAL
    lock = FileLock(partial_path + ".lock", timeout=0, thread_local=False)
    try:
        try:
            stat_regular_file(lock.lock_file)  # do not even open a device
            lock.acquire()
            if os.path.islink(partial_path) or stat_regular_file(partial_path):
                os.unlink(partial_path)  # a killed fit left it
        except OSError as error:
            if isinstance(error, Timeout) and os.path.exists(lock.lock_file):
                fault = "is in use by another fit. Each fit needs its own file."
            else:
                fault = f"cannot be written: {error}."
            raise ValueError(f"checkpoint={path!r} {fault}") from error
        yield lock
    finally:
        if lock.is_locked:  # not in a forked child
            with suppress(OSError):
                os.unlink(lock.lock_file)  # before it is released: then it may be another fit's
            lock.release()


def _signature(path: str) -> tuple[int, int, int] | None:
    """Return what changes if a program replaces a file; None if there is no file."""
    status = stat_regular_file(path)
    return None if status is None else (status.st_ino, status.st_size, status.st_mtime_ns)
