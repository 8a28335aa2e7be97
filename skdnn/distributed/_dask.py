"""Dask: a fit on the workers that hold the partitions, and predictions that are computed there.

The workers that hold partitions of X share one fit, as processes of a launcher do; the result is
the ordinary estimator of the client.
"""

import copy
import time
import uuid
import warnings
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from urllib.parse import urlparse

import numpy as np
import torch.distributed as dist
from scipy import sparse
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from skdnn.processes import fitting_among, training_by
from skdnn.training import train

from ._communicator import Communicator
from ._failures import SECONDS_BETWEEN_LOOKS, time_limit

_INSTALL = 'Rows of Dask must find skdnn[dask] installed: pip install "skdnn[dask]".'
_TIMEOUT = 600.0
# The stores of the fits that are going on in this process, by a name of the fit.
_stores: dict = {}


def is_dask_collection(X):
    """Return whether X is a Dask object, also of a kind that cannot be fitted on."""
    # By the name of its module: Dask itself is imported only where it is used.
    return type(X).__module__.partition(".")[0] == "dask"


def _check_rows(X, name):
    kinds = ("DataFrame", "Array") if name == "X" else ("DataFrame", "Series", "Array")
    if type(X).__name__ not in kinds:
        raise TypeError(
            f"{name} must be a DataFrame or an array of Dask, got a {type(X).__name__}. Make a "
            "DataFrame of a Series by to_frame, of a Bag by to_dataframe, of delayed objects by "
            "dask.dataframe.from_delayed."
        )
    if X.ndim > 2 or (name == "X" and X.ndim != 2):
        raise ValueError(f"Expected 2D array for {name}, got a Dask array of {X.ndim} axes.")


def fit_on_dask(estimator, X, y, sample_weight, X_val, y_val, groups, sample_weight_val):
    """Fit an estimator on the workers that hold the partitions of X, and return it.

    Parameters
    ----------
    estimator : NetworkEstimator
    X : dask.dataframe.DataFrame or dask.array.Array of shape (n_samples, n_features)
    y, sample_weight, X_val, y_val, groups, sample_weight_val
        As in `fit`. y and the weights are Dask collections, the validation set is in memory.
    """
    _check_rows(X, "X")
    validation = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
    _refuse(estimator, validation, groups)
    with _client() as client:
        parts = _parts(client, X, y, sample_weight)
        try:
            places = _places(client, parts)
            fitted = _fit_on(client, places, parts, clone(estimator), validation)
        finally:
            client.cancel(parts)
    # Of an earlier fit nothing is left.
    attributes = {**vars(fitted), **estimator.get_params(deep=False)}
    vars(estimator).clear()
    vars(estimator).update(attributes)
    return estimator


@contextmanager
def _client():
    """Give the client of this process, or in a task that of its worker."""
    try:
        from distributed import get_client, get_worker, worker_client
    except ImportError as error:
        raise ImportError(_INSTALL) from error
    _refuse_event_loop("fit")
    try:
        client = get_client()
    except ValueError as error:
        raise RuntimeError(
            "A fit of Dask collections must find workers: make a distributed.Client first, such as "
            "Client(LocalCluster())."
        ) from error
    try:
        get_worker()
    except ValueError:  # not in a task
        in_task = nullcontext(client)
    else:
        in_task = worker_client()  # gives the thread back to the worker while the task waits
    with in_task as client:
        yield client


def _refuse_event_loop(name):
    """Raise an error in the event loop of an asynchronous client, which must not wait."""
    try:
        from distributed import get_client

        is_in_loop = get_client().asynchronous
    except (ImportError, ValueError):  # no client
        return
    if is_in_loop:
        raise RuntimeError(
            f"{name} waits for Dask's workers and cannot run in the event loop of an asynchronous "
            f"client. Use await asyncio.to_thread(estimator.{name}, X, y), or a client without "
            "asynchronous=True."
        )


def _refuse(estimator, validation, groups):
    if groups is not None:
        raise ValueError("groups must be None where Dask's workers share a fit.")
    if getattr(estimator, "_skl_callbacks", None):
        raise ValueError(
            "callbacks must be none where Dask's workers share a fit: they would see "
            "a copy of the estimator on a worker."
        )
    for name, rows in validation.items():
        if hasattr(rows, "__dask_graph__"):
            raise TypeError(f"{name} must be in memory where X is of Dask: pass its compute().")


