"""Trained cosines of the numbers, in all networks or in some, in the estimators."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier, DeepRegressor
from skdnn.estimator import _prediction

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(3, 2, size=(300, 4))
Y = (X[:, 0] + (X[:, 1] - 3) ** 2 > 7).astype(int)


def model(Model=DeepBinaryClassifier, **parameters):
    options = {"n_units": 8, "max_iter": 4, "numeric_embedding": "periodic", "standardize": True}
    return Model(**{**options, "random_state": 0, "early_stopping": False, **parameters})


def logits(fitted, rows, member=...):
    """Return the logits for rows, by NumPy, of a classifier with two hidden layers."""
    numbers = StandardScaler().fit(X).transform(rows)
    w, b, a = fitted._embedding[1][member].reshape(3, 28)
    A = np.hstack([numbers, a * np.cos(2 * np.pi * (w * numbers.repeat(7, axis=1) + b))])
    for W, b in zip(fitted.coefs_, fitted.intercepts_, strict=True):
        A = np.maximum(A, 0) if W is not fitted.coefs_[0] else A
        A = A @ W[member] + b[member]
    return A[:, 0]


def test_predictions_are_those_of_the_formula():
    clf = model().fit(X, Y)
    assert clf.layer_sizes_ == (32, 8, 8, 1)
    assert (clf._embedding[1] != 0).all()
    np.testing.assert_allclose(clf.decision_function(X), logits(clf, X), rtol=1e-9)
    np.testing.assert_allclose(clf.decision_function(X[:1]), logits(clf, X[:1]), rtol=1e-9)


def test_several_networks_have_cosines_of_their_own():
    clf = model(n_networks=3).fit(X, Y)
    assert clf._embedding[1].shape == (3, 84)
    P = np.mean([expit(logits(clf, X, k)) for k in range(3)], axis=0)
    np.testing.assert_allclose(clf.predict_proba(X)[:, 1], P, rtol=1e-9)


def test_a_column_has_no_more_cosines_than_its_numbers_need():
    rows = np.column_stack([X[:, 0], X[:, 1] > 3, np.arange(300) % 4, np.ones(300)])
    embedding, _ = model().fit(rows, Y)._embedding
    assert embedding.inputs == (0,) * 7 + (2,) * 3
    assert model().fit(rows[:, [1, 3]], Y)._embedding[0] is None


@pytest.mark.parametrize("n_networks", [1, 3])
@pytest.mark.parametrize("Model", [DeepBinaryClassifier, DeepRegressor])
def test_pickles_and_modules_predict_the_same(Model, n_networks):
    rows = X.copy()
    rows[::7, 2] = np.nan  # whose missing indicator has no cosines
    fitted = model(Model, n_networks=n_networks, dropout=0.1).fit(rows, Y)
    assert fitted.layer_sizes_[0] == 33
    predict = getattr(fitted, "predict_proba", fitted.predict)
    expected = predict(rows) if Model is DeepRegressor else predict(rows)[:, 1]
    found = fitted.to_module()(torch.from_numpy(rows)).detach()
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    copied = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copied.predict(rows), fitted.predict(rows))


def test_warm_start_continues_with_the_cosines():
    options = {"optimizer": "sgd", "momentum": 0.0, "shuffle": False}
    at_once = model(**options, max_iter=6).fit(X, Y)
    clf = model(**options, max_iter=3, warm_start=True).fit(X, Y).fit(X, Y)
    np.testing.assert_allclose(clf.predict_proba(X), at_once.predict_proba(X), rtol=1e-10)
    with pytest.raises(ValueError, match="must find the numeric_embedding of the previous fit"):
        clf.set_params(numeric_embedding=None).fit(X, Y)


def test_partial_fit_refuses_an_embedding():
    with pytest.raises(ValueError, match="numeric_embedding must be None, 'auto' or 'piecewise"):
        model().partial_fit(X, Y, classes=[0, 1])


def test_an_interrupted_fit_is_resumed_with_its_embedding(tmp_path):
    def stop(estimator, rows, y):
        epochs.append(0)
        if len(epochs) == 3:
            raise RuntimeError
        return estimator.score(rows, y)

    epochs = []
    options = {"max_iter": 6, "scoring": stop, "early_stopping": True}
    options["checkpoint"] = tmp_path / "fit"
    with pytest.raises(RuntimeError):
        model(**options).fit(X, Y)
    resumed = model(**options).fit(X, Y)
    straight = model(**{**options, "checkpoint": None}).fit(X, Y)
    np.testing.assert_array_equal(resumed.predict_proba(X), straight.predict_proba(X))
    np.testing.assert_array_equal(resumed._embedding[1], straight._embedding[1])


def test_files_train_the_embedding(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(X, columns=list("abcd")).assign(y=Y)
    frame.to_parquet(tmp_path / "rows.parquet")
    clf = model(dtype="float64").fit(tmp_path / "rows.parquet", "y")
    assert clf.layer_sizes_[0] == 32
    P = clf.predict_proba(frame.drop(columns="y"))[:, 1]
    np.testing.assert_allclose(P, expit(logits(clf, X)), rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_some_networks_have_cosines_and_the_others_bins(dtype):
    clf = model(n_networks=3, numeric_embedding="auto", dtype=dtype, n_layers=2).fit(X, Y)
    assert clf._embedding[0].is_user.flatten().tolist() == [1, 0, 1]
    amplitudes = clf._embedding[1].reshape(3, 3, 28)[:, 2]
    assert (amplitudes != 0).any(axis=1).tolist() == [True, False, True]
    of_bins = clf.coefs_[0][:, 32:]  # from the 29th bin on, which are not replaced by cosines
    assert (of_bins != 0).any(axis=(1, 2)).tolist() == [False, True, False]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tables_predict_what_the_products_predict(dtype, monkeypatch):
    frame = pd.DataFrame(X, columns=list("abcd")).assign(
        e=np.random.default_rng(1).choice(list("xyz"), 300)
    )
    frame.loc[::9, "b"] = np.nan
    clf = model(n_networks=4, numeric_embedding="auto", dtype=dtype, max_iter=20).fit(frame, Y)
    monkeypatch.setattr(_prediction, "NUMBERS_WORTH_LOOKUP", np.inf)
    expected = pickle.loads(pickle.dumps(clf)).decision_function(frame)
    monkeypatch.setattr(_prediction, "NUMBERS_WORTH_LOOKUP", 0)
    found = pickle.loads(pickle.dumps(clf)).decision_function(frame)
    precision = 1e-11 if dtype == "float64" else 2e-6
    np.testing.assert_allclose(found, expected, rtol=precision, atol=precision)
