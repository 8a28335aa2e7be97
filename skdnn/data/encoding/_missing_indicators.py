"""Missing indicators: which numbers are missing."""

from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np
import torch

from ._block import Block, BlockModule
from ._statistics import WeightedColumns


class MissingIndicatorsModule(BlockModule):
    """The module of MissingIndicators."""

    indicator_column: torch.Tensor

    def forward(
        self, numbers: torch.Tensor, codes: torch.Tensor | None, dtype: torch.dtype
    ) -> torch.Tensor:
        """Return 1 where a number is missing."""
        return numbers[:, self.indicator_column].isnan().to(dtype)


@dataclass(frozen=True)
class MissingIndicators(Block):
    """1 or 0 for each number that was missing in some training row: whether it is missing.

    Attributes
    ----------
    indicator_column : array of int of shape (n_outputs,)
        Which of the numbers have a missing indicator.
    """

    numbers_of_outputs = property(attrgetter("indicator_column"))
    module: ClassVar = MissingIndicatorsModule
    indicator_column: np.ndarray = field(default_factory=partial(np.empty, 0, dtype=np.intp))

    @classmethod
    def fit(cls, columns: WeightedColumns, options: Any) -> "MissingIndicators":
        """Find the columns with missing values."""
        return cls(columns.with_missing())

    def updated(self, columns: WeightedColumns) -> "MissingIndicators":
        """Return the block with the missing values of earlier rows and these."""
        columns_of_both = np.union1d(self.indicator_column, columns.with_missing())
        return MissingIndicators(columns_of_both.astype(np.intp))

    def positions_in(self, later: "MissingIndicators") -> np.ndarray:
        """Return the positions of the outputs among those of an updated block."""
        return np.searchsorted(later.indicator_column, self.indicator_column)