def _parts(client, X, y, sample_weight):
    """Return futures of (X, y) or (X, y, sample_weight), one for each partition of X."""
    from dask import delayed

    columns = {"X": X, "y": y, "sample_weight": sample_weight}
    if sample_weight is None:
        del columns["sample_weight"]
    for name, values in columns.items():
        if not hasattr(values, "__dask_graph__"):
            raise TypeError(
                f"{name} must be a collection of Dask as X is, got {type(values).__name__}."
            )
        _check_rows(values, name)
    found = [_partitions(_divided_like(X, values, name)) for name, values in columns.items()]
    for name, partitions in zip(columns, found, strict=True):
        if len(partitions) != len(found[0]):
            raise ValueError(
                f"{name} must have as many partitions as X, {len(found[0])}, got "
                f"{len(partitions)}, whose rows Dask does not know. Take both from one collection."
            )
    pairs = enumerate(zip(*found, strict=True))
    return client.compute([delayed(_checked_part)(k, *columns) for k, columns in pairs])


def _divided_like(X, values, name):
    """Return a collection in the partitions of X, where Dask knows which rows are in them."""
    if _is_array(X) and _is_array(values):
        n_rows, n_values = sum(X.chunks[0]), sum(values.chunks[0])
        if np.isnan(n_rows + n_values):
            return values
        if n_rows != n_values:
            raise ValueError(f"{name} must have as many rows as X, {n_rows}, got {n_values}.")
        return values.rechunk({0: X.chunks[0]})
    if not _is_array(X) and not _is_array(values):
        are_known = X.known_divisions and values.known_divisions
        edges = [(divisions[0], divisions[-1]) for divisions in (X.divisions, values.divisions)]
        if are_known and edges[0] == edges[1] and X.divisions != values.divisions:
            return values.repartition(divisions=X.divisions)
    return values


def _is_array(values):
    # Not by its attributes: a frame may have a column of any name.
    return type(values).__name__ == "Array"


def _partitions(values):
    """Return the partitions of a collection, as Dask's delayed values."""
    if _is_array(values) and values.ndim == 2:
        values = values.rechunk({1: -1})
    return np.ravel(values.to_delayed()).tolist()


def _checked_part(number, X, *others):
    """Return (X, *others) of a partition, once they have the same number of rows."""
    for name, values in zip(("y", "sample_weight"), others, strict=False):
        if values.shape[0] != X.shape[0]:
            raise ValueError(
                f"{name} must have as many rows as X in each partition, but partition {number} has "
                f"{X.shape[0]} rows of X and {values.shape[0]} of {name}. Take both from one "
                "collection, or repartition them alike."
            )
    return X, *others


def _places(client, parts):
    """Return which of the partitions each worker is to train on, of those that it holds."""
    from distributed import wait

    wait(parts)
    places, holders = {}, client.who_has(parts)
    for k, part in enumerate(parts):
        if not holders[part.key]:
            part.result()  # raises what went wrong
        places.setdefault(sorted(holders[part.key])[0], []).append(k)
    return places


def _fit_on(client, places, parts, estimator, validation):
    """Return the estimator, fitted by the workers."""
    from distributed import as_completed

    fit_id, size, fits = uuid.uuid4().hex, len(places), []
    with _only_fit_on(client, places):
        first = next(iter(places))
        where = client.submit(_open_store, fit_id, first, **_on(first)).result()
        try:
            for rank, (worker, numbers) in enumerate(places.items()):
                own = [(k, parts[k]) for k in numbers]
                task = _fit_part, fit_id, where, rank, size, worker, estimator, own, validation
                fits.append(client.submit(*task, **_on(worker)))
            done = [future.result() for future in as_completed(fits)]
        finally:
            client.cancel(fits)  # after Ctrl-C, too: the workers then stop after the epoch
    return next(fitted for fitted in done if fitted is not None)


@contextmanager
def _only_fit_on(client, workers):
    """Wait until no other fit uses these workers, and keep others waiting.

    A worker that fits with some could not with others.
    """
    from distributed import Semaphore

    with ExitStack() as stack:
        for worker in sorted(workers):  # in one order, so that no two fits wait for each other
            lock = Semaphore(1, f"skdnn-{worker}", client.scheduler, client.loop)
            # A lock that an interrupted wait still gets, or a client that died had, expires.
            stack.callback(setattr, lock, "refresh_leases", False)
            stack.enter_context(lock)
        yield


