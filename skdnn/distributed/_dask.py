"""Dask: a fit on the workers that hold the partitions of X, and lazy predictions.

The workers share one fit, as the processes of a launcher do. The result is an ordinary estimator in
the process of the client.
"""

import copy
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from operator import attrgetter
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch.distributed as dist
from scipy import sparse
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from skdnn.processes import use_processes, use_trainer
from skdnn.training import TrainingResult, train

from ._communicator import Communicator
from ._failures import POLL_INTERVAL

_TIMEOUT = 600.0
Part = tuple[int, tuple[Any, ...]]  # the number of a partition, and its X, y and sample_weight


def is_dask_collection(X: Any) -> bool:
    """Return whether X is a Dask object, perhaps of a kind that cannot be fitted."""
    # By the name of its module, because Dask is imported only where it is used.
    return type(X).__module__.partition(".")[0] == "dask"


def _check_collection(X: Any, name: str) -> None:
    kinds = ("DataFrame", "Array") if name == "X" else ("DataFrame", "Series", "Array")
    if type(X).__name__ not in kinds:
        raise TypeError(
            f"{name} must be a Dask DataFrame or array, got a {type(X).__name__}. Convert a Series "
            "by to_frame, a Bag by to_dataframe, delayed objects by dask.dataframe.from_delayed."
        )
    if X.ndim > 2 or (name == "X" and X.ndim != 2):
        expected = "2D" if name == "X" else "1D or 2D"
        raise ValueError(f"Expected {expected} array for {name}, got a {X.ndim}D Dask array.")


def _is_array(values: Any) -> bool:
    # Not by its attributes, because a data frame may have a column of any name.
    return type(values).__name__ == "Array"


def fit_on_dask(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    X_val: Any,
    y_val: Any,
    groups: Any,
    sample_weight_val: Any,
) -> dict[str, Any]:
    """Return the attributes of an estimator after a fit on the workers that hold parts of X.

    Parameters
    ----------
    estimator : NetworkEstimator
        It is cloned, and stays as it is.
    X : dask.dataframe.DataFrame or dask.array.Array of shape (n_samples, n_features)
    y, sample_weight, X_val, y_val, groups, sample_weight_val
        As in `fit`. y and sample_weight are Dask collections, the validation set is in memory.
    """
    _check_collection(X, "X")
    if groups is not None:
        raise ValueError("groups must be None for a fit of Dask collections.")
    if getattr(estimator, "_skl_callbacks", None):
        raise ValueError(
            "Callbacks are not supported for Dask collections: they would see a copy of the "
            "estimator on a worker."
        )
    validation = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
    for name, rows in validation.items():
        if hasattr(rows, "__dask_graph__"):
            raise TypeError(f"{name} must be in memory. Pass {name}.compute() instead.")
    with _client() as client:
        parts = _submit_parts(client, X, y, sample_weight)
        try:
            fitted = _fit_on_workers(client, parts, clone(estimator), validation)
        finally:
            client.cancel(parts)
    return {**vars(fitted), **estimator.get_params(deep=False)}


@contextmanager
def _client() -> Iterator[Any]:
    """Yield the client of this process, in a task that of its worker."""
    try:
        from distributed import get_client, get_worker, worker_client
    except ImportError as error:
        raise ImportError(
            'A fit of Dask collections needs the package distributed: pip install "skdnn[dask]".'
        ) from error
    _check_not_in_event_loop("fit")
    try:
        client = get_client()
    except ValueError as error:
        raise RuntimeError(
            "A fit of Dask collections needs workers. Create a distributed.Client first, such as "
            "Client(LocalCluster())."
        ) from error
    try:
        get_worker()
    except ValueError:  # not in a task
        context: Any = nullcontext(client)
    else:
        context = worker_client()  # lets the worker use the thread while this task waits
    with context as client:
        yield client


def _check_not_in_event_loop(method: str) -> None:
    """Raise an error in the event loop of an asynchronous client, which must not be blocked."""
    try:
        from distributed import get_client

        is_in_loop = get_client().asynchronous
    except (ImportError, ValueError):  # no client
        return
    if is_in_loop:
        raise RuntimeError(
            f"{method} waits for Dask's workers and cannot run in the event loop of an "
            f"asynchronous client. Use await asyncio.to_thread(estimator.{method}, X, y), or a "
            "client without asynchronous=True."
        )


