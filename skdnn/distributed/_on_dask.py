"""Dask: a fit on the workers that hold the partitions, and predictions that are computed there.

The workers that hold partitions of X share one fit, as processes of a launcher do; the result is
the ordinary estimator of the client.
"""

import uuid
import warnings
from urllib.parse import urlparse

import numpy as np
import torch.distributed as dist
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.validation import check_is_fitted

from skdnn.sharing import fitting_among

from ._failing import time_limit
from ._group import ProcessGroup

_INSTALL = 'Rows of Dask must find skdnn[dask] installed: pip install "skdnn[dask]".'
_TIMEOUT = 600.0
# The stores of the fits that are going on in this process, by a name of the fit.
_stores: dict = {}


def do_on_workers(name, estimator, X, *arguments, **options):
    """Do what a method of an estimator does, for X, a collection of Dask.

    Parameters
    ----------
    name : str
        Of the method.
    estimator : NetworkEstimator
    X : dask.dataframe.DataFrame or dask.array.Array of shape (n_samples, n_features)
    *arguments, **options
        The others of the method.

    Returns
    -------
    object
        Of `fit` the estimator, of `score` a number, else a Dask array, which nothing is computed
        of yet.
    """
    _check_rows(X, "X")
    if name == "partial_fit":
        raise TypeError("partial_fit must have its rows in memory, got a Dask collection: use fit.")
    do = {"fit": _fit, "score": _score}.get(name)
    if do is not None:
        return do(estimator, X, *arguments, **options)
    return _predict(name, estimator, X)


def _check_rows(X, name):
    kinds = ("DataFrame",) if name == "X" else ("DataFrame", "Series")
    if type(X).__name__ not in (*kinds, "Array") or X.ndim > 2:
        raise TypeError(
            f"{name} must be a DataFrame or an array of Dask where X is, got {type(X).__name__}."
        )


def _fit(
    estimator,
    X,
    y,
    sample_weight=None,
    X_val=None,
    y_val=None,
    groups=None,
    sample_weight_val=None,
):
    client = _client()
    validation = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
    _refuse(estimator, validation, groups)
    parts = _parts(client, X, y, sample_weight)
    places = _places(client, parts)
    fitted = _fit_on(client, places, parts, clone(estimator), validation)
    # Of an earlier fit nothing is left.
    attributes = {**vars(fitted), **estimator.get_params(deep=False)}
    vars(estimator).clear()
    vars(estimator).update(attributes)
    return estimator


def _client():
    try:
        from distributed import get_client
    except ImportError as error:
        raise ImportError(_INSTALL) from error
    try:
        return get_client()
    except ValueError as error:
        raise RuntimeError(
            "A fit of Dask collections must find workers: make a distributed.Client first, such as "
            "Client(LocalCluster())."
        ) from error


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
    """Return futures of (X, y, sample_weight), one for each partition, computed by now."""
    from dask import delayed
    from distributed import wait

    columns = [_partitions(X, "X"), _partitions(y, "y")]
    if sample_weight is not None:
        columns.append(_partitions(sample_weight, "sample_weight"))
    for name, found in zip(("y", "sample_weight"), columns[1:], strict=False):
        if len(found) != len(columns[0]):
            raise ValueError(
                f"{name} must have as many partitions as X, {len(columns[0])}, got {len(found)}."
            )
    parts = client.compute([delayed(tuple)(part) for part in zip(*columns, strict=True)])
    wait(parts)
    return parts


def _partitions(values, name):
    """Return the partitions of a collection, as Dask's delayed values."""
    if not hasattr(values, "__dask_graph__"):
        raise TypeError(
            f"{name} must be a collection of Dask as X is, got {type(values).__name__}."
        )
    _check_rows(values, name)
    if type(values).__name__ == "Array" and values.ndim == 2:
        values = values.rechunk({1: -1})
    return np.ravel(values.to_delayed()).tolist()


def _places(client, parts):
    """Return which of the partitions each worker is to train on, of those that it holds."""
    places, holders = {}, client.who_has(parts)
    for k, part in enumerate(parts):
        if not holders[part.key]:
            part.result()  # raises what went wrong
        places.setdefault(sorted(holders[part.key])[0], []).append(k)
    return places


def _fit_on(client, places, parts, estimator, validation):
    """Return the estimator, fitted by the workers."""
    from distributed import MultiLock, as_completed

    fit_id, size = uuid.uuid4().hex, len(places)
    # A worker that fits with some could not with others: all locks at once, or none.
    with MultiLock([f"skdnn-{worker}" for worker in places], client=client):
        first = next(iter(places))
        where = client.submit(_open_store, fit_id, first, **_on(first)).result()
        fits = [
            client.submit(
                _fit_part, fit_id, where, rank, size, worker, estimator,
                [(k, parts[k]) for k in numbers], validation, **_on(worker),
            )
            for rank, (worker, numbers) in enumerate(places.items())
        ]  # fmt: skip
        try:
            done = [future.result() for future in as_completed(fits)]
        finally:
            client.cancel(fits)
    return next(fitted for fitted in done if fitted is not None)


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
    _check_worker(worker)
    store = _stores.pop(fit_id, None) if rank == 0 else None
    if store is None:
        store = dist.TCPStore(
            *where, is_master=False, wait_for_workers=False, timeout=time_limit(_TIMEOUT)
        )
    X, y, *weight = (_joined(column) for column in zip(*(part for _, part in parts), strict=True))
    group = ProcessGroup(
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
        with fitting_among(group):
            estimator.fit(X, y, *weight, **validation)
    finally:
        group.close()
    return estimator if rank == 0 else None


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


def _predict(name, estimator, X):
    """Return the Dask array of what a method answers for each row."""
    check_is_fitted(estimator)
    if type(X).__name__ == "DataFrame":
        meta = getattr(estimator, name)(X._meta_nonempty)[:0]
        return X.map_partitions(_answers, estimator, name, meta, meta=meta)
    X = X.rechunk({1: -1})
    meta = getattr(estimator, name)(np.zeros((1, X.shape[1]), dtype=X.dtype))[:0]
    if meta.ndim == 1:
        return X.map_blocks(_answers, estimator, name, meta, drop_axis=1, meta=meta)
    chunks = X.chunks[0], meta.shape[1:]
    return X.map_blocks(_answers, estimator, name, meta, chunks=chunks, meta=meta)


def _answers(X, estimator, name, none):
    return getattr(estimator, name)(X) if len(X) else none


def _score(estimator, X, y, sample_weight=None):
    """Return accuracy or R²; the predictions, which it is made of, come to this process."""
    predicted, y, weight = map(_here, (_predict("predict", estimator, X), y, sample_weight))
    score = accuracy_score if is_classifier(estimator) else r2_score
    return float(score(y, predicted, sample_weight=weight))


def _here(values):
    return values.compute() if hasattr(values, "__dask_graph__") else values
