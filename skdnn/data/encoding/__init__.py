"""Encoding: what makes network inputs of columns, learned from the training rows."""

from ._encoding import Encoder, fit_encoder, identity_encoder
from ._statistics import (
    Moments,
    column_limits,
    columns_with_infinity,
    is_far_outside,
    is_outlier,
    moments,
    moments_within,
)
from ._target_means import assign_folds, columns_with_means, out_of_fold_means

__all__ = [
    "Encoder",
    "Moments",
    "assign_folds",
    "column_limits",
    "columns_with_infinity",
    "columns_with_means",
    "fit_encoder",
    "identity_encoder",
    "is_far_outside",
    "is_outlier",
    "moments",
    "moments_within",
    "out_of_fold_means",
]