def _submit_parts(client: Any, X: Any, y: Any, sample_weight: Any) -> list[Any]:
    """Return futures of (X, y) or (X, y, sample_weight), one for each partition of X."""
    from dask import delayed

    columns = {"X": X, "y": y, "sample_weight": sample_weight}
    if sample_weight is None:
        del columns["sample_weight"]
    partitions = []
    for name, values in columns.items():
        if not hasattr(values, "__dask_graph__"):
            raise TypeError(
                f"{name} must be a Dask collection, as X is, got {type(values).__name__}."
            )
        _check_collection(values, name)
        values = _chunked_like(X, values, name)
        if _is_array(values) and values.ndim == 2:
            values = values.rechunk({1: -1})
        partitions.append(np.ravel(values.to_delayed()).tolist())
        if len(partitions[-1]) != len(partitions[0]):
            raise ValueError(
                f"{name} must have as many partitions as X, {len(partitions[0])}, got "
                f"{len(partitions[-1])}. Take both from one collection."
            )
    parts = enumerate(zip(*partitions, strict=True))
    return client.compute([delayed(_checked_part)(k, *part) for k, part in parts])


def _chunked_like(X: Any, values: Any, name: str) -> Any:
    """Return an array with the chunks of rows of X, or the collection if the rows are unknown."""
    if not _is_array(X) or not _is_array(values):
        return values
    n_rows, n_values = sum(X.chunks[0]), sum(values.chunks[0])
    if np.isnan(n_rows + n_values):
        return values
    if n_rows != n_values:
        raise ValueError(f"{name} must have as many rows as X, {n_rows}, got {n_values}.")
    return values.rechunk({0: X.chunks[0]})


def _checked_part(number: int, X: Any, *others: Any) -> tuple[Any, ...]:
    """Return (X, *others) of a partition if all have the same number of rows."""
    for name, values in zip(("y", "sample_weight"), others, strict=False):
        if values.shape[0] != X.shape[0]:
            raise ValueError(
                f"{name} must have as many rows as X in each partition, but partition {number} has "
                f"{X.shape[0]} rows of X and {values.shape[0]} of {name}. Take both from one "
                "collection, or repartition them alike."
            )
    return X, *others


def _fit_on_workers(client: Any, parts: list[Any], estimator: Any, validation: dict) -> Any:
    """Return the estimator, fitted by the workers that hold the parts."""
    from distributed import Semaphore, as_completed, wait

    wait(parts)
    parts_of: dict[str, list[tuple[int, Any]]] = {}  # by the address of a worker that holds them
    holders = client.who_has(parts)
    for k, part in enumerate(parts):
        if not holders[part.key]:
            part.result()  # raises the error of the part
        parts_of.setdefault(min(holders[part.key]), []).append((k, part))
    # A task on another worker raises an error itself. Without `allow_other_workers` it would wait
    # for a worker that has gone.
    submit = partial(client.submit, allow_other_workers=True, pure=False)
    with ExitStack() as locks:
        # Only one fit at a time uses a worker: two that waited for each other's processes would
        # hang. All fits lock the workers in the same order.
        for worker in sorted(parts_of):
            lock = Semaphore(1, f"skdnn-{worker}", client.scheduler, client.loop)
            # Without refreshing, the lock of an interrupted wait or of a dead client expires.
            locks.callback(setattr, lock, "refresh_leases", False)
            locks.enter_context(lock)
        first, fits = next(iter(parts_of)), []
        # The store stays in the memory of its worker until the future is cancelled.
        store = submit(_open_store, first, workers=[first])
        address = submit(attrgetter("host", "port"), store, workers=[first])
        try:
            for rank, (worker, own) in enumerate(parts_of.items()):
                place = store if rank == 0 else address
                task = _fit_part, place, rank, len(parts_of), worker, estimator, own, validation
                fits.append(submit(*task, workers=[worker]))
            results = [future.result() for future in as_completed(fits)]
        finally:  # also after Ctrl-C: the workers then stop after the epoch
            client.cancel([*fits, address, store])
    return next(fitted for fitted in results if fitted is not None)


def _check_worker(worker: str) -> None:
    from distributed import get_worker

    if get_worker().address != worker:
        raise RuntimeError(f"The worker {worker}, which held rows of the fit, has ended.")


def _open_store(worker: str) -> "dist.TCPStore":
    """Open the store of a fit on a worker."""
    _check_worker(worker)
    return _connect((str(urlparse(worker).hostname), 0), is_master=True)


def _connect(address: tuple[str, int], is_master: bool) -> "dist.TCPStore":
    timeout = timedelta(seconds=_TIMEOUT)
    return dist.TCPStore(*address, is_master=is_master, wait_for_workers=False, timeout=timeout)


