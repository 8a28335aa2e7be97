"""The first block: numbers are standardised, and outliers clipped."""

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch

from ._block import Block, BlockModule
from ._statistics import Moments, WeightedColumns

# The bound of RealMLP's smooth clip [1]_, in standard deviations.
BOUND = 3.0
_no_numbers = partial(np.empty, 0)


class StandardizeModule(BlockModule):
    """The module of Standardize."""

    center: torch.Tensor
    inverse_scale: torch.Tensor
    bound: float

    def __init__(self, block: Any) -> None:
        super().__init__(block)
        del self.total  # of use for partial_fit alone

    def forward(
        self, numbers: torch.Tensor, codes: torch.Tensor | None, dtype: torch.dtype
    ) -> torch.Tensor:
        """Return the numbers standardised, without missing values."""
        Z = (numbers - self.center).mul_(self.inverse_scale)
        if math.isfinite(self.bound):
            # Clipped where its square would overflow, z is at the bound already.
            limit = self.bound * math.sqrt(torch.finfo(Z.dtype).max) / 2
            Z = Z.clamp_(-limit, limit)
            Z = Z / (Z / self.bound).square_().add_(1).sqrt_()
        else:
            # Products of the inputs must not overflow in the dtype of the network.
            limit = math.sqrt(torch.finfo(dtype).max)
            Z = Z.clamp_(-limit, limit)
        return Z.nan_to_num_(0.0).to(dtype)


@dataclass(frozen=True)
class Standardize(Block):
    """Numbers standardised, ``z = (x - center) * inverse_scale``; a missing value becomes 0.

    With a finite `bound` they are clipped smoothly, ``z / sqrt(1 + (z / bound)²)``, so that
    outliers stay within ±bound [1]_. A constant feature has an inverse scale of 0: it is always
    encoded as 0, so that other values in later rows change no prediction.

    Attributes
    ----------
    center, inverse_scale : arrays of float64 of shape (p,)
    total : array of float64 of shape (p,)
        The weight of the values from which these were learned; infinite where later rows do not
        change them.
    bound : float
        Infinite for no clipping.

    References
    ----------
    .. [1] D. Holzmüller, L. Grinsztajn, I. Steinwart, "Better by default: strong pre-tuned MLPs
       and boosted trees on tabular data", NeurIPS 2024.
    """

    center: np.ndarray = field(default_factory=_no_numbers)
    inverse_scale: np.ndarray = field(default_factory=_no_numbers)
    total: np.ndarray = field(default_factory=_no_numbers)
    bound: float = math.inf
    module: ClassVar = StandardizeModule

    @classmethod
    def fit(cls, columns: WeightedColumns, options: Any) -> "Standardize":
        """Learn means and standard deviations, or medians and interquartile ranges."""
        if not options.standardize:
            return cls.identity(columns.numbers.shape[1])
        if options.standardize == "robust":
            found = columns.robust_moments()
        else:
            found = columns.moments(bounded=options.standardize == "smooth_clip")
        if options.standardize == "smooth_clip" and not options.is_partial_fit:
            # The deviation of a column that is 0 in nearly all rows would make its 1 a large one.
            half_range, _ = columns.two_valued
            deviation = np.where(half_range > 0, half_range, found.deviation)
            found = replace(found, deviation=deviation)
        bound = BOUND if isinstance(options.standardize, str) else math.inf
        return cls(found.mean, found.inverse_deviation(columns.n_rows), found.total, bound)

    @classmethod
    def identity(cls, n: int) -> "Standardize":
        """Return the block that leaves n numbers as they are."""
        return cls(np.zeros(n), np.ones(n), np.full(n, np.inf))

    @property
    def numbers_of_outputs(self) -> np.ndarray:
        """The number from which each output is computed."""
        return np.arange(len(self.center))

    @property
    def scale(self) -> np.ndarray:
        """The standard deviations, 0 for a constant feature."""
        is_varying = self.inverse_scale > 0
        return np.divide(
            1.0, self.inverse_scale, out=np.zeros_like(self.inverse_scale), where=is_varying
        )

    def updated(self, columns: WeightedColumns) -> "Standardize":
        """Return the block with the means and standard deviations of earlier rows and these."""
        known = Moments(self.center, self.scale, self.total)
        is_bounded = math.isfinite(self.bound)
        known += columns.moments_near(known) if is_bounded else columns.moments()
        inverse = known.inverse_deviation(columns.n_rows)
        return replace(self, center=known.mean, inverse_scale=inverse, total=known.total)

    def merge(self, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights and biases of a first layer that takes X and standardises it.

        ``((X - center) * s) W + b = X (s W) + (b - center (s W))``
        """
        W = self.inverse_scale[:, None] * W
        return W, b - self.center @ W

    def rescaled(
        self, W: np.ndarray, b: np.ndarray, earlier: "Standardize"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a first layer that computes of these outputs what W and b do of `earlier` ones.

        The first inputs of the layer are those of the block. A column that was constant keeps its
        weights, and so do all columns if they are clipped, since no weights compute the same then.
        """
        if math.isfinite(self.bound):
            return W, b
        varied, n_numbers = earlier.inverse_scale > 0, len(self.center)
        factor = np.ones(W.shape[-2])
        factor[:n_numbers][varied] = (self.scale * earlier.inverse_scale)[varied]
        shift = (self.center - earlier.center) * earlier.inverse_scale
        return factor[:, None] * W, b + shift @ W[..., :n_numbers, :]
