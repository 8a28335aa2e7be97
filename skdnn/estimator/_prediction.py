"""Predictions of a fitted estimator, and its network as a torch module.

The network is built from the estimator's arrays once and cached beside the estimator, not in it:
predicting changes neither the estimator nor its pickle. Standardisation is merged into its first
layer where this loses nothing, so that predictions need not encode X.
"""

import math
import os
from collections.abc import Hashable, Iterable, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from operator import is_
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from skdnn.data.batches import network_inputs
from skdnn.data.encoding import FirstLayer, FirstLayerOfTwoKinds, Standardize
from skdnn.data.frames import Table, as_tensor, row_chunks
from skdnn.data.streaming import open_source
from skdnn.network import Network, compute_raw_predictions, get_activation, propagate_from_Z1
from skdnn.training import ThreadPool, threads_for

from ._parameters import has_32_bits, to_python
from ._reading import read_new_rows
from ._split import fitted_encoder

# X as users pass it, and as `read_new_rows` returns it.
MatrixLike: TypeAlias = (
    ArrayLike | sparse.sparray | sparse.spmatrix | os.PathLike | Sequence[os.PathLike]
)
Rows: TypeAlias = np.ndarray | sparse.csr_array | sparse.csr_matrix | torch.Tensor | Table

# Below so many operations, setting the number of threads takes longer than it saves.
OPERATIONS_WORTH_SETTING_THREADS = 3e6
# From so many inputs, and encoded numbers in all rows, looking up what they add to the first layer
# is faster.
INPUTS_WORTH_LOOKUP = 64
NUMBERS_WORTH_LOOKUP = 2**15
_SINGLE_THREAD = ThreadPool()

# By estimator: the attributes that its network was built from, and the network.
_networks: WeakKeyDictionary = WeakKeyDictionary()


