"""Encoding: what makes network inputs of columns, learned from the training rows."""

from ._encoding import Encoder, fit_encoder, identity_encoder
from ._statistics import (
    Moments,
    column_limits,
    columns_with_infinity,
    is_far_outside,
    is_wild,
    moments,
    moments_within,
)
from ._target_means import columns_with_means, deal_into_folds, means_of_other_folds

__all__ = [
    "Encoder",
    "Moments",
    "column_limits",
    "columns_with_infinity",
    "columns_with_means",
    "deal_into_folds",
    "fit_encoder",
    "identity_encoder",
    "is_far_outside",
    "is_wild",
    "means_of_other_folds",
    "moments",
    "moments_within",
]
