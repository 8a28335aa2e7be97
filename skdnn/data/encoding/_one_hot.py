"""One-hot encoded categories."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch

from skdnn.data.frames import Table

from ._block import Block, BlockModule
from ._statistics import WeightedColumns

_no_integers = partial(np.empty, 0, dtype=np.intp)


class OneHotModule(BlockModule):
    """The module of OneHot."""

    n_categories: torch.Tensor
    n_frequent: torch.Tensor

    def columns(self, codes: torch.Tensor) -> torch.Tensor:
        """Return which output is 1 for each code; `n_outputs` for a category without an output."""
        first = self.n_categories.cumsum(0) - self.n_categories
        codes = torch.minimum(codes, self.n_frequent.to(codes.dtype))  # rare ones are "other"
        has_output = (codes >= 0) & (codes < self.n_categories)
        return torch.where(has_output, codes + first, self.n_outputs).long()

    def forward(
        self, numbers: torch.Tensor, codes: torch.Tensor, dtype: torch.dtype
    ) -> torch.Tensor:
        """Return the codes of categories, of shape (n, q), one-hot encoded."""
        # The last column is for categories without an output.
        encoded = numbers.new_zeros((len(codes), self.n_outputs + 1), dtype=dtype)
        return encoded.scatter_(1, self.columns(codes), 1.0)[:, :-1]


class CategoryLookup:
    """The lookup of OneHot: one row for each category, and one of zeros for all others."""

    def __init__(self, block: "OneHot", first_row: int) -> None:
        self.first_row, self.n_rows = first_row, len(block.n_categories)
        self.columns = OneHotModule(block).columns

    def table(self, W: torch.Tensor) -> torch.Tensor:
        """Return the table of shape (n_outputs + 1, units)."""
        return torch.nn.functional.pad(W, (0, 0, 0, 1))

    def find(
        self, numbers: torch.Tensor, codes: torch.Tensor, rows: torch.Tensor, weights: torch.Tensor
    ) -> None:
        """Write the rows of the categories, and weights of 1."""
        rows.copy_(self.columns(codes) + self.first_row)
        weights.fill_(1)


@dataclass(frozen=True)
class OneHot(Block):
    """The one-hot encoded categories of each of q categorical columns.

    Attributes
    ----------
    n_categories, n_frequent : arrays of int of shape (q,)
        Outputs of each categorical column, and how many of its categories are frequent. If there is
        one output more, it is the last one, for all other categories.
    """

    module: ClassVar = OneHotModule
    lookup: ClassVar = CategoryLookup
    n_categories: np.ndarray = field(default_factory=_no_integers)
    n_frequent: np.ndarray = field(default_factory=_no_integers)

    @classmethod
    def fit(cls, columns: WeightedColumns, options: Any) -> "OneHot":
        """Find the columns with categories that are not frequent."""
        if not isinstance(columns.X, Table):
            return cls()
        return cls(columns.X.n_frequent + columns.has_others(), columns.X.n_frequent)

    @property
    def numbers_of_outputs(self) -> np.ndarray:
        """-1 for each output, which is computed from no number."""
        return np.full(self.n_categories.sum(), -1)

    def updated(self, columns: WeightedColumns) -> "OneHot":
        """Return the block for the categories of earlier rows and these."""
        if not isinstance(columns.X, Table):
            return self
        has_others = (self.n_categories > self.n_frequent) | columns.has_others()
        return OneHot(columns.X.n_frequent + has_others, columns.X.n_frequent)

    def positions_in(self, later: "OneHot") -> np.ndarray:
        """Return the positions of the outputs among those of an updated block."""
        start, positions = 0, [_no_integers()]
        for n_before, n_frequent, n_later, n_frequent_later in zip(
            self.n_categories, self.n_frequent, later.n_categories, later.n_frequent, strict=True
        ):
            codes = np.arange(n_before)
            positions.append(start + np.where(codes < n_frequent, codes, n_frequent_later))
            start += n_later
        return np.concatenate(positions)
