"""The piecewise-linear encoding of numbers.

Bins hold about equally many rows. A very frequent number, such as a 0 for "none", would take up
several quantiles: it gets an edge of its own, and the other edges are quantiles of the other rows.
"""

import math
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from ._block import Block, BlockModule
from ._statistics import WeightedColumns, quantiles

# Bins of a column by `numeric_embedding`. With "periodic" a column has as many cosines, for which
# the bins keep the place.
MOST_BINS = {None: 0, "piecewise_linear": 16, "periodic": 7}
# For a column with fewer edges, the bins say no more than the number itself.
_FEWEST_EDGES = 3


class PiecewiseLinearModule(BlockModule):
    """The module of PiecewiseLinear."""

    bin_column: torch.Tensor
    bin_start: torch.Tensor
    bin_scale: torch.Tensor

    def forward(
        self, numbers: torch.Tensor, codes: torch.Tensor | None, dtype: torch.dtype
    ) -> torch.Tensor:
        """Return the fraction of each bin that is below the number; 0 for a missing value."""
        of_bins = numbers.index_select(1, self.bin_column)
        fraction = of_bins.sub_(self.bin_start).mul_(self.bin_scale)
        return fraction.clamp_(0, 1).nan_to_num_(0.0).to(dtype)


class BinLookup:
    """The lookup of PiecewiseLinear: one row for each edge of a bin, two rows for each number.

    The row of an edge is the sum of the weights of the bins below it.
    """

    def __init__(self, block: "PiecewiseLinear", first_row: int) -> None:
        columns, first_bin, n_bins = np.unique(
            block.bin_column, return_index=True, return_counts=True
        )
        self.columns, self.n_bins = torch.from_numpy(columns), n_bins.tolist()
        self.n_rows = 2 * len(columns)
        self.first_bin = torch.from_numpy(first_bin.astype(np.int32))[:, None]
        # A column has one edge more than bins.
        self.first_edge = first_row + self.first_bin + torch.arange(len(columns)).int()[:, None]
        self.start, self.scale = map(torch.from_numpy, (block.bin_start, block.bin_scale))
        starts = self.start.split(self.n_bins)
        self.starts = pad_sequence(starts, batch_first=True, padding_value=math.inf)

    def table(self, W: torch.Tensor) -> torch.Tensor:
        """Return the table of shape (n_outputs + number of columns, units)."""
        return torch.cat([pad(bins.cumsum(0), (0, 0, 1, 0)) for bins in W.split(self.n_bins)])

    def find(
        self,
        numbers: torch.Tensor,
        codes: torch.Tensor | None,
        rows: torch.Tensor,
        weights: torch.Tensor,
    ) -> None:
        """Write the lower edges, then the upper ones, and how near they are."""
        x = numbers.mT[self.columns].nan_to_num_(-math.inf)  # a missing value is in no bin
        bins = torch.searchsorted(self.starts, x, right=True, out_int32=True).sub_(1).clamp_(min=0)
        of_all = (bins + self.first_bin).flatten()
        start, scale = (
            array.index_select(0, of_all).view_as(x) for array in (self.start, self.scale)
        )
        fraction = x.sub_(start).mul_(scale).clamp_(0, 1)
        lower_rows, upper_rows = rows.tensor_split(2, dim=1)
        lower_rows.copy_(bins.add_(self.first_edge).mT)
        torch.add(lower_rows, 1, out=upper_rows)
        lower_weights, upper_weights = weights.tensor_split(2, dim=1)
        upper_weights.copy_(fraction.mT)
        torch.sub(1, upper_weights, out=lower_weights)


@dataclass(frozen=True)
class PiecewiseLinear(Block):
    """For each bin ``clip((x - start) * scale, 0, 1)``, the piecewise-linear encoding [1]_.

    Attributes
    ----------
    bin_column : array of int of shape (n_outputs,)
        The number of each bin.
    bin_start, bin_scale : arrays of float64 of shape (n_outputs,)
        Where the bin starts, and its inverse width.

    References
    ----------
    .. [1] Y. Gorishniy, I. Rubachev, A. Babenko, "On embeddings for numerical features in tabular
       deep learning", NeurIPS 2022.
    """

    numbers_of_outputs = property(attrgetter("bin_column"))
    module: ClassVar = PiecewiseLinearModule
    lookup: ClassVar = BinLookup
    bin_column: np.ndarray = field(default_factory=partial(np.empty, 0, dtype=np.intp))
    bin_start: np.ndarray = field(default_factory=partial(np.empty, 0))
    bin_scale: np.ndarray = field(default_factory=partial(np.empty, 0))

    @classmethod
    def fit(cls, columns: WeightedColumns, options: Any) -> "PiecewiseLinear":
        """Find the bins of each column."""
        most_bins = MOST_BINS[options.numeric_embedding]
        if not most_bins:
            return cls()
        found, starts, widths = [np.empty(0, dtype=np.intp)], [np.empty(0)], [np.empty(0)]
        for j, (values, weights) in enumerate(columns.values()):
            edges = bin_edges(values, weights, most_bins)
            if len(edges) >= _FEWEST_EDGES:
                found.append(np.full(len(edges) - 1, j))
                starts.append(edges[:-1])
                widths.append(np.diff(edges))
        # The inverse of a subnormal width would be infinite.
        with np.errstate(over="ignore"):
            scales = np.minimum(1 / np.concatenate(widths), np.finfo(np.float64).max)
        return cls(np.concatenate(found), np.concatenate(starts), scales)


def bin_edges(
    values: np.ndarray, weight: np.ndarray, most_bins: int = MOST_BINS["piecewise_linear"]
) -> np.ndarray:
    """Return the sorted edges of the bins of a column.

    Parameters
    ----------
    values, weight : arrays of shape (m,)
    most_bins : int, default=16

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.data.encoding._piecewise_linear import bin_edges
    >>> bin_edges(np.array([3.0, 1.0, 1.0, 2.0]), np.ones(4))
    array([1., 2., 3.])
    >>> bin_edges(np.maximum(np.arange(-50.0, 51.0), 0), np.ones(101)).round()
    array([ 0.,  1.,  4.,  8., 11., 14., 18., 21., 24., 27., 31., 34., 37.,
           41., 44., 47., 50.])
    """
    distinct, position = np.unique(values, return_inverse=True)
    if len(distinct) <= most_bins + 1:
        return distinct
    is_frequent = np.bincount(position, weight) / weight.sum() >= 1 / most_bins
    is_other = ~is_frequent[position]
    n_bins = max(1, most_bins - int(is_frequent.sum()))
    fractions = np.linspace(0, 1, n_bins + 1)
    return np.union1d(
        distinct[is_frequent], quantiles(values[is_other], weight[is_other], fractions)
    )