def _fit_part(
    place: "dist.TCPStore | tuple[str, int]",
    rank: int,
    size: int,
    worker: str,
    estimator: Any,
    parts: list[Part],
    validation: dict[str, Any],
) -> Any:
    """Fit on a worker together with the others; return the estimator from rank 0, else None.

    Rank 0 has the store, the others have its address.
    """
    from distributed import get_worker

    _check_worker(worker)
    task = get_worker().state.tasks[get_worker().get_current_task()]
    store = _connect(place, is_master=False) if isinstance(place, tuple) else place
    store.add("n_ready", 1)
    while store.add("n_ready", 0) < size:  # a worker may be busy with other tasks
        _check_not_cancelled(task)
        time.sleep(POLL_INTERVAL)
    X, y, *weight = (
        _concatenated(column) for column in zip(*(part for _, part in parts), strict=True)
    )
    communicator = Communicator(
        store,
        rank,
        size,
        timeout=_TIMEOUT,
        partitions=[(k, len(part[1])) for k, part in parts],
        host=urlparse(worker).hostname,
        hosts_store=rank == 0,
    )
    if rank > 0:  # process 0 has the validation set
        validation = {name: v[:0] if np.ndim(v) else v for name, v in validation.items()}
    try:
        with use_processes(communicator), use_trainer(partial(_train_until_cancelled, task)):
            estimator.fit(X, y, *weight, **validation)
    finally:
        communicator.close()
    return estimator if rank == 0 else None


def _train_until_cancelled(
    task: Any, *arguments: Any, observers: Any = (), **options: Any
) -> TrainingResult:
    """Do what `train` does, but raise an error after an epoch if the task is cancelled."""
    observers = [*observers, lambda _: _check_not_cancelled(task)]
    return train(*arguments, observers=observers, **options)


def _check_not_cancelled(task: Any) -> None:
    """Raise an error if the client, interrupted or closed, has cancelled a task of its worker."""
    if task.state == "cancelled":
        raise RuntimeError("The Dask client has cancelled the fit.")


def _concatenated(parts: tuple[Any, ...]) -> Any:
    """Return the rows of several data frames, series, arrays or sparse matrices as one."""
    if len(parts) == 1:
        return parts[0]
    if hasattr(parts[0], "iloc"):
        import pandas as pd

        return pd.concat(parts)
    if hasattr(parts[0], "tocsr"):
        return sparse.vstack(parts, format="csr")
    return np.concatenate(parts)


def predict_on_dask(estimator: Any, method: str, X: Any) -> Any:
    """Return a lazy Dask array of predictions, which are computed by the workers.

    Parameters
    ----------
    estimator : NetworkEstimator
    method : str
        Such as "predict_proba".
    X : dask.dataframe.DataFrame or dask.array.Array of shape (n_samples, n_features)
    """
    _check_collection(X, "X")
    check_is_fitted(estimator)
    # The predictions of an example row, without the row, tell Dask dtype and shape.
    if not _is_array(X):
        row = X._meta_nonempty.iloc[:1]
        # Dask's examples of text and objects might be no valid values; missing values are.
        row = row.where(np.array([[dtype.kind in "iuf" for dtype in row.dtypes]]))
        meta = getattr(estimator, method)(row)[:0]
        return X.map_partitions(_predict_part, estimator, method, meta, meta=meta)
    X = X.rechunk({1: -1})
    is_number = X.dtype.kind in "biuf"
    row = np.full((1, X.shape[1]), 0 if is_number else None, X.dtype if is_number else object)
    meta = getattr(estimator, method)(row)[:0]
    if meta.ndim == 1:
        return X.map_blocks(_predict_part, estimator, method, meta, drop_axis=1, meta=meta)
    chunks = X.chunks[0], meta.shape[1:]
    return X.map_blocks(_predict_part, estimator, method, meta, chunks=chunks, meta=meta)


def _predict_part(X: Any, estimator: Any, method: str, empty: np.ndarray) -> np.ndarray:
    return getattr(estimator, method)(X) if X.shape[0] else empty


def score_on_dask(estimator: Any, X: Any, y: Any, sample_weight: Any) -> float:
    """Return accuracy or R²; y and the predictions are computed and sent to this process."""
    _check_not_in_event_loop("score")
    predicted, y, weight = (
        values.compute() if hasattr(values, "__dask_graph__") else values
        for values in (predict_on_dask(estimator, "predict", X), y, sample_weight)
    )
    scored = copy.copy(estimator)
    # `score` then checks y and the weights as for rows in memory.
    scored.predict = lambda predicted: predicted
    return scored.score(predicted, y, weight)
