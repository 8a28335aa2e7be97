"""Sample weights and class weights: accepted types, results and errors."""

import numpy as np
import pytest

from skdnn.data.targets import apply_class_weight, check_weights


def test_a_single_number_is_the_weight_of_all_rows():
    assert check_weights(2.5, 3).tolist() == [2.5, 2.5, 2.5]
    assert check_weights(None, 3).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1, 2], r"sample_weight must have shape \(3,\), got \(2,\)"),
        ([[1], [2], [3]], r"must have shape \(3,\), got \(3, 1\)"),
        ([1, -1, 1], "must not be negative, got -1"),
        ([1, np.nan, 1], "must be finite"),
        ([1, np.inf, 1], "must be finite"),
        ([0, 0, 0], "must hold a weight above zero"),
        (["a", "b", "c"], "must be numbers"),
    ],
)
def test_invalid_weights_are_an_error(weight, message):
    with pytest.raises(ValueError, match=message):
        check_weights(weight, 3)


def test_balanced_gives_both_classes_the_same_total():
    y, weight = np.array([0, 0, 0, 1]), np.array([1.0, 2.0, 3.0, 5.0])
    balanced = apply_class_weight(weight, y, np.array([6.0, 5.0]), np.array(["a", "b"]), "balanced")
    assert balanced[:3].sum() == pytest.approx(balanced[3])
    assert balanced.sum() == pytest.approx(weight.sum())


def test_class_weights_multiply_sample_weights():
    y, weight, classes = np.array([0, 1, 1]), np.array([1.0, 2.0, 3.0]), np.array(["a", "b"])
    weighted = apply_class_weight(weight, y, np.array([1.0, 5.0]), classes, {"b": 10})
    assert weighted.tolist() == [1, 20, 30]


def test_class_weight_of_an_unknown_label_is_an_error():
    with pytest.raises(ValueError, match=r"class_weight must have labels of y.*\['c'\]"):
        apply_class_weight(np.ones(2), np.array([0, 1]), np.ones(2), np.array(["a", "b"]), {"c": 1})
