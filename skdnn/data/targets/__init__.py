"""Targets: binary labels, real numbers, groups and sample weights."""

from ._arrays import encode_groups, normalized_labels, normalized_numbers
from ._labels import TwoClasses, both_classes, classes_for_partial_fit
from ._real_numbers import RealNumbers
from ._weights import apply_class_weight, check_weights, normalized_weights

__all__ = [
    "RealNumbers",
    "TwoClasses",
    "apply_class_weight",
    "both_classes",
    "check_weights",
    "classes_for_partial_fit",
    "encode_groups",
    "normalized_labels",
    "normalized_numbers",
    "normalized_weights",
]
