"""Targets: binary labels, real numbers, groups and sample weights."""

from ._arrays import encode_groups, normalized_labels, normalized_numbers
from ._labels import TwoClasses, announced_classes, both_classes
from ._real_numbers import RealNumbers
from ._weights import apply_class_weight, check_weights, normalized_weights

__all__ = [
    "RealNumbers",
    "TwoClasses",
    "announced_classes",
    "apply_class_weight",
    "both_classes",
    "check_weights",
    "encode_groups",
    "normalized_labels",
    "normalized_numbers",
    "normalized_weights",
]
