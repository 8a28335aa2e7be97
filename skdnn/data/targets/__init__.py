"""Targets: labels, real numbers, groups and the weights of the rows."""

from ._labels import TwoClasses, announced_classes, of_both_classes
from ._real_numbers import RealNumbers
from ._targets import encode_groups, plain_labels, plain_numbers
from ._weights import apply_class_weight, check_weights, plain_weights

__all__ = [
    "RealNumbers",
    "TwoClasses",
    "announced_classes",
    "apply_class_weight",
    "check_weights",
    "encode_groups",
    "of_both_classes",
    "plain_labels",
    "plain_numbers",
    "plain_weights",
]
