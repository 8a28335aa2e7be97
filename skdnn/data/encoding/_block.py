"""What the blocks of an Encoder have in common."""

from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch

from skdnn.data.frames import as_tensor

Self = TypeVar("Self", bound="Block")


@dataclass(frozen=True)
class Block:
    """A part of an Encoder: it computes some of the columns of the result.

    A subclass is a frozen dataclass. Its fields are NumPy arrays and floats, the entries of the
    fitted attribute `input_encoding_`, with defaults by which it has no outputs. Its class method
    ``fit(columns, options)`` learns them from WeightedColumns. A block that later rows change also
    has `updated` and `positions_in`.

    Attributes
    ----------
    module : torch.nn.Module class
        Made of the block, it computes the outputs from (numbers, codes, dtype).
    lookup : class or None
        Finds what the outputs add to Z[1] in a table. It is made of the block and of the place
        where its rows begin in the table; ``table(W)`` returns these rows for the weights of the
        outputs, of shape (n_outputs, units); ``find(numbers, codes, rows, weights)`` writes which
        `n_rows` rows to add for each example, and their weights.
    """

    module: ClassVar[Any]
    lookup: ClassVar[Any] = None

    @property
    def numbers_of_outputs(self) -> np.ndarray:
        """The number from which each output is computed, -1 for none; shape (n_outputs,)."""
        raise NotImplementedError

    @property
    def n_outputs(self) -> int:
        """The number of columns of the result."""
        return len(self.numbers_of_outputs)

    def updated(self: Self, columns: Any) -> Self:
        """Return the block learned from earlier rows and from these."""
        return self

    def positions_in(self: Self, later: Self) -> np.ndarray:
        """Return the positions of the outputs among those of an updated block."""
        return np.arange(self.n_outputs)


class BlockModule(torch.nn.Module):
    """A module with the fields of a block: `n_outputs`, its arrays as buffers, and its numbers."""

    n_outputs: int

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.n_outputs = block.n_outputs
        for name, value in vars(block).items():
            if isinstance(value, np.ndarray):
                self.register_buffer(name, as_tensor(value))
            else:
                setattr(self, name, value)
