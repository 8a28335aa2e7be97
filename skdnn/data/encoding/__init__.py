"""Encoding: from the columns of a data set to network inputs, learned from the training rows."""

from ._block import Block, BlockModule
from ._encoder import Encoder, fit_encoder, identity_encoder
from ._first_layer import FirstLayer, FirstLayerOfTwoKinds
from ._one_hot import OneHot
from ._piecewise_linear import MOST_BINS, PiecewiseLinear
from ._standardize import Standardize
from ._statistics import (
    Moments,
    WeightedColumns,
    columns_with_infinity,
    is_far_outside,
    is_outlier,
)
from ._target_means import (
    TargetMeans,
    assign_folds,
    columns_with_rare_categories,
    out_of_fold_means,
)

__all__ = [
    "MOST_BINS",
    "Block",
    "BlockModule",
    "Encoder",
    "FirstLayer",
    "FirstLayerOfTwoKinds",
    "Moments",
    "OneHot",
    "PiecewiseLinear",
    "Standardize",
    "TargetMeans",
    "WeightedColumns",
    "assign_folds",
    "columns_with_infinity",
    "columns_with_rare_categories",
    "fit_encoder",
    "identity_encoder",
    "is_far_outside",
    "is_outlier",
    "out_of_fold_means",
]
