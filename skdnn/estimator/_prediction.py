"""The prediction: from a fitted estimator and rows to answers, or to a torch module.

The network is made of the estimator's arrays once and kept beside the estimator, not in it: a
pickle holds none of it, and predicting adds nothing.
"""

import math
from collections.abc import Hashable
from contextlib import nullcontext
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skdnn.data.batches import network_inputs
from skdnn.data.frames import Table, as_tensor, row_chunks
from skdnn.data.streaming import open_source
from skdnn.network import Network, compute_raw_predictions, get_activation
from skdnn.training import ThreadPool, threads_for

from ._parameters import has_32_bits, plain
from ._reading import read_data
from ._split import fitted_encoder

# For so little work setting threads costs more than it is worth.
_TOO_LITTLE_FOR_THREADS = 3e6
_ALONE = ThreadPool()

_kept: WeakKeyDictionary = WeakKeyDictionary()


class FittedNetwork:
    """The network of a fitted estimator, as tensors that share the memory of its arrays.

    Parameters
    ----------
    fitted : NetworkEstimator
    """

    def __init__(self, fitted):
        self.made_of = _parts(fitted)  # kept, so that nothing else gets their identities
        self.identities = tuple(map(id, self.made_of))
        self.device = _available_device(fitted.device_)
        self.W = [None, *[as_tensor(coef, self.device).mT for coef in fitted.coefs_]]
        intercepts = [as_tensor(intercept, self.device) for intercept in fitted.intercepts_]
        self.b = [None, *[intercept.unsqueeze(-1) for intercept in intercepts]]
        self.dtype, self.n_outputs = self.W[1].dtype, self.W[-1].shape[-2]
        self.activations = [None, *map(get_activation, fitted.activations_)]
        self.output = fitted._task.output
        self.encoder, self.is_merged = fitted_encoder(fitted), fitted.input_encoding_ is None
        self.operations = 2 * sum(coef.size for coef in fitted.coefs_)  # for a row

    def is_of(self, fitted):
        """Tell whether an estimator still has the arrays that this is made of."""
        return tuple(map(id, _parts(fitted))) == self.identities

    def raw_predict(self, X, has_missing):
        """Return Z[L] for rows of any kind, of shape (n_outputs, n_samples), on the host."""
        inputs = network_inputs(
            X, self.encoder, self.dtype, self.device, self.is_merged, has_missing
        )
        Z = compute_raw_predictions(inputs.mT, self.W, self.b, self.activations)
        return (Z if Z.ndim == 2 else self.output.mean(Z)).cpu()


def raw_predict(fitted, X):
    """Return what a fitted estimator answers for X: logits or numbers.

    In float32 where neither the network nor the columns of numbers in X have more than 32 bits,
    else in float64. A frame of categories alone gives the dtype of the network.

    Parameters
    ----------
    fitted : NetworkEstimator
    X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
        Or in a file, which is then read part by part.

    Returns
    -------
    array of shape (n_samples,), or (n_samples, n_outputs) with several outputs
        Of several networks, that of their mean.

    Raises
    ------
    ValueError
        If the estimator is not fitted, X not such as in `fit`, or an answer not a number.
    """
    if not hasattr(fitted, "coefs_"):
        check_is_fitted(fitted)  # tells; and takes longer than one row through the network
    if _is_plainly_valid(fitted, X):
        return _raw_predict(fitted, X, has_missing=False)
    source = open_source(X)
    if source is None:
        return _raw_predict(fitted, read_data(fitted, X))
    tables = source.tables(features_in(fitted, source))
    return np.concatenate([_raw_predict(fitted, read_data(fitted, table)) for table in tables])


def columns_beside(X, y, sample_weight):
    """Return y and weights; where X is in a file and they are names, the columns of these."""
    source = open_source(X) if isinstance(y, str) else None
    if source is None:
        return y, sample_weight
    source.check_names([y], "y")
    if isinstance(sample_weight, str):
        source.check_names([sample_weight], "sample_weight")
        sample_weight = source.column(sample_weight)
    return source.column(y), sample_weight


