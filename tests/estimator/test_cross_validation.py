"""The epoch to keep, chosen by networks that each hold out another fold."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logit
from sklearn.datasets import make_circles
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV

from skdnn import Checkpoint, DeepBinaryClassifier, DeepRegressor, together
from skdnn.estimator import _cross_validation

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
Y = (X[:, 0] + RNG.logistic(size=120) > 0).astype(int)
SMALL = {"n_units": 8, "max_iter": 20, "random_state": 0}


def model(Model=DeepBinaryClassifier, **parameters):
    return Model(**{**SMALL, "early_stopping": "cross_validation", **parameters})


@pytest.mark.parametrize("n_rows", [50, 99, 100, 150])
def test_few_rows_are_enough_for_circles(n_rows):
    train, test = (
        make_circles(n, noise=0.15, factor=0.5, random_state=seed)
        for seed, n in enumerate((n_rows, 2_000))
    )
    clf = DeepBinaryClassifier(random_state=0).fit(*train)
    assert log_loss(test[1], clf.predict_proba(test[0])) < 0.35


def test_labels_that_nothing_predicts_get_probabilities_near_the_base_rate():
    y = RNG.permutation(np.arange(120) < 40)
    clf = DeepBinaryClassifier(random_state=0).fit(X, y)
    P = clf.predict_proba(RNG.normal(size=(2_000, 3)))[:, 1]
    assert np.abs(P - 1 / 3).mean() < 0.12


def test_the_temperature_is_the_best_for_the_folds():
    clf = model(max_iter=60, n_units=64, weight_decay=0.0, learning_rate=0.01).fit(X, Y)
    z = logit(clf.oob_proba_[:, 1])
    temperatures = np.logspace(-1, 1, 201)
    costs = [log_loss(Y, 1 / (1 + np.exp(-z / T))) for T in temperatures]
    assert temperatures[np.argmin(costs)] == pytest.approx(1, abs=0.06)


def test_the_network_is_that_of_all_rows_divided_by_the_temperature(monkeypatch):
    found = {}
    of_all_rows = _cross_validation.of_all_rows

    def spy(plan, split, network, result):
        found["stack"] = network
        found["T"] = _cross_validation.temperature_of_folds(plan, split, network)
        return of_all_rows(plan, split, network, result)

    monkeypatch.setattr("skdnn.estimator._fitted_attributes.of_all_rows", spy)
    clf = model(max_iter=60, n_units=64, weight_decay=0.0).fit(X, Y)
    coefs, intercepts = found["stack"].arrays(5)
    assert found["T"] > 1
    for own, expected in zip(clf.coefs_[:-1], coefs[:-1], strict=True):
        np.testing.assert_array_equal(own, expected)
    np.testing.assert_allclose(clf.coefs_[-1] * found["T"], coefs[-1])
    np.testing.assert_allclose(clf.intercepts_[-1] * found["T"], intercepts[-1])
    # All networks keep the weights of the same epoch, so the folds are predicted by that one.
    validation = clf.validation_loss_curve_[clf.best_iter_ - 1]
    of_logits = log_loss(Y, 1 / (1 + np.exp(-found["T"] * logit(clf.oob_proba_[:, 1]))))
    assert of_logits == pytest.approx(validation, rel=0.02)


def test_the_row_that_is_predicted_has_not_been_seen():
    y = RNG.permutation(np.arange(120) % 2)
    frame = pd.DataFrame({"id": np.repeat(np.arange(40), 3).astype(str), "x": X[:, 0]})
    options = {"target_encoding": True, "categorical_features": ["id"], "max_iter": 100}
    clf = model(**options).fit(frame, y)
    assert log_loss(y, clf.oob_proba_) > 0.66
    assert log_loss(y, clf.predict_proba(frame)) < log_loss(y, clf.oob_proba_)


def test_groups_are_held_out_together():
    groups = np.repeat(np.arange(24), 5)
    labels = RNG.integers(2, size=24)[groups]
    rows = RNG.normal(size=(24, 3))[groups]  # the rows of a group are equal
    grouped, mixed = (
        model(max_iter=60, n_units=64).fit(rows, labels, groups=given) for given in (groups, None)
    )
    assert log_loss(labels, mixed.oob_proba_) < 0.45 < log_loss(labels, grouped.oob_proba_)


def test_pickles_modules_and_repeated_fits_predict_the_same():
    clf = model().fit(X, Y)
    P = clf.predict_proba(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(X), P)
    np.testing.assert_array_equal(model().fit(X, Y).predict_proba(X), P)
    found = clf.to_module()(torch.from_numpy(X)).detach()
    np.testing.assert_allclose(found, P[:, 1], rtol=1e-12)


def test_a_fit_that_was_interrupted_is_resumed(tmp_path, monkeypatch):
    expected = model().fit(X, Y)
    calls, cost_of_folds = [], _cross_validation.cost_of_folds

    def stop(*arguments):
        calls.append(0)
        if len(calls) == 8:
            raise RuntimeError
        return cost_of_folds(*arguments)

    monkeypatch.setattr("skdnn.estimator._training.cost_of_folds", stop)
    clf = model(checkpoint=Checkpoint(tmp_path / "fit", every_epochs=1))
    with pytest.raises(RuntimeError):
        clf.fit(X, Y)
    clf.fit(X, Y)
    assert len(calls) == 8 + 20 - 7
    np.testing.assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))
    assert clf.best_iter_ == expected.best_iter_


def test_a_search_gives_the_same_together():
    search = GridSearchCV(model(), {"learning_rate": [0.003, 0.01]}, cv=3)
    expected = search.fit(X, Y).cv_results_["mean_test_score"]
    with together():
        found = search.fit(X, Y).cv_results_["mean_test_score"]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_numbers_are_predicted_as_well():
    y = X[:, 0] ** 2 + 0.1 * RNG.normal(size=120)
    reg = model(DeepRegressor, max_iter=100).fit(X, y)
    assert reg.oob_prediction_.shape == y.shape
    assert np.corrcoef(reg.oob_prediction_, y)[0, 1] > 0.7
    # Without a temperature the chosen epoch is that of the lowest cost, of those that may be kept.
    curve = reg.validation_loss_curve_
    assert reg.best_iter_ == 7 + int(np.argmin(curve[6:]))


def test_a_validation_set_is_used_instead():
    clf = model().fit(X[:80], Y[:80], X_val=X[80:], y_val=Y[80:])
    assert clf.oob_proba_ is None
    assert clf.best_loss_ == min(clf.validation_loss_curve_)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_networks": 2}, "n_networks must be 1 for early_stopping='cross_validation', got 2"),
        ({"scoring": "roc_auc"}, "scoring must be None for early_stopping='cross_val"),
        ({"warm_start": True}, "warm_start must be False for early_stopping='cross_val"),
        ({"optimizer": "lbfgs"}, "early_stopping must not be 'cross_validation' for optimizer"),
    ],
)
def test_what_cannot_be_combined_is_an_error(parameters, message):
    with pytest.raises(ValueError, match=message):
        model(**parameters).fit(X, Y)


def test_too_few_rows_of_a_class_are_an_error_and_not_the_default():
    y = np.arange(120) < 4
    with pytest.raises(ValueError, match="a class has fewer than 5 rows"):
        model().fit(X, y)
    assert DeepBinaryClassifier(**SMALL).fit(X, y).oob_proba_ is None


def test_files_are_an_error(tmp_path):
    pytest.importorskip("pyarrow")
    pd.DataFrame(X, columns=list("abc")).assign(y=Y).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="where rows are in files"):
        model().fit(tmp_path / "rows.parquet", "y")
    assert DeepBinaryClassifier(**SMALL).fit(tmp_path / "rows.parquet", "y").oob_proba_ is None
