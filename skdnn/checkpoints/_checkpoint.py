"""Save the training state of a fit to a file, and resume an interrupted fit from it.

`_archive` defines the format of the file, `_locked_file` guards it against other programs, and
`_fingerprint` describes the fit that it belongs to.
"""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from skdnn.callbacks import warn
from skdnn.data.frames import short_repr

from ._archive import SavedState, archive_content, read_archive
from ._atomic_replace import replaceable_path
from ._fingerprint import make_fingerprint
from ._locked_file import LockedFile

_SEEDS = range(2**63)  # those of a torch.Generator


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

    While a fit runs, it locks the file, and other fits with the same file raise an error. The lock
    is a file with the suffix ``.lock``. A checkpoint is written to a file with the suffix
    ``.partial`` and then renamed, so that the file is complete at any time. If a save fails, for
    example because the disk is full, the fit warns and continues, the earlier checkpoint stays, and
    later saves are tried as planned.

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
            (
                "path",
                _can_name_a_file(self.path),
                "a str or os.PathLike that can name the file of a checkpoint",
            ),
            (
                "every_epochs",
                self.every_epochs is None or _is_positive(self.every_epochs, Integral),
                "an integer of at least 1 or None",
            ),
            (
                "every_seconds",
                self.every_seconds is None or _is_positive(self.every_seconds, Real),
                "a finite number above 0 or None",
            ),
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


def _is_positive(value: Any, type_: Any) -> bool:
    """Return whether a value is a positive, finite number of an abstract type."""
    if isinstance(value, bool) or not isinstance(value, type_) or not value > 0:
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer too large for a float: a number of epochs may be
        return type_ is Integral


class CheckpointFile:
    """The checkpoint file of one fit. It is locked until `close`, or until it is deleted.

    Parameters
    ----------
    checkpoint : Checkpoint or None
        None saves nothing.

    Attributes
    ----------
    path : str or None
        The path as given by the user; None if `checkpoint` is None.
    is_active : bool
        Whether there is a file to write.
    fingerprint : dict of str or None
        What the fit that wrote the file depends on, by name. `find` replaces it with that of this
        fit.
    seed : int or None
        The seed of the fit that wrote the file, None for a new file. Set it before saving.
    state : SavedState or None
        The training state in the file. Its arrays are read when they are used.

    Raises
    ------
    ValueError
        If the file cannot be written, is in use by another fit, is not a checkpoint or is damaged.
    """

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        self.checkpoint, self.is_active = checkpoint, checkpoint is not None
        self.path: str | None = None
        self.file: LockedFile | None = None
        self.fingerprint: dict[str, str] | None = None
        self.seed: int | None = None
        self.state: SavedState | None = None
        self.last_epoch, self.last_time, self.has_warned = 0, time.monotonic(), False
        if checkpoint is None:
            return
        self.path = os.fspath(checkpoint.path)
        try:
            self.file = LockedFile(replaceable_path(self.path, "checkpoint"))
        except BlockingIOError as error:
            raise ValueError(
                f"checkpoint={self.path!r} is in use by another fit. Each fit needs its own file."
            ) from error
        except OSError as error:
            raise ValueError(f"checkpoint={self.path!r} cannot be written: {error}.") from error
        try:
            if os.path.lexists(self.file.path):
                self._read(self.file.path)
        except BaseException:
            self.close()
            raise

    def _read(self, path: str) -> None:
        try:
            metadata, self.state = read_archive(path)
        except OSError as error:
            raise ValueError(f"checkpoint={path!r} cannot be read: {error}.") from error
        match metadata:
            case {"origin": dict(fingerprint), "seed": int(seed), **others} if (
                not others
                and all(isinstance(text, str) for text in fingerprint.values())
                and type(seed) is int  # not a bool
                and seed in _SEEDS
            ):
                self.fingerprint, self.seed = fingerprint, seed
            case _:
                raise ValueError(f"checkpoint={path!r} is damaged.")

    def close(self) -> None:
        """Release the lock of the file."""
        if self.file is not None:
            self.file.close()

    def saved_seed(self, parameters: Any, examples: Any) -> int | None:
        """Return the seed of the fit that wrote the file, None for a new file.

        Parameters
        ----------
        parameters : object
            The parameters as attributes.
        examples : Examples

        Raises
        ------
        ValueError
            If that fit had other parameters or data.
        """
        processes = examples.processes
        if not processes.broadcast(self.is_active):
            return None
        earlier, self.fingerprint = self.fingerprint, make_fingerprint(parameters, examples)
        if self.file is not None and earlier is not None and earlier != self.fingerprint:
            differences = ", ".join(
                f"{name}={earlier.get(name)} instead of {self.fingerprint.get(name)}"
                for name in {**self.fingerprint, **earlier}
                if earlier.get(name) != self.fingerprint.get(name)
            )
            raise ValueError(
                f"checkpoint={self.file.path!r} belongs to a fit with other parameters or data: it "
                f"has {differences}. Delete it to start anew, or name another file."
            )
        return processes.broadcast(self.seed)

    def __call__(self, progress: Any) -> None:
        """Save the training state if an interval has passed or the fit ends.

        Parameters
        ----------
        progress : Progress

        Warns
        -----
        UserWarning
            Once, if the file cannot be saved, for example because the disk is full.
        """
        if self.checkpoint is None or self.file is None:
            return
        epochs, seconds = self.checkpoint.every_epochs, self.checkpoint.every_seconds
        is_due = (
            progress.is_last
            or (epochs is not None and progress.epoch - self.last_epoch >= epochs)
            or (seconds is not None and time.monotonic() - self.last_time >= seconds)
        )
        if not is_due:
            return
        path = self.file.path
        try:
            if not self.file.is_locked:
                raise ValueError(f"checkpoint={path!r} is not locked by this fit any more.")
            if not self.file.is_unchanged():
                raise ValueError(
                    f"checkpoint={path!r} was changed or deleted by another program during the fit."
                )
            metadata = {"origin": self.fingerprint, "seed": self.seed}
            self.file.replace(archive_content(metadata, progress.state()))
        except OSError as error:
            if not self.has_warned:
                warn(
                    f"The checkpoint {path!r} could not be saved: {error}. The fit continues, the "
                    "file is unchanged, and later saves are tried as planned.",
                )
            self.has_warned = True
        self.last_epoch, self.last_time = progress.epoch, time.monotonic()


@contextmanager
def open_checkpoint(checkpoint: Checkpoint | str | os.PathLike | None) -> Iterator[CheckpointFile]:
    """Open the CheckpointFile for the parameter `checkpoint`, and close it after the block."""
    if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint)
    checkpoint_file = CheckpointFile(checkpoint)
    try:
        yield checkpoint_file
    finally:
        checkpoint_file.close()
