"""Binary labels: accepted types, encoding and errors."""

import numpy as np
import pytest

from skdnn.data.targets import TwoClasses


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (["no", "yes", "no"], ["no", "yes"]),
        ([True, False, True], [False, True]),
        ([-1, 1, 1], [-1, 1]),
        ([2.0, 7.0, 2.0], [2.0, 7.0]),
        (np.array(["b", "a", "b"], dtype=object), ["a", "b"]),
    ],
)
def test_any_two_labels_become_indices_of_sorted_classes(y, classes):
    target = TwoClasses.learn(np.asarray(y))
    assert target.classes.tolist() == classes
    assert target.decode(target.encode(y)).tolist() == list(y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1, 1, 1], "two classes, got one class"),
        ([0, 1, 2], r"Only binary classification is supported\..*multiclass.*OneVsRest"),
        ([0.1, 0.7, 0.3], "continuous"),
    ],
)
def test_anything_but_two_classes_is_an_error(y, message):
    with pytest.raises(ValueError, match=message):
        TwoClasses.learn(np.asarray(y))


def test_encoding_an_unknown_label_is_an_error():
    target = TwoClasses(np.array(["no", "yes"]))
    assert target.encode(["yes", "yes"], "y_val").tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"y_val must hold only the classes.*'maybe'"):
        target.encode(["yes", "maybe"], "y_val")


def test_distinct_labels_are_learned_as_all_labels():
    y = np.array(["no", "yes", "no", "no"])
    assert TwoClasses.distinct(y).tolist() == ["no", "yes"]
    assert TwoClasses.learn(TwoClasses.distinct(y)).classes.tolist() == ["no", "yes"]
    with pytest.raises(ValueError, match="Only binary classification is supported"):
        TwoClasses.learn(TwoClasses.distinct(np.arange(10)))
    assert len(TwoClasses.distinct(np.linspace(0, 1, 1000))) == 21


def test_every_class_needs_weight():
    target, y = TwoClasses.learn(np.array(["a", "b"])), np.array([0, 1, 1])
    assert target.total_weights(y, np.array([2.0, 3.0, 5.0])).tolist() == [2, 8]
    assert target.total_weights(y[1:], np.array([True, True])).tolist() == [0, 2]
    target.check(np.array([2.0, 8.0]))
    with pytest.raises(ValueError, match=r"y must hold 2 classes .*, got 1: \['b'\]"):
        target.check(np.array([0.0, 8.0]))