class FittedNetwork:
    """The network of a fitted estimator, as tensors that share the memory of its arrays.

    A first layer that standardises X itself is a copy.

    Parameters
    ----------
    fitted : NetworkEstimator

    Attributes
    ----------
    is_merged : bool
        Whether the first layer takes X as it is: X is not encoded, or only standardised.
    coefs, intercepts : lists of arrays
        Those of the estimator, except for a first layer that standardises.
    rows_worth_lookup : float
        The number of rows from which the first layer is computed by tables.
    width : int
        About how many numbers a row takes while it is predicted among many.
    """

    def __init__(self, fitted: Any) -> None:
        self.device = torch.device(fitted.device_)
        if self.device.type != "cpu" and (self.device.index or 0) >= torch.cuda.device_count():
            self.device = torch.device("cpu")  # fitted on another machine
        self.coefs, self.intercepts = list(fitted.coefs_), list(fitted.intercepts_)
        self.encoder, self.is_merged = fitted_encoder(fitted), fitted.input_encoding_ is None
        self.embedding, self.embedding_parameters = fitted._embedding
        dtype = self.coefs[0].dtype
        can_merge = self.embedding is None and self.encoder.merges_exactly(dtype)
        if can_merge and not self.is_merged:
            self.is_merged = True
            merged = self.encoder.block(Standardize).merge(self.coefs[0], self.intercepts[0])
            self.coefs[0], self.intercepts[0] = (array.astype(dtype) for array in merged)
        self.W: list[Any] = [None, *[as_tensor(coef, self.device).mT for coef in self.coefs]]
        intercepts = [as_tensor(intercept, self.device) for intercept in self.intercepts]
        self.b: list[Any] = [None, *[intercept.unsqueeze(-1) for intercept in intercepts]]
        self.dtype, self.n_outputs = self.W[1].dtype, self.W[-1].shape[-2]
        self.activations = [None, *map(get_activation, fitted.activations_)]
        self.embed = None
        if self.embedding is not None:
            self.embedding = self.embedding.for_predictions(self.device)
            parameters = as_tensor(self.embedding_parameters, self.device)
            self.embed = partial(self.embedding.outputs, parameters=parameters)
        self.output = fitted._task.output
        self.width, self.rows_worth_lookup = self.encoder.n_outputs, math.inf
        has_lookup = bool(self.encoder.blocks_with_lookup) and self.width >= INPUTS_WORTH_LOOKUP
        # If all networks have cosines, there are no bins to look up.
        has_bins = self.embedding is None or isinstance(self.embedding.is_user, torch.Tensor)
        if has_lookup and has_bins and self.device.type == "cpu":
            self.rows_worth_lookup = NUMBERS_WORTH_LOOKUP / self.width
            # Two rows of the table and two weights for each number.
            self.width = max(4 * fitted.n_features_in_, self.b[1].numel() // 4)
        self.operations_per_row = 2 * sum(coef.size for coef in fitted.coefs_)

    @cached_property
    def first_layer(self) -> FirstLayer | FirstLayerOfTwoKinds:
        """The first layer by tables, which few rows do not need."""
        if self.embedding is None:
            return FirstLayer(self.encoder, self.W[1], self.b[1])
        embedding = self.embedding, as_tensor(self.embedding_parameters)
        return FirstLayerOfTwoKinds(self.encoder, self.W[1], self.b[1], *embedding)

    def raw_predict(self, X: Rows, has_missing: bool) -> torch.Tensor:
        """Return Z[L] of shape (n_outputs, n_samples) on the CPU, the mean of several networks."""
        if X.shape[0] >= self.rows_worth_lookup:
            Z1 = self.first_layer.raw_predict(X)
            Z = propagate_from_Z1(Z1, self.W, self.b, self.activations)
        else:
            options = self.dtype, self.device, self.is_merged, has_missing
            inputs = network_inputs(X, self.encoder, *options)
            Z = compute_raw_predictions(inputs.mT, self.W, self.b, self.activations, self.embed)
        return (Z if Z.ndim == 2 else self.output.mean(Z)).cpu()


def raw_predict(fitted: Any, X: MatrixLike) -> np.ndarray:
    """Return the raw predictions for X: logits of a classifier, values of a regressor.

    They are float32 if neither the network nor the numeric columns of X have more than 32 bits,
    else float64. A frame of categories alone gives the dtype of the network.

    Parameters
    ----------
    fitted : NetworkEstimator
    X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
        Or files as in `fit`, which are read in parts.

    Returns
    -------
    array of shape (n_samples,), or (n_samples, n_outputs) with several outputs
        The mean prediction of several networks.

    Raises
    ------
    ValueError
        If the estimator is not fitted, X does not match the X of `fit`, or a prediction is NaN.
    """
    if not hasattr(fitted, "coefs_"):
        check_is_fitted(fitted)  # raises; for one row the check takes longer than the network
    if _is_valid_array(fitted, X):
        return _predict_rows(fitted, X, has_missing=False)
    source = open_source(X)
    if source is None:
        return _predict_rows(fitted, read_new_rows(fitted, X))
    tables = source.tables(features_in(fitted, source))
    return np.concatenate([_predict_rows(fitted, read_new_rows(fitted, table)) for table in tables])


def read_target_and_weight(
    X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Any, Any]:
    """Return y and the sample weights, read from the files of X if they are column names."""
    if not isinstance(y, str) or (source := open_source(X)) is None:
        return y, sample_weight
    source.check_names([y], "y")
    if isinstance(sample_weight, str):
        source.check_names([sample_weight], "sample_weight")
        sample_weight = source.column(sample_weight)
    return source.column(y), sample_weight


def features_in(fitted: Any, source: Any) -> list[str]:
    """Return the names of the columns of a Source that a fitted estimator predicts from.

    Raises
    ------
    ValueError
        If a column is missing or there are no rows.
    """
    check_is_fitted(fitted)
    if not source.n_rows:
        raise ValueError("X must hold rows, got none.")
    names = list(getattr(fitted, "feature_names_in_", source.names))
    source.check_names(names, "feature_names_in_")
    return names


def _predict_rows(fitted: Any, X: Rows, has_missing: bool = True) -> np.ndarray:
    network = _network_of(fitted)
    with torch.no_grad():
        if X.shape[0] == 1:
            Z = network.raw_predict(X, has_missing)
        else:
            Z = _predict_in_chunks(network, X, has_missing, to_python(fitted.n_threads))
    predictions = Z[0].numpy() if len(Z) == 1 else Z.mT.numpy()
    if math.isnan(predictions.sum()) and np.isnan(predictions).any():
        raise ValueError(
            f"X must hold numbers that a network in {predictions.dtype} can compute with, got too "
            "large ones."
        )
    dtype = X.numbers_dtype if isinstance(X, Table) else X.dtype
    return predictions if has_32_bits(dtype) else predictions.astype(np.float64, copy=False)


def _predict_in_chunks(
    network: FittedNetwork, X: Rows, has_missing: bool, n_threads: int | None
) -> torch.Tensor:
    """Return Z[L] of shape (n_outputs, n_samples), computed in chunks, by several threads."""
    operations = network.operations_per_row * X.shape[0]
    threads: Any = nullcontext(_SINGLE_THREAD)
    if operations >= OPERATIONS_WORTH_SETTING_THREADS:
        threads = threads_for(operations, n_threads)
    with threads as pool:
        n = pool.worth(operations)
        chunks = list(row_chunks(X, n, network.width))
        if len(chunks) == 1:
            return network.raw_predict(X, has_missing)
        # Allocated first: small results among the chunks would fragment the memory they free.
        shape = network.n_outputs, X.shape[0]
        Z = torch.empty(shape, dtype=network.dtype, device="cpu")

        def compute(chunks_of_thread: Iterable[slice]) -> None:
            for rows in chunks_of_thread:
                Z[:, rows] = network.raw_predict(X[rows], has_missing)

        pool.map(compute, [chunks[k::n] for k in range(min(n, len(chunks)))])
    return Z


def _network_of(fitted: Any) -> FittedNetwork:
    """Return the FittedNetwork of an estimator, from the cache if no attribute was replaced."""
    others = fitted.activations_, fitted.input_encoding_, fitted.device_
    attributes = (*fitted.coefs_, *fitted.intercepts_, *others)
    if not isinstance(fitted, Hashable):
        return FittedNetwork(fitted)
    built_from, network = _networks.get(fitted, ((), None))
    if len(built_from) != len(attributes) or not all(map(is_, built_from, attributes)):
        network = FittedNetwork(fitted)
        _networks[fitted] = attributes, network
    return network


def _is_valid_array(fitted: Any, X: Any) -> bool:
    """Return whether X is an array of numbers that needs no further checks.

    For one row, scikit-learn's checks take longer than the network.
    """
    return (
        type(X) is np.ndarray
        and not hasattr(fitted, "feature_names_in_")
        and fitted.column_kinds_ is None
        and X.ndim == 2
        and len(X) > 0
        and X.shape[1] == fitted.n_features_in_
        and X.dtype.kind == "f"
        and math.isfinite(X.sum())  # else a number is not finite, or the sum overflows
    )


def fitted_module(fitted: Any) -> torch.nn.Sequential:
    """Return the network of a fitted estimator as a torch.nn.Sequential, from X to predictions."""
    check_is_fitted(fitted)
    fitted_network = _network_of(fitted)
    network = Network(
        fitted.layer_sizes_,
        [get_activation(activation) for activation in fitted.activations_],
        output=fitted._task.output,
        embedding=fitted_network.embedding,
        n_networks=len(fitted.coefs_[0]) if fitted.coefs_[0].ndim == 3 else None,
        dtype=fitted_network.dtype,
    )
    network.load(fitted_network.coefs, fitted_network.intercepts)
    network.embedding_parameters.copy_(as_tensor(fitted_network.embedding_parameters))
    module = network.to_module()
    if not fitted_network.is_merged:
        module.insert(0, fitted_network.encoder.to_module(fitted_network.dtype))
    return module.eval()
