"""Early stopping by a scorer of scikit-learn, compared with the scorer after the fit."""

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    make_scorer,
    roc_auc_score,
)

import skdnn.estimator._reading
from skdnn import DeepBinaryClassifier

X, Y = make_classification(600, 12, n_informative=4, flip_y=0.2, random_state=0)
TRAIN, VAL = slice(0, 300), slice(300, 600)


def fitted(scoring, X=X, y=Y, **parameters):
    parameters = {"n_units": 16, "max_iter": 30, "learning_rate": 0.01, **parameters}
    clf = DeepBinaryClassifier(scoring=scoring, random_state=0, **parameters)
    return clf.fit(X[TRAIN], y[TRAIN], X_val=X[VAL], y_val=y[VAL])


def brier(clf, X, y):
    return -brier_score_loss(y, clf.predict_proba(X)[:, 1])


@pytest.mark.parametrize(
    ("scoring", "expected"),
    [
        ("roc_auc", lambda clf: roc_auc_score(Y[VAL], clf.predict_proba(X[VAL])[:, 1])),
        (
            make_scorer(balanced_accuracy_score),
            lambda clf: balanced_accuracy_score(Y[VAL], clf.predict(X[VAL])),
        ),
        (brier, lambda clf: brier(clf, X[VAL], Y[VAL])),
    ],
    ids=["name", "scorer", "function"],
)
def test_the_epoch_of_the_best_score_is_kept(scoring, expected):
    clf = fitted(scoring)
    assert len(clf.validation_scores_) == clf.n_iter_ == len(clf.validation_loss_curve_)
    assert clf.best_iter_ == 1 + np.argmax(clf.validation_scores_) < clf.n_iter_
    assert clf.best_validation_score_ == max(clf.validation_scores_)
    assert clf.best_validation_score_ == pytest.approx(expected(clf), rel=1e-12)
    assert clf.best_loss_ == min(clf.validation_loss_curve_)


def test_neg_log_loss_stops_at_the_same_epoch_as_the_validation_cost():
    by_score, by_cost = fitted("neg_log_loss"), fitted(None)
    assert by_score.best_iter_ == by_cost.best_iter_
    np.testing.assert_allclose(
        by_score.validation_scores_, -np.array(by_cost.validation_loss_curve_), rtol=1e-9
    )
    np.testing.assert_array_equal(by_score.predict_proba(X), by_cost.predict_proba(X))


def test_scores_are_accuracies_without_scoring():
    clf = fitted(None)
    assert clf.best_validation_score_ == pytest.approx(clf.score(X[VAL], Y[VAL]), rel=1e-12)


def test_scorer_gets_the_weights_of_held_out_rows():
    seen = []

    def recording_scorer(clf, X, y, sample_weight=None):
        seen.append((X, y, sample_weight))
        return clf.score(X, y, sample_weight)

    weight = np.random.default_rng(0).random(600)
    clf = DeepBinaryClassifier(
        n_units=4, max_iter=2, early_stopping=True, scoring=recording_scorer, class_weight={0: 2.0}
    )
    clf.fit(X, Y, sample_weight=weight)
    rows = [int(np.flatnonzero((row == X).all(axis=1))[0]) for row in seen[0][0]]
    assert len(rows) == 60
    np.testing.assert_array_equal(seen[0][1], Y[rows])
    np.testing.assert_allclose(seen[0][2], weight[rows] * np.where(Y[rows] == 0, 2, 1))


def score_without_weights(clf, X, y):
    return clf.score(X, y)


def metric_without_weights(y_true, y_pred):
    return (y_true == y_pred).mean()


@pytest.mark.parametrize(
    "scoring",
    [score_without_weights, make_scorer(metric_without_weights)],
    ids=["function", "scorer"],
)
def test_weights_are_not_passed_to_scorers_without_sample_weight(scoring):
    clf = DeepBinaryClassifier(n_units=4, max_iter=3, early_stopping=True, scoring=scoring)
    clf.set_params(random_state=0).fit(X, Y, sample_weight=np.random.default_rng(0).random(600))
    assert len(clf.validation_scores_) == 3


@pytest.mark.parametrize("metric", [f1_score, roc_auc_score, metric_without_weights])
def test_scoring_rejects_metrics(metric):
    with pytest.raises(ValueError, match=rf"make_scorer makes .* got .*{metric.__name__}"):
        fitted(metric)


def test_data_frames_are_scored_without_warnings_about_feature_names():
    frame = pd.DataFrame(X, columns=[f"feature {k}" for k in range(12)])
    clf = DeepBinaryClassifier(n_units=4, max_iter=3, scoring="roc_auc", early_stopping=True)
    clf.fit(frame, Y)
    assert len(clf.validation_scores_) == 3
    assert clf.feature_names_in_[0] == "feature 0"


def test_data_frames_with_dates_are_scored():
    frame = pd.DataFrame({"a": X[:, 0], "day": pd.date_range("2020-01-01", periods=600)})
    clf = DeepBinaryClassifier(n_units=4, max_iter=3, early_stopping=True, random_state=0)
    by_name = clf.set_params(scoring="accuracy").fit(frame, Y).validation_scores_
    assert by_name == pytest.approx(clf.set_params(scoring=None).fit(frame, Y).validation_scores_)


