"""Restore the state of a training from a file, if it can be a state of this training."""

from collections.abc import Iterator
from typing import Any
from zipfile import ZipFile

import numpy as np

from skdnn.training import CURVES, Progress

from ._archive import named_arrays, read_tree


def restore_from_archive(progress: Progress, archive: ZipFile, n_epochs: int) -> dict[str, Any]:
    """Restore the progress of a training from a file, and return its state.

    Parameters
    ----------
    progress : Progress
        Of this training, before its first epoch.
    archive : ZipFile
        Opened by `open_archive`.
    n_epochs : int
        Epochs of the training in the file.

    Raises
    ------
    ValueError, RuntimeError
        If the names, dtypes, shapes or values are impossible in this training.
    """
    expected = progress.state()
    for name in CURVES:
        is_recorded = progress.has_validation or name in ("costs", "criteria")
        n_rows = n_epochs if is_recorded else 0
        expected[name] = np.broadcast_to(0.0, (n_rows, expected[name].shape[1]))  # has no memory
    state = read_tree(archive, expected)
    progress.restore(state)
    for fault in _faults(progress, state, n_epochs):
        raise ValueError(fault)
    return state


def _faults(progress: Progress, state: dict[str, Any], n_epochs: int) -> Iterator[str]:
    """Yield what is impossible in a state that has been restored."""
    n_iter = progress.stopping.n_iter
    if n_iter.max() != n_epochs:
        yield f"it has {n_epochs} epochs, but early stopping ends after {n_iter.max()}"
    was_trained = np.arange(1, n_epochs + 1)[:, np.newaxis] <= n_iter
    for name in CURVES:
        if (np.isfinite(state[name]) != was_trained[: len(state[name])]).any():
            yield f"{name} are not finite, or of networks that had stopped"
    if not np.isfinite(state["kept"]).all():
        yield "kept is not finite"
    is_running = n_iter == n_epochs  # the weights of the others are not used any more
    moving = {"theta": state["theta"], "optimizer": state["optimizer"]}
    for name, values in named_arrays(moving):
        if values.ndim == 0:
            if values != n_epochs * progress.n_steps:
                yield f"{name} is {values} after {n_epochs} epochs"
            continue
        numbers = values.reshape(len(n_iter), -1)[is_running]
        if not np.isfinite(numbers).all():
            yield f"{name} is not finite"
        if name.rpartition("/")[2] in progress.optimizer.nonnegative and (numbers < 0).any():
            yield f"{name} is negative"