def _on(worker):
    # Elsewhere it would say at once that the worker has gone, instead of waiting for it.
    return {"workers": [worker], "allow_other_workers": True, "pure": False}


def _check_worker(worker):
    from distributed import get_worker

    if get_worker().address != worker:
        raise RuntimeError(f"The worker {worker}, which held rows of the fit, has gone.")


def _open_store(fit_id, worker):
    """Open the store where the processes of a fit meet, and return its address."""
    _check_worker(worker)
    host = urlparse(worker).hostname
    _stores[fit_id] = dist.TCPStore(
        host, 0, is_master=True, wait_for_workers=False, timeout=time_limit(_TIMEOUT)
    )
    return host, _stores[fit_id].port


def _fit_part(fit_id, where, rank, size, worker, estimator, parts, validation):
    """Fit with the other workers, and return the estimator from the first of them."""
    from distributed import get_worker

    _check_worker(worker)
    task = get_worker().state.tasks[get_worker().get_current_task()]
    store = _stores.pop(fit_id, None) if rank == 0 else None
    if store is None:
        store = dist.TCPStore(
            *where, is_master=False, wait_for_workers=False, timeout=time_limit(_TIMEOUT)
        )
    store.add("begun", 1)
    while store.add("begun", 0) < size:  # a worker may be busy with other tasks
        _check_wanted(task)
        time.sleep(SECONDS_BETWEEN_LOOKS)
    X, y, *weight = (_joined(column) for column in zip(*(part for _, part in parts), strict=True))
    group = Communicator(
        store,
        rank,
        size,
        timeout=_TIMEOUT,
        pieces=[(k, len(part[1])) for k, part in parts],
        host=urlparse(worker).hostname,
        is_keeper=rank == 0,
    )
    if rank > 0:  # the first process has the validation set
        validation = {name: v[:0] if np.ndim(v) else v for name, v in validation.items()}
    try:
        with fitting_among(group), training_by(partial(_train_while_wanted, task)):
            estimator.fit(X, y, *weight, **validation)
    finally:
        group.close()
    return estimator if rank == 0 else None


def _train_while_wanted(task, *arguments, observers=(), **options):
    """Train as `train` does, until an epoch in which the client has cancelled the task."""
    return train(*arguments, observers=[*observers, lambda _: _check_wanted(task)], **options)


def _check_wanted(task):
    """Raise an error if the client, interrupted or closed, has cancelled a task of its worker."""
    if task.state == "cancelled":
        raise RuntimeError("The client of Dask has cancelled the fit.")


def _joined(parts):
    """Return partitions one after another: frames, series, arrays or sparse matrices."""
    if len(parts) == 1:
        return parts[0]
    if hasattr(parts[0], "iloc"):
        import pandas as pd

        with warnings.catch_warnings():
            # That empty ones will count one day for the dtype.
            warnings.simplefilter("ignore", FutureWarning)
            return pd.concat(parts)
    if hasattr(parts[0], "tocsr"):
        return sparse.vstack(parts, format="csr")
    return np.concatenate(parts)


def predict_on_dask(estimator, method, X):
    """Return a lazy Dask array of the predictions, computed where the rows of X are.

    Parameters
    ----------
    estimator : NetworkEstimator
    method : str
        Such as "predict_proba".
    X : dask.dataframe.DataFrame or dask.array.Array of shape (n_samples, n_features)
    """
    _check_rows(X, "X")
    check_is_fitted(estimator)
    if not _is_array(X):
        row = X._meta_nonempty.iloc[:1]
        # What Dask puts into columns of text and objects might be none that the fit knows.
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


def _predict_part(X, estimator, method, none):
    return getattr(estimator, method)(X) if X.shape[0] else none


def score_on_dask(estimator, X, y, sample_weight):
    """Return accuracy or R²; the predictions, which it is made of, come to this process."""
    _refuse_event_loop("score")
    predicted, y, weight = map(_here, (predict_on_dask(estimator, "predict", X), y, sample_weight))
    scored = copy.copy(estimator)
    scored.predict = lambda predicted: predicted  # `score` then checks and weighs as in memory
    return scored.score(predicted, y, weight)


def _here(values):
    return values.compute() if hasattr(values, "__dask_graph__") else values
