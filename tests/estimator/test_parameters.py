"""Parameters may have types of NumPy, torch and pandas, as in a grid or a configuration."""

import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import GridSearchCV

from skdnn import DeepBinaryClassifier
from skdnn.estimator._parameters import to_python

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
Y = X[:, 0] > 0

SAME = [
    ({"n_units": np.array(8)}, {"n_units": 8}),
    ({"n_units": torch.tensor(8)}, {"n_units": 8}),
    ({"n_units": np.array([4, 5], dtype=np.uint8)}, {"n_units": (4, 5)}),
    ({"n_units": pd.Series([4, 5])}, {"n_units": (4, 5)}),
    ({"n_units": pd.Index([4, 5])}, {"n_units": (4, 5)}),
    ({"n_units": range(4, 6)}, {"n_units": (4, 5)}),
    ({"n_layers": np.int64(2)}, {"n_layers": 2}),
    ({"batch_size": np.int8(32)}, {"batch_size": 32}),
    ({"max_iter": np.uint8(3)}, {"max_iter": 3}),
    ({"dropout": pd.Series([0.25, 0.0])}, {"dropout": (0.25, 0.0)}),
    ({"learning_rate": np.float32(0.5)}, {"learning_rate": 0.5}),
    ({"activation": np.str_("tanh")}, {"activation": "tanh"}),
    ({"activation": np.array(["tanh", "relu"])}, {"activation": ("tanh", "relu")}),
    ({"activation": pd.Series(["tanh", "relu"])}, {"activation": ("tanh", "relu")}),
    ({"shuffle": np.bool_(False)}, {"shuffle": False}),
    ({"standardize": np.bool_(True)}, {"standardize": True}),
    ({"standardize": np.str_("robust")}, {"standardize": "robust"}),
    ({"early_stopping": np.True_}, {"early_stopping": True}),
    ({"optimizer": np.str_("sgd")}, {"optimizer": "sgd"}),
    ({"scoring": np.str_("roc_auc")}, {"scoring": "roc_auc"}),
    ({"device": np.str_("cpu")}, {"device": "cpu"}),
    ({"dtype": np.str_("float32")}, {"dtype": "float32"}),
    ({"random_state": np.int64(3)}, {"random_state": 3}),
    ({"n_threads": np.int32(1)}, {"n_threads": 1}),
    ({"class_weight": {np.False_: np.float32(2), np.True_: np.int8(1)}}, {"class_weight": {0: 2}}),
    ({"categorical_features": pd.Index([1])}, {"categorical_features": [1]}),
    ({"categorical_features": pd.Series([False, True, False])}, {"categorical_features": [1]}),
]


@pytest.mark.parametrize(("given", "expected"), SAME, ids=[str(given) for given, _ in SAME])
def test_types_of_other_libraries_equal_those_of_python(given, expected):
    data = X.round()
    options = {"n_units": 4, "max_iter": 2, "batch_size": 32, "random_state": 0}
    clf = DeepBinaryClassifier(**{**options, **given}).fit(data, Y)
    same = DeepBinaryClassifier(**{**options, **expected}).fit(data, Y)
    np.testing.assert_array_equal(clf.predict_proba(data), same.predict_proba(data))


def test_a_search_over_arrays_of_values():
    grid = {
        "activation": np.array(["tanh", "relu"]),
        "n_units": np.array([2, 3], dtype=np.int8),
        "shuffle": np.array([True, False]),
        "standardize": np.array(["robust", "smooth_clip"]),
        "max_iter": range(1, 2),
    }
    search = GridSearchCV(DeepBinaryClassifier(random_state=0), grid, cv=2, error_score="raise")
    assert 0 <= search.fit(X, Y).best_score_ <= 1


def test_types_of_python_are_returned_as_they_are():
    for value in (3, "relu", None, 0.5, True, torch.tanh, torch.nn.ReLU, torch.optim.SGD):
        assert to_python(value) is value


@pytest.mark.parametrize("number", [Fraction(1, 4), Decimal("0.25"), np.longdouble(0.25)], ids=repr)
def test_other_types_of_numbers_are_an_error(number):
    for name, value in {"dropout": [number], "tol": number, "class_weight": {0: number}}.items():
        with pytest.raises(
            ValueError, match=rf"{name} must be .*, got .*{re.escape(repr(number))}"
        ):
            DeepBinaryClassifier(**{name: value}).fit(X, Y)


@pytest.mark.parametrize("name", ["n_units", "max_iter", "n_networks", "learning_rate", "tol"])
@pytest.mark.parametrize("value", [10**400, -(10**400), Decimal("1e999"), Fraction(10**400)])
def test_huge_numbers_are_an_error(name, value):
    with pytest.raises(ValueError, match=f"{name} must be"):
        DeepBinaryClassifier(**{name: value}).fit(X, Y)


@pytest.mark.parametrize("n_units", [10**6, 10**9, (10**9, 10**9)])
def test_a_network_too_large_for_memory_is_an_error(n_units):
    clf = DeepBinaryClassifier(n_units=n_units, early_stopping=False)
    with pytest.raises(ValueError, match="must make a network that fits into memory, got 1 with"):
        clf.fit(X, Y)


@pytest.mark.parametrize(
    ("returned", "message"),
    [(None, "got None"), ("fast", "got 'fast'"), (-1.0, "got -1.0"), (np.nan, "got nan")],
)
def test_a_schedule_that_returns_no_factor_is_an_error(returned, message):
    clf = DeepBinaryClassifier(learning_rate_schedule=lambda epoch, max_iter: returned)
    with pytest.raises(ValueError, match=f"learning_rate_schedule must return .*{message} at epo"):
        clf.fit(X, Y)


def test_a_schedule_may_return_any_type_of_number():
    options = {"n_units": 4, "max_iter": 3, "random_state": 0}
    constant = DeepBinaryClassifier(**options, learning_rate_schedule="constant").fit(X, Y)
    for one in (1, np.float32(1), torch.tensor(1.0), True):
        clf = DeepBinaryClassifier(**options, learning_rate_schedule=lambda *_, one=one: one)
        np.testing.assert_array_equal(clf.fit(X, Y).coefs_[0], constant.coefs_[0])


def test_a_module_class_that_needs_arguments_is_an_error():
    clf = DeepBinaryClassifier(activation=torch.nn.Threshold)
    with pytest.raises(ValueError, match=r"that needs no arguments, .* got Threshold"):
        clf.fit(X, Y)
