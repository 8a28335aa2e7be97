"""Sample weights and class weights: accepted types, results and errors."""

import numpy as np
import pytest

from skdnn.data.targets import apply_class_weight, check_total_weight, check_weights


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


def test_a_part_of_the_rows_is_balanced_by_the_totals_of_all():
    y, weight, classes = np.array([0, 0, 1, 0]), np.array([1.0, 2.0, 3.0, 5.0]), np.array([0, 1])
    whole = apply_class_weight(weight, y, np.array([8.0, 3.0]), classes, "balanced")
    part = apply_class_weight(weight[:2], y[:2], np.array([8.0, 3.0]), classes, "balanced")
    assert part.tolist() == whole[:2].tolist()


def test_a_class_without_rows_does_not_disturb_the_balance_of_others():
    with np.errstate(divide="ignore"):
        weight = apply_class_weight(
            np.ones(2), np.zeros(2, int), np.array([2.0, 0.0]), np.array([0, 1]), "balanced"
        )
    assert weight.tolist() == [0.5, 0.5]


def test_a_sum_of_weights_must_be_a_number_above_zero():
    check_total_weight(1e-300)
    with pytest.raises(ValueError, match="w must hold a weight above zero"):
        check_total_weight(0.0, "w")
    with pytest.raises(ValueError, match="w must have a sum that is neither 0 nor infinite"):
        check_total_weight(np.inf, "w")