def features_in(fitted, source):
    """Return the names of the columns of a Source that a fitted estimator predicts from.

    Raises
    ------
    ValueError
        If they are not there, or there are no rows.
    """
    check_is_fitted(fitted)
    if not source.n_rows:
        raise ValueError("X must hold rows, got none.")
    names = getattr(fitted, "feature_names_in_", source.names)
    source.check_names(list(names), "feature_names_in_")
    return list(names)


def _raw_predict(fitted, X, has_missing=True):
    network = _network_of(fitted)
    operations = network.operations * X.shape[0]
    with torch.no_grad(), _threads(operations, fitted) as workers:
        n = workers.worth(operations)
        chunks = list(row_chunks(X, n))
        if len(chunks) == 1:
            Z = network.raw_predict(X, has_missing)
        else:
            # Made before the chunks: small results among them would keep what they free from reuse.
            shape = network.n_outputs, X.shape[0]
            Z = torch.empty(shape, dtype=network.dtype, device="cpu")
            compute = partial(_compute_chunks, network, X, has_missing, Z)
            fractions = [chunks[k::n] for k in range(min(n, len(chunks)))]
            workers.map(compute, fractions)
    Z = Z[0].numpy() if len(Z) == 1 else Z.mT.numpy()
    if math.isnan(Z.sum()) and np.isnan(Z).any():
        raise ValueError(
            f"X must hold numbers that a network in {Z.dtype} can compute with, got too large ones."
        )
    dtype = X.numbers_dtype if isinstance(X, Table) else X.dtype
    return Z if has_32_bits(dtype) else Z.astype(np.float64, copy=False)


def _compute_chunks(network, X, has_missing, Z, chunks):
    for rows in chunks:
        Z[:, rows] = network.raw_predict(X[rows], has_missing)


def _network_of(fitted):
    """Return the FittedNetwork of an estimator, that of the last time if it is the same."""
    if not isinstance(fitted, Hashable):
        return FittedNetwork(fitted)
    network = _kept.get(fitted)
    if network is None or not network.is_of(fitted):
        network = _kept[fitted] = FittedNetwork(fitted)
    return network


def _parts(fitted):
    others = fitted.activations_, fitted._encoding, fitted.input_encoding_, fitted.device_
    return (*fitted.coefs_, *fitted.intercepts_, *others)


def _threads(operations, fitted):
    if operations < _TOO_LITTLE_FOR_THREADS:
        return nullcontext(_ALONE)
    return threads_for(operations, plain(fitted.n_threads))


def _is_plainly_valid(fitted, X):
    """Tell whether X is an array that scikit-learn's checks would find nothing to say about.

    For one row they take longer than the network, so such an array goes without.
    """
    if type(X) is not np.ndarray or hasattr(fitted, "feature_names_in_"):
        return False
    if fitted.column_kinds_ is not None:
        return False
    if X.ndim != 2 or len(X) == 0 or X.shape[1] != fitted.n_features_in_ or X.dtype.kind != "f":
        return False
    return math.isfinite(X.sum())  # not finite: a number is not, or the sum is too large


def _available_device(device):
    """Return the device of the fit, or the CPU where there is no such device any more."""
    device = torch.device(device)
    if device.type == "cpu" or (device.index or 0) < torch.cuda.device_count():
        return device
    return torch.device("cpu")


def fitted_module(fitted):
    """Return a fitted estimator's network as a torch.nn.Sequential from X to its answers."""
    check_is_fitted(fitted)
    dtype = getattr(torch, fitted.coefs_[0].dtype.name)
    activations = [get_activation(activation) for activation in fitted.activations_]
    n_networks = len(fitted.coefs_[0]) if fitted.coefs_[0].ndim == 3 else None
    network = Network(
        fitted.layer_sizes_,
        activations,
        output=fitted._task.output,
        n_networks=n_networks,
        dtype=dtype,
    )
    network.load(fitted.coefs_, fitted.intercepts_)
    module = network.to_module()
    if fitted.input_encoding_ is not None:
        module.insert(0, fitted_encoder(fitted).to_module(dtype))
    return module.eval()
