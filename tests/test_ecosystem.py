"""Tools of scikit-learn that use a classifier, on its data sets."""

import joblib
import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import (
    load_digits,
    load_iris,
    make_classification,
    make_multilabel_classification,
)
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, StackingClassifier
from sklearn.exceptions import UnsetMetadataPassedError
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
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
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


@pytest.mark.slow
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


def test_one_vs_rest_classifies_more_than_two_classes():
    X, y = load_iris(return_X_y=True)
    model = OneVsRestClassifier(small()).fit(X, y)
    assert model.score(X, y) > 0.94
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


@pytest.fixture(scope="module")
def genres():
    """Return X and three binary labels for each row."""
    return make_multilabel_classification(
        300, 10, n_classes=3, allow_unlabeled=True, random_state=0
    )


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_multi_output_classifier_fits_one_network_for_each_output(genres, n_jobs):
    X, Y = genres
    model = MultiOutputClassifier(small(), n_jobs=n_jobs).fit(X, Y)
    assert model.score(X, Y) > 0.6
    for k, P in enumerate(model.predict_proba(X)):
        alone = small().fit(X, Y[:, k])
        np.testing.assert_allclose(P, alone.predict_proba(X), atol=1e-9)


def test_classifier_chain_passes_earlier_predictions_to_each_network(genres):
    X, Y = genres
    chain = ClassifierChain(small(early_stopping=False), order=[2, 0, 1], cv=3).fit(X, Y)
    assert [network.n_features_in_ for network in chain.estimators_] == [10, 11, 12]
    assert chain.score(X, Y) > 0.6
    assert chain.predict_proba(X).shape == Y.shape


def test_one_vs_rest_accepts_multilabel_indicators(genres):
    X, Y = genres
    model = OneVsRestClassifier(small()).fit(X, Y)
    assert model.multilabel_
    assert model.score(X, Y) > 0.6


# -- metadata routing -------------------------------------------------------------------------


@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


def test_sample_weights_are_routed_through_a_pipeline_in_a_search(split, routing):
    X, _, y, _ = split
    weight = np.random.default_rng(0).integers(0, 3, size=len(y)).astype(float)
    net = small(batch_size=None).set_fit_request(sample_weight=True)
    net.set_score_request(sample_weight=True)
    model = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), net)
    grid = {"deepbinaryclassifier__n_layers": [1, 2]}
    search = GridSearchCV(model, grid, cv=3).fit(X, y, sample_weight=weight)
    best = search.best_estimator_[-1]
    alone = clone(best).fit(StandardScaler().fit_transform(X), y, sample_weight=weight)
    for got, expected in zip(best.coefs_, alone.coefs_, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)
    unweighted = clone(best).fit(StandardScaler().fit_transform(X), y)
    assert np.abs(best.coefs_[0] - unweighted.coefs_[0]).max() > 1e-3


def test_sample_weights_that_are_not_requested_are_an_error(split, routing):
    X, _, y, _ = split
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        make_pipeline(StandardScaler(), small()).fit(X, y, sample_weight=np.ones(len(y)))


def test_a_pipeline_transforms_the_validation_set(split, routing):
    X, X_val, y, y_val = split
    net = small(max_iter=50).set_fit_request(X_val=True, y_val=True)
    model = make_pipeline(StandardScaler(), net, transform_input=["X_val"])
    model.fit(X, y, X_val=X_val, y_val=y_val)
    scaler = StandardScaler().fit(X)
    alone = small(max_iter=50)
    alone.fit(scaler.transform(X), y, X_val=scaler.transform(X_val), y_val=y_val)
    assert model[-1].best_iter_ == alone.best_iter_
    assert model[-1].validation_loss_curve_ == pytest.approx(alone.validation_loss_curve_)
    P = model.predict_proba(X_val)[np.arange(len(y_val)), y_val]
    assert -np.log(P).mean() == pytest.approx(model[-1].best_loss_)


def test_partial_fit_requests_its_own_metadata(routing):
    net = small().set_partial_fit_request(classes=True, sample_weight=True)
    requests = net.get_metadata_routing().partial_fit.requests
    assert requests == {"classes": True, "sample_weight": True}


# -- threads ----------------------------------------------------------------------------------


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_parallel_fits_divide_the_cores(two_threads, monkeypatch):
    X, y = make_classification(300, 20, random_state=0)

    def threads(n_threads):
        """Return torch's threads during a fit that is large enough for two, and after it."""
        seen = []

        def score(clf, X, y):
            seen.append(torch.get_num_threads())
            return 0.5

        clf = DeepBinaryClassifier(
            n_units=256, batch_size=300, max_iter=1, scoring=score, early_stopping=True,
            n_threads=n_threads,
        )  # fmt: skip
        clf.fit(X, y)
        return [*seen, torch.get_num_threads()]

    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    assert threads(None) == [1, 2]
    beside = joblib.delayed(threads)
    # Two processes with one thread each; then four fits in threads, with one thread each.
    assert joblib.Parallel(n_jobs=2)(beside(None) for _ in range(2)) == [[1, 1], [1, 1]]
    with joblib.parallel_config("threading", n_jobs=2):
        assert [used for used, _ in joblib.Parallel()(beside(1) for _ in range(4))] == [1, 1, 1, 1]
    assert torch.get_num_threads() == 2


def test_permutation_importance_finds_the_informative_feature(split):
    X, X_test, y, y_test = split
    noise = np.random.default_rng(0).normal(size=(len(X_test), 1))
    model = small().fit(np.hstack([X, noise[:1].repeat(len(X), axis=0)]), y)
    importance = permutation_importance(
        model, np.hstack([X_test, noise]), y_test, n_repeats=10, random_state=0
    ).importances_mean
    assert importance[-1] == 0  # constant in training
    assert importance.max() > 0.005


def test_digits_are_classified_from_pixels():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y == 8, stratify=y, random_state=0)
    model = DeepBinaryClassifier(random_state=0).fit(X, y)
    assert roc_auc_score(y_test, model.predict_proba(X_test)[:, 1]) > 0.99
