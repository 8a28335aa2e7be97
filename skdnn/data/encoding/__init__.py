"""Encoding: from the columns of a data set to network inputs, learned from the training rows."""

from ._binning import MOST_BINS
from ._encoder import Encoder, fit_encoder, identity_encoder
from ._statistics import (
    Moments,
    clipped_moments,
    column_limits,
    columns_with_infinity,
    is_far_outside,
    is_outlier,
    moments,
)
from ._target_means import assign_folds, columns_with_rare_categories, out_of_fold_means

__all__ = [
    "MOST_BINS",
    "Encoder",
    "Moments",
    "assign_folds",
    "clipped_moments",
    "column_limits",
    "columns_with_infinity",
    "columns_with_rare_categories",
    "fit_encoder",
    "identity_encoder",
    "is_far_outside",
    "is_outlier",
    "moments",
    "out_of_fold_means",
]
