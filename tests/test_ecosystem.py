"""One test for each tool of scikit-learn that takes a classifier, on data that it ships."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, StackingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    TunedThresholdClassifierCV,
    cross_validate,
    train_test_split,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier


def small(**parameters):
    return DeepBinaryClassifier(
        **{"n_units": 16, "max_iter": 30, "random_state": 0, "learning_rate": 0.01, **parameters}
    )


@pytest.fixture(scope="module")
def split(cancer):
    X, y = cancer
    return train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)


def test_pipeline(split):
    X, X_test, y, y_test = split
    model = make_pipeline(StandardScaler(), small()).fit(X, y)
    assert model.score(X_test, y_test) > 0.94


def test_cross_validate(cancer):
    scores = cross_validate(small(), *cancer, scoring=["roc_auc", "neg_log_loss"])
    assert scores["test_roc_auc"].mean() > 0.98
    assert scores["test_neg_log_loss"].mean() > -0.2


def test_grid_search_over_learning_rate_and_depth_in_processes(split):
    X, X_test, y, y_test = split
    grid = {
        "deepbinaryclassifier__learning_rate": [1e-6, 0.01],
        "deepbinaryclassifier__n_layers": [1, 3],
    }
    model = make_pipeline(StandardScaler(), small())
    search = GridSearchCV(model, grid, n_jobs=2, cv=3, scoring="roc_auc").fit(X, y)
    assert search.best_params_["deepbinaryclassifier__learning_rate"] == 0.01
    assert search.score(X_test, y_test) > 0.98
    alone = GridSearchCV(model, grid, cv=3, scoring="roc_auc").fit(X, y)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"], atol=1e-6
    )


def test_successive_halving_over_epochs(split):
    X, X_test, y, y_test = split
    search = HalvingGridSearchCV(
        small(), {"n_layers": [1, 2, 3]}, resource="max_iter", min_resources=5, max_resources=45,
        cv=3, random_state=0,
    ).fit(X, y)  # fmt: skip
    assert search.n_resources_ == [5, 15]
    assert search.best_estimator_.max_iter == 15
    assert search.score(X_test, y_test) > 0.93


def test_calibration(split):
    X, X_test, y, y_test = split
    model = CalibratedClassifierCV(small(), cv=3).fit(X, y)
    assert roc_auc_score(y_test, model.predict_proba(X_test)[:, 1]) > 0.98


def test_tuned_threshold(split):
    X, X_test, y, y_test = split
    assert TunedThresholdClassifierCV(small(), cv=3).fit(X, y).score(X_test, y_test) > 0.93


def test_stacking(split):
    X, X_test, y, y_test = split
    model = StackingClassifier(
        [("net", small()), ("linear", make_pipeline(StandardScaler(), LogisticRegression()))], cv=3
    )
    assert model.fit(X, y).score(X_test, y_test) > 0.94


def test_bagging(split):
    X, X_test, y, y_test = split
    model = BaggingClassifier(small(), n_estimators=3, max_features=0.5, random_state=0).fit(X, y)
    assert model.score(X_test, y_test) > 0.93


def test_ada_boost(split):
    X, X_test, y, y_test = split
    model = AdaBoostClassifier(small(n_layers=1), n_estimators=3, random_state=0).fit(X, y)
    assert len(model.estimators_) >= 1
    assert model.score(X_test, y_test) > 0.93


def test_one_vs_rest_makes_many_classes_of_two():
    X, y = load_iris(return_X_y=True)
    model = OneVsRestClassifier(small()).fit(X, y)
    assert model.score(X, y) > 0.94
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


def test_permutation_importance_finds_what_matters(split):
    X, X_test, y, y_test = split
    noise = np.random.default_rng(0).normal(size=(len(X_test), 1))
    model = small().fit(np.hstack([X, noise[:1].repeat(len(X), axis=0)]), y)
    importance = permutation_importance(
        model, np.hstack([X_test, noise]), y_test, n_repeats=10, random_state=0
    ).importances_mean
    assert importance[-1] == 0  # it never varied in training
    assert importance.max() > 0.005


def test_pixels_of_digits():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y == 8, stratify=y, random_state=0)
    model = DeepBinaryClassifier(random_state=0).fit(X, y)
    assert roc_auc_score(y_test, model.predict_proba(X_test)[:, 1]) > 0.99


STATE = """
import pickle, warnings
import numpy as np, torch
from skdnn import DeepBinaryClassifier
import conftest

X = np.random.default_rng(0).normal(size=(60, 3))
y = (X[:, 0] > 0).astype(int)
conftest_state = conftest.global_state

def check(name, call):
    before = conftest_state()
    result = call()
    after = conftest_state()
    assert after == before, (name, [key for key in before if before[key] != after[key]])
    return result

torch.set_default_dtype(torch.float64)
for activation in ("relu", torch.tanh, torch.nn.Softplus):
    for optimizer in ("adam", "lbfgs", torch.optim.Adam):
        clf = DeepBinaryClassifier(
            activation=activation, optimizer=optimizer, dropout=0.1, max_iter=30,
            early_stopping=True, n_units=8, tol=0.01, n_iter_no_change=3,
        )
        check("fit", lambda: clf.fit(X, y))
        for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
            check(method, lambda: getattr(clf, method)(X))
        check("score", lambda: clf.score(X, y))
        check("to_module", clf.to_module)
        again = check("pickle", lambda: pickle.loads(pickle.dumps(clf)))
try:
    before = conftest_state()
    DeepBinaryClassifier(activation="identity", optimizer="sgd", learning_rate=1e300).fit(X, y)
except ValueError:
    assert conftest_state() == before
else:
    raise AssertionError("it should have diverged")
print("unchanged")
"""


def test_global_state_is_unchanged_after_every_call_in_a_fresh_process(pytestconfig):
    folder = pytestconfig.rootpath / "tests"
    script = f"import sys; sys.path.insert(0, {str(folder)!r})\n" + STATE
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False
    )
    assert result.stdout.strip() == "unchanged", result.stderr