NUMBERS = pd.DataFrame(X[:, :3], columns=["a", "b", "c"])
MIXED = NUMBERS.assign(kind=np.where(X[:, 3] > 0, "p", "n"))
FRAMES = {
    "numbers": NUMBERS,
    "categories": MIXED,
    "array": X,
    "narrow": X.astype(np.float32),
    "objects": MIXED.to_numpy(dtype=object),
    "sparse": sparse.csr_array(X),
    "COO": sparse.coo_matrix(X),
    "tensor": torch.from_numpy(X),
    "polars": pytest.importorskip("polars").from_pandas(MIXED),
    "PyArrow": pytest.importorskip("pyarrow").Table.from_pandas(MIXED),
}


def as_objects(X):
    """Return rows of any container as an array."""
    if sparse.issparse(X):
        return X.toarray()
    return np.asarray(pd.DataFrame(X.to_pandas() if hasattr(X, "to_pandas") else X))


@pytest.mark.parametrize("n_networks", [1, 2])
@pytest.mark.parametrize("has_X_val", [False, True], ids=["held out", "X_val"])
@pytest.mark.parametrize("name", FRAMES)
def test_scorer_gets_the_rows_in_the_type_passed_to_fit(name, has_X_val, n_networks):
    given, seen = FRAMES[name], []

    def scorer(clf, rows, y):
        again = copy.copy(rows)  # another object, so that it is not found in the cache
        np.testing.assert_array_equal(clf.predict_proba(again), clf.predict_proba(rows))
        seen.append((rows, y))
        return clf.score(rows, y)

    clf = DeepBinaryClassifier(n_units=4, max_iter=2, early_stopping=True, random_state=0)
    clf.set_params(scoring=scorer, n_networks=n_networks)
    if name == "objects":
        clf.set_params(categorical_features=[3])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf.fit(given, Y, **({"X_val": given, "y_val": Y} if has_X_val else {}))
    everything = as_objects(given).tolist()
    assert len(seen) == 2 * n_networks
    for rows, y in seen:
        is_coo = name == "COO" and not has_X_val  # COO matrices cannot be indexed by rows
        assert type(rows) is (sparse.csr_matrix if is_coo else type(given))
        assert getattr(rows, "dtype", None) == getattr(given, "dtype", None)
        for names in ("columns", "column_names"):  # PyArrow's `columns` are arrays
            if isinstance(getattr(given, names, [given])[0], str):
                assert list(getattr(rows, names)) == list(getattr(given, names))
        places = [everything.index(row) for row in as_objects(rows).tolist()]
        assert len(places) == 600 if has_X_val else len(set(places)) == len(places) < 600
        np.testing.assert_array_equal(y, Y[places])


@pytest.mark.parametrize("n_networks", [1, 2])
def test_function_and_scorer_name_give_the_same_scores_for_a_data_frame(n_networks):
    rare = np.random.default_rng(0).integers(0, 150, 600).astype(str)
    frame = MIXED.assign(rare=np.char.add("r", rare))
    clf = DeepBinaryClassifier(n_units=4, max_iter=3, early_stopping=True, random_state=0)
    clf.set_params(n_networks=n_networks)
    by_name = clf.set_params(scoring="accuracy").fit(frame, Y).validation_scores_
    by_function = clf.set_params(scoring=score_without_weights).fit(frame, Y).validation_scores_
    assert by_function == by_name


def test_scored_rows_are_read_once(monkeypatch):
    n_read = []
    read_columns = skdnn.estimator._reading.read_columns
    monkeypatch.setattr(
        skdnn.estimator._reading,
        "read_columns",
        lambda X, kinds: n_read.append(len(X)) or read_columns(X, kinds),
    )
    clf = DeepBinaryClassifier(
        n_units=4, max_iter=5, early_stopping=True, scoring=score_without_weights
    )
    clf.fit(MIXED, Y)
    assert n_read == [600]


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lbfgs"])
def test_scoring_holds_rows_out_for_every_optimizer(optimizer):
    clf = DeepBinaryClassifier(n_units=4, max_iter=3, optimizer=optimizer, scoring="roc_auc")
    assert len(clf.fit(X[:150], Y[:150]).validation_scores_) == clf.n_iter_


@pytest.mark.parametrize(
    ("rows", "parameters"), [(150, {"early_stopping": False}), (8, {})], ids=["not wanted", "few"]
)
def test_scoring_without_validation_rows_warns(rows, parameters):
    clf = DeepBinaryClassifier(n_units=4, max_iter=3, scoring="roc_auc", **parameters)
    with pytest.warns(UserWarning, match="scoring='roc_auc' has no rows to score.*X_val"):
        clf.fit(X[:rows], Y[:rows])
    assert clf.validation_scores_ is None
    assert clf.best_validation_score_ is None


def test_scores_are_recorded_without_early_stopping():
    clf = fitted("roc_auc", early_stopping=False, max_iter=20)
    assert clf.best_iter_ == clf.n_iter_ == len(clf.validation_scores_) == 20


@pytest.mark.parametrize("score", [float("nan"), float("inf"), None, "good", np.ones(2)], ids=str)
def test_scores_must_be_finite_numbers(score):
    with pytest.raises(ValueError, match=r"scoring must give a (finite )?number, got"):
        fitted(lambda clf, X, y: score)
