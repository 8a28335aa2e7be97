"""The Encoder: from numbers and categories to the inputs of the network.

An Encoder is a list of blocks, each in a file of its own; `_block` says what they have in common.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike

from skdnn.data.frames import Table, as_tensor, dense_tensor

from ._missing_indicators import MissingIndicators
from ._one_hot import OneHot
from ._piecewise_linear import PiecewiseLinear
from ._standardize import Standardize
from ._statistics import Matrix, WeightedColumns
from ._target_means import TargetMeans, TargetMeansModule

# The blocks in the order of their columns in the result. Standardize is the first, since the others
# do not exist where it is merged into the first layer; OneHot is the last, since the rows of large
# tables get its columns only when they are returned.
BLOCKS: list[Any] = [Standardize, MissingIndicators, PiecewiseLinear, OneHot]


@dataclass(frozen=True)
class Encoder:
    """Encode columns as network inputs: the outputs of each block, side by side.

    The blocks take for numbers those of X and, behind them, the target means.

    Attributes
    ----------
    is_categorical : array of bool of shape (n_features,)
        Which columns of X hold categories.
    target_means : TargetMeans
    blocks : tuple of blocks
        In the order of `BLOCKS`.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from skdnn.data.encoding import WeightedColumns, fit_encoder
    >>> X = np.array([[1.0, 5.0], [3.0, 5.0], [99.0, 7.0], [1.0, np.nan]])
    >>> columns = WeightedColumns(X, np.array([1.0, 1.0, 0.0, 0.0]))
    >>> fit_encoder(columns).apply(X, torch.float64)
    tensor([[-1.,  0.],
            [ 1.,  0.],
            [97.,  0.],
            [-1.,  0.]], dtype=torch.float64)
    """

    is_categorical: np.ndarray
    target_means: TargetMeans
    blocks: tuple[Any, ...]
    # By device: the layer that encodes, made once.
    _layers: dict[torch.device, "EncodingLayer"] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Encoder":
        """Return the Encoder with this `state`; what is missing is empty."""
        target_means, *blocks = (
            kind(**{f.name: state[f.name] for f in fields(kind) if f.name in state})
            for kind in (TargetMeans, *BLOCKS)
        )
        return cls(state["is_categorical"], target_means, tuple(blocks))

    @property
    def state(self) -> dict[str, Any]:
        """The fields of all blocks by name, NumPy arrays and floats."""
        state = {"is_categorical": self.is_categorical}
        for block in (*self.blocks, self.target_means):
            state |= vars(block)
        return state

    @property
    def n_outputs(self) -> int:
        """The number of columns of the result, n^[0]."""
        return sum(block.n_outputs for block in self.blocks)

    @property
    def mean_outputs(self) -> np.ndarray:
        """The columns of the result that are computed from target means."""
        numbers = np.concatenate([block.numbers_of_outputs for block in self.blocks])
        return np.flatnonzero(numbers >= np.count_nonzero(~self.is_categorical))

    @property
    def blocks_with_lookup(self) -> list[Any]:
        """The blocks whose outputs a FirstLayer looks up instead of computing them."""
        return [block for block in self.blocks if block.lookup and block.n_outputs]

    def block(self, kind: type) -> Any:
        """Return the block of a class of `BLOCKS`."""
        return next(block for block in self.blocks if isinstance(block, kind))

    def outputs_of(self, kind: type) -> slice:
        """Return the columns of the result that belong to the block of a class."""
        stops = np.cumsum([block.n_outputs for block in self.blocks]).tolist()
        position = [type(block) for block in self.blocks].index(kind)
        return slice(stops[position] - self.blocks[position].n_outputs, stops[position])

    def without(self, *kinds: type) -> "Encoder":
        """Return the Encoder without the blocks of some classes."""
        return replace(self, blocks=tuple(b for b in self.blocks if not isinstance(b, kinds)))

    def updated(self, X: Table | Matrix, weight: np.ndarray) -> "Encoder":
        """Return the Encoder learned from earlier rows and from these.

        Means and standard deviations are those of all rows, and a constant column may begin to
        vary. New missing values and categories get columns. Bins and target means do not change.
        """
        columns = WeightedColumns(self.target_means.append(X), weight)
        return replace(self, blocks=tuple(block.updated(columns) for block in self.blocks))

    def with_target_means(self, X: Table | Matrix, y: np.ndarray, weight: np.ndarray) -> "Encoder":
        """Return the Encoder with the target means of these rows, for the same categories."""
        if not isinstance(X, Table):
            return self
        return replace(self, target_means=TargetMeans.fit(WeightedColumns(X, weight, y)))

    def positions_in(self, later: "Encoder") -> np.ndarray:
        """Return the positions of the result's columns in the result of an `updated` Encoder."""
        start, positions = 0, []
        for block, later_block in zip(self.blocks, later.blocks, strict=True):
            positions.append(start + block.positions_in(later_block))
            start += later_block.n_outputs
        return np.concatenate(positions).astype(np.intp)

    def apply(self, X: Table | Matrix, dtype: torch.dtype) -> torch.Tensor:
        """Return X encoded, a tensor of shape (n, n_outputs), computed in float64.

        Parameters
        ----------
        X : Table, array, CSR matrix or tensor of shape (n, n_features)
        dtype : torch.dtype
            Of the result.
        """
        return self.encode(*self.read(X), dtype)

    def read(self, X: Table | Matrix) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the numbers of X, in float64, with the target means, and the codes if any."""
        if not isinstance(X, Table):
            return dense_tensor(X), None
        numbers, codes = dense_tensor(X.numbers), torch.from_numpy(X.codes.astype(np.int64))
        means = None if X.means is None else as_tensor(X.means)
        return self._layer(numbers.device).append_means(numbers, codes, means), codes

    def encode(
        self, numbers: torch.Tensor, codes: torch.Tensor | None, dtype: torch.dtype
    ) -> torch.Tensor:
        """Return the outputs of all blocks for numbers and codes, as `read` returns them."""
        return self._layer(numbers.device).encode(numbers, codes, dtype)

    def _layer(self, device: torch.device) -> "EncodingLayer":
        """Return the layer that encodes, its tensors on the device."""
        if device not in self._layers:
            layer = EncodingLayer(self, torch.float64)
            self._layers[device] = layer if device.type == "cpu" else layer.to(device)
        return self._layers[device]

    def to_module(self, dtype: torch.dtype) -> "EncodingLayer":
        """Return a torch.nn.Module that encodes a tensor X, with a result of this dtype."""
        return copy.deepcopy(EncodingLayer(self, dtype))  # with tensors of its own

    def merges_exactly(self, dtype: DTypeLike) -> bool:
        """Return whether a first layer can standardise X, as `Standardize.merge` makes it.

        It can if the Encoder does nothing else, and no more than a thousandth of a standard
        deviation is lost. In float32, numbers of mean 1e6 and standard deviation 1 lose more than
        that before they reach the network, unless they are standardised in float64 first.
        """
        standardize = self.block(Standardize)
        if math.isfinite(standardize.bound) or self.n_outputs > standardize.n_outputs:
            return False
        root = np.sqrt(np.finfo(dtype).max)
        scale = standardize.inverse_scale[standardize.inverse_scale > 0]
        if ((scale < 1 / root) | (scale > root)).any():
            return False
        distance = np.abs(standardize.center * standardize.inverse_scale).max()
        return bool(distance * np.finfo(dtype).eps < 1e-3)


class EncodingLayer(torch.nn.Module):
    """An Encoder as a layer before the first one.

    A categorical column of the input tensor holds indices into `categories_`, and the number of
    categories for any other category. Numbers are encoded in float64, unless ``float()``,
    ``half()`` or ``to(dtype)`` has changed the module.
    """

    numeric: torch.Tensor
    categorical: torch.Tensor
    inner: torch.Tensor
    outer: torch.Tensor

    def __init__(self, encoder: Encoder, dtype: torch.dtype) -> None:
        super().__init__()
        means = encoder.target_means
        self.target_means = TargetMeansModule(means) if means.n_outputs else None
        # Blocks without outputs are left out, except for the first if there are no others.
        blocks = [block for block in encoder.blocks if block.n_outputs] or encoder.blocks[:1]
        self.blocks = torch.nn.ModuleList(block.module(block) for block in blocks)
        self.has_categories = bool(encoder.is_categorical.any())
        is_categorical = as_tensor(encoder.is_categorical)
        self.register_buffer("numeric", (~is_categorical).nonzero()[:, 0])
        self.register_buffer("categorical", is_categorical.nonzero()[:, 0])
        # Empty tensors hold the dtypes, since torch converts them with the module.
        for name, its_dtype in (("inner", torch.float64), ("outer", dtype)):
            empty = torch.empty(0, dtype=its_dtype, device="cpu")
            self.register_buffer(name, empty, persistent=False)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return X of shape (n_samples, n_features) encoded."""
        if not self.has_categories:
            return self.encode(X.to(self.inner.dtype), None, self.outer.dtype)
        codes = X[:, self.categorical]
        numbers = self.append_means(X[:, self.numeric].to(self.inner.dtype), codes)
        return self.encode(numbers, codes, self.outer.dtype)

    def append_means(
        self, numbers: torch.Tensor, codes: torch.Tensor, means: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the numbers followed by the target means: those given, or else by category."""
        if means is None:
            if self.target_means is None:
                return numbers
            means = self.target_means(codes)
        return torch.cat([numbers, means], dim=1)

    def encode(
        self, numbers: torch.Tensor, codes: torch.Tensor | None, dtype: torch.dtype
    ) -> torch.Tensor:
        """Return the outputs of all blocks for numbers and the codes of categories."""
        parts = [block(numbers, codes, dtype) for block in self.blocks]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def identity_encoder(n_features: int) -> Encoder:
    """Return an Encoder that leaves n_features numbers as they are."""
    is_categorical = np.zeros(n_features, dtype=bool)
    return Encoder.from_state(
        {"is_categorical": is_categorical, **vars(Standardize.identity(n_features))}
    )


def fit_encoder(
    columns: WeightedColumns,
    standardize: bool | str = True,
    numeric_embedding: str | None = None,
    is_partial_fit: bool = False,
) -> Encoder:
    """Fit an Encoder.

    Parameters
    ----------
    columns : WeightedColumns
        With y, the rare categories of a Table get target means.
    standardize : {True, False, "smooth_clip", "robust"}, default=True
        As in the estimators.
    numeric_embedding : {None, "piecewise_linear", "periodic"}, default=None
        As in the estimators.
    is_partial_fit : bool, default=False
        Whether the Encoder will be `updated`: then all scales are ones that can be.
    """
    X, target_means = columns.X, TargetMeans()
    is_categorical = np.zeros(X.shape[1], dtype=bool)
    if isinstance(X, Table):
        is_categorical, target_means = X.is_categorical, TargetMeans.fit(columns)
        columns = replace(columns, X=target_means.append(X))
    options = SimpleNamespace(
        standardize=standardize,
        numeric_embedding=numeric_embedding,
        is_partial_fit=is_partial_fit,
    )
    blocks = tuple(block.fit(columns, options) for block in BLOCKS)
    return Encoder(is_categorical, target_means, blocks)
