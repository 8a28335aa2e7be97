"""Missing indicators: which numbers are missing."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from skdnn.data.frames import as_tensor

from ._statistics import WeightedColumns


@dataclass(frozen=True)
class MissingIndicators:
    """1 or 0 for each number that was missing in some training row: whether it is missing.

    Attributes
    ----------
    indicator_column : array of int of shape (n_outputs,)
        Which of the numbers have a missing indicator.
    """

    indicator_column: np.ndarray = field(default_factory=partial(np.empty, 0, dtype=np.intp))

    @classmethod
    def fit(cls, columns: WeightedColumns, options: Any) -> "MissingIndicators":
        """Find the columns with missing values."""
        return cls(columns.with_missing())

    @property
    def n_outputs(self) -> int:
        """The number of columns of the result."""
        return len(self.indicator_column)

    @property
    def numbers_of_outputs(self) -> np.ndarray:
        """The number from which each output is computed."""
        return self.indicator_column

    def to_module(self) -> torch.nn.Module:
        """Return the module that computes the outputs."""
        return _MissingIndicatorsModule(self)

    def updated(self, columns: WeightedColumns) -> "MissingIndicators":
        """Return the block with the missing values of earlier rows and these."""
        columns_of_both = np.union1d(self.indicator_column, columns.with_missing())
        return MissingIndicators(columns_of_both.astype(np.intp))

    def positions_in(self, later: "MissingIndicators") -> np.ndarray:
        """Return the positions of the outputs among those of an updated block."""
        return np.searchsorted(later.indicator_column, self.indicator_column)


class _MissingIndicatorsModule(torch.nn.Module):
    indicator_column: torch.Tensor

    def __init__(self, block: MissingIndicators) -> None:
        super().__init__()
        self.register_buffer("indicator_column", as_tensor(block.indicator_column))

    def forward(
        self, numbers: torch.Tensor, codes: torch.Tensor | None, dtype: torch.dtype
    ) -> torch.Tensor:
        """Return 1 where a number is missing."""
        return numbers[:, self.indicator_column].isnan().to(dtype)
