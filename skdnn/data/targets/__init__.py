"""Targets: classes, real numbers, groups and sample weights.

A target is what is learned of y: its classes, or its units. `Classes` has what all targets of
labels have in common, `TwoClasses` what is special about two.
"""

from typing import TypeAlias

from ._arrays import encode_groups, normalized_labels, normalized_numbers
from ._classes import Classes
from ._real_numbers import RealNumbers
from ._two_classes import TwoClasses
from ._weights import (
    apply_class_weight,
    check_total_weight,
    check_weights,
    normalized_weights,
)

Target: TypeAlias = Classes | RealNumbers

__all__ = [
    "Classes",
    "RealNumbers",
    "Target",
    "TwoClasses",
    "apply_class_weight",
    "check_total_weight",
    "check_weights",
    "encode_groups",
    "normalized_labels",
    "normalized_numbers",
    "normalized_weights",
]
