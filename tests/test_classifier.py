"""DeepBinaryClassifier: models, parameters, data, predictions and persistence."""

import copy
import pickle
import warnings
from decimal import Decimal

import fresh
import joblib
import numpy as np
import pandas as pd
import pytest
import reference
import torch
from scipy import sparse
from scipy.optimize import OptimizeResult
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import make_circles, make_moons
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier
from skdnn.network import ACTIVATIONS, LOSSES

QUICK = {"n_units": 8, "max_iter": 8, "early_stopping": False, "random_state": 0}


@pytest.fixture(scope="module")
def moons():
    return make_moons(300, noise=0.2, random_state=0)


# -- models ---------------------------------------------------------------------------------------


def test_a_deep_network_learns_a_nonlinear_boundary():
    X, y = make_circles(400, noise=0.05, factor=0.4, random_state=0)
    assert DeepBinaryClassifier(random_state=0).fit(X, y).score(X, y) > 0.98
    assert DeepBinaryClassifier(n_layers=1, random_state=0).fit(X, y).score(X, y) < 0.7


def noisy(cancer):
    """Return data on which logistic regression without regularisation has a finite optimum."""
    X, y = cancer
    flip = np.random.default_rng(0).random(len(y)) < 0.15
    return X[:, :8], np.where(flip, 1 - y, y)


def one_layer(**parameters):
    return DeepBinaryClassifier(
        n_layers=1, optimizer="lbfgs", tol=1e-9, max_iter=2000, random_state=0, **parameters
    )


def test_one_layer_is_logistic_regression(cancer):
    X, y = noisy(cancer)
    X = StandardScaler().fit_transform(X)
    ours = one_layer(standardize=False, weight_decay=0.0).fit(X, y)
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000).fit(X, y)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], theirs.coef_[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.intercepts_[0], theirs.intercept_, rtol=1e-4)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)


def raw_layer(model):
    """Return the weights and biases of the first layer for X that is not standardised."""
    W = model.input_encoding_["inverse_scale"][:, None] * model.coefs_[0]
    return W, model.intercepts_[0] - model.input_encoding_["center"] @ W


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_weights_are_for_standardised_features(moons, offset, dtype):
    X, y = moons
    options = {**QUICK, "dtype": dtype, "numeric_embedding": None}
    inside = DeepBinaryClassifier(**options, standardize=True).fit(X + offset, y)
    outside = DeepBinaryClassifier(**options, standardize=False)
    outside.fit(StandardScaler().fit_transform(X + offset), y)
    assert outside.input_encoding_ is None
    for got, expected in zip(inside.coefs_, outside.coefs_, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_standardised_weights_give_coefficients_for_raw_features(cancer):
    X, y = noisy(cancer)
    inside = one_layer(weight_decay=0.0, standardize=True).fit(X, y)
    scaler = StandardScaler().fit(X)
    outside = one_layer(weight_decay=0.0, standardize=False).fit(scaler.transform(X), y)
    np.testing.assert_allclose(inside.coefs_[0], outside.coefs_[0], rtol=1e-5)
    W, b = raw_layer(inside)
    np.testing.assert_allclose(W[:, 0] * scaler.scale_, outside.coefs_[0][:, 0], rtol=1e-5)
    np.testing.assert_allclose(inside.decision_function(X), X @ W[:, 0] + b, rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_weight_decay_matches_the_documented_c(cancer, weighted):
    X, y = noisy(cancer)
    X = StandardScaler().fit_transform(X)
    weight = np.random.default_rng(1).random(len(y)) if weighted else np.ones(len(y))
    ours = one_layer(standardize=False, weight_decay=0.02).fit(X, y, sample_weight=weight)
    theirs = LogisticRegression(C=1 / (0.02 * weight.sum()), tol=1e-10, max_iter=5000)
    theirs.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], theirs.coef_[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("init_scale", [0.01, 1.0])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_full_batch_sgd_is_the_lectures_gradient_descent(moons, activation, init_scale):
    X, y = moons[0][:60], moons[1][:60]
    clf = DeepBinaryClassifier(
        n_layers=3, n_units=4, activation=activation, init_scale=init_scale, optimizer="sgd",
        learning_rate=0.3, batch_size=None, standardize=False, tol=0.0, random_state=0,
    )  # fmt: skip
    start = clone(clf).set_params(max_iter=1, learning_rate=1e-300).fit(X, y)
    weights = start.coefs_, start.intercepts_
    costs = reference.gradient_descent(X, y, *weights, activation, 0.3, 10)[2]
    np.testing.assert_allclose(clf.set_params(max_iter=10).fit(X, y).loss_curve_, costs, rtol=1e-9)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "lbfgs", torch.optim.RMSprop])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_optimizer_lowers_the_cost(moons, optimizer, loss):
    rate = 0.1 if optimizer == "sgd" else 0.01
    clf = DeepBinaryClassifier(n_units=16, optimizer=optimizer, loss=loss, learning_rate=rate)
    clf.set_params(max_iter=30, random_state=0).fit(*moons)
    assert clf.loss_curve_[-1] < 0.8 * clf.loss_curve_[0]
    assert clf.score(*moons) > 0.75


@pytest.mark.parametrize(
    "activation", [*ACTIVATIONS, torch.nn.Softplus, torch.sin, ("relu", "tanh")]
)
def test_every_activation_learns_and_pickles(moons, activation):
    X, y = moons
    clf = DeepBinaryClassifier(
        n_units=16, activation=activation, learning_rate=0.01, random_state=0
    )
    clf.set_params(batch_size=32, max_iter=20).fit(X, y)
    assert clf.score(X, y) > 0.8
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))


# -- weights --------------------------------------------------------------------------------------


def probabilities(X_test, *args, **kwargs):
    clf = DeepBinaryClassifier(**QUICK, batch_size=None)
    return clf.set_params(**kwargs.pop("parameters", {})).fit(*args, **kwargs).predict_proba(X_test)


def test_integer_weights_equal_repeated_rows_and_zero_weights_absent_rows(moons):
    X, y = moons
    weight = np.random.default_rng(0).integers(0, 4, size=len(y))
    repeated = probabilities(X, np.repeat(X, weight, axis=0), np.repeat(y, weight))
    weighted = probabilities(X, X, y, sample_weight=weight)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-9)


def test_class_weight_multiplies_sample_weight(moons):
    X, y = moons
    weight = np.where(y == 1, 5.0, 2.0)
    by_class = probabilities(X, X, y, parameters={"class_weight": {0: 2, 1: 5}})
    np.testing.assert_allclose(by_class, probabilities(X, X, y, sample_weight=weight), rtol=1e-12)


def test_balanced_class_weight_finds_the_rare_class(moons):
    X, y = moons
    rare = np.flatnonzero((y == 0) | (np.arange(len(y)) % 10 == 0))
    X, y = X[rare], y[rare]
    plain = DeepBinaryClassifier(n_layers=1, random_state=0).fit(X, y)
    balanced = DeepBinaryClassifier(n_layers=1, class_weight="balanced", random_state=0).fit(X, y)
    assert balanced.predict(X).sum() > plain.predict(X).sum()


# -- data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [["no", "yes"], [False, True], [-1, 1], [3.0, 7.0], pd.Categorical(["a", "b"])],
    ids=str,
)
def test_predictions_are_the_labels_of_fit(moons, labels):
    X, y = moons
    labels = np.asarray(labels)
    clf = DeepBinaryClassifier(**QUICK).fit(X, labels[y])
    np.testing.assert_array_equal(clf.classes_, labels)
    assert clf.predict(X).dtype == labels.dtype
    numbers = DeepBinaryClassifier(**QUICK).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), numbers.predict_proba(X))
    np.testing.assert_array_equal(clf.predict(X), labels[numbers.predict(X)])


def test_swapped_labels_mirror_the_probabilities_with_symmetric_initial_weights(moons):
    X, y = moons
    parameters = {**QUICK, "n_layers": 1, "init_scale": 0.0, "optimizer": "sgd"}
    P = DeepBinaryClassifier(**parameters).fit(X, y).predict_proba(X)
    mirrored = DeepBinaryClassifier(**parameters).fit(X, 1 - y).predict_proba(X)
    np.testing.assert_allclose(P, mirrored[:, ::-1], rtol=1e-9)


def test_feature_names_of_data_frames_are_checked(moons):
    X, y = moons
    frame = pd.DataFrame(X, columns=["width", "height"])
    clf = DeepBinaryClassifier(**QUICK).fit(frame, pd.Series(y))
    assert clf.feature_names_in_.tolist() == ["width", "height"]
    with pytest.raises(ValueError, match="feature names should match"):
        clf.predict(frame[["height", "width"]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        clf.predict(X)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
@pytest.mark.parametrize("batch_size", [None, 32])
def test_sparse_and_dense_data_give_equal_results(moons, kind, batch_size):
    X, y = moons
    X = np.where(np.abs(X) < 0.3, 0, X)
    parameters = {**QUICK, "batch_size": batch_size}
    dense = DeepBinaryClassifier(**parameters).fit(X, y)
    scattered = DeepBinaryClassifier(**parameters).fit(kind(X), y)
    np.testing.assert_allclose(scattered.predict_proba(kind(X)), dense.predict_proba(X), rtol=1e-8)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix, pd.DataFrame])
def test_columns_of_two_numbers_get_no_bins_and_do_not_count_for_their_limit(container):
    rng = np.random.default_rng(0)
    numbers, dummies = rng.normal(size=(1_000, 3)), rng.integers(0, 2, size=(1_000, 250))
    X, y = np.hstack([numbers, dummies]), np.sin(3 * numbers[:, 0]) > 0
    options = {"n_units": 4, "max_iter": 1, "random_state": 0}
    auto = DeepBinaryClassifier(**options).fit(container(X), y)
    assert auto.layer_sizes_[0] == 3 * 17 + 250
    given = DeepBinaryClassifier(**options, numeric_embedding="piecewise_linear").fit(X, y)
    np.testing.assert_allclose(auto.predict_proba(container(X)), given.predict_proba(X), rtol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "scale"),
    [({}, 0.5), ({"standardize": True}, np.sqrt(0.01 * 0.99)), ({"standardize": "robust"}, 0.5)],
)
def test_a_rare_number_of_two_does_not_become_a_large_one(parameters, scale):
    X = (np.arange(1_000) < 10).astype(float)[:, None]
    options = {"n_units": 4, "max_iter": 1, "random_state": 0}
    clf = DeepBinaryClassifier(**options, **parameters).fit(X, X[:, 0] > 0)
    found = 1 / clf.input_encoding_["inverse_scale"]
    np.testing.assert_allclose(found, scale)


def test_the_learning_rate_depends_on_the_variance_of_the_columns_not_on_their_number():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(300, 8))
    y = numbers[:, 0] > 0
    rare = rng.random((300, 2_000)) < 0.01
    options = {"n_layers": 2, "n_units": 4, "max_iter": 2, "random_state": 0, "n_networks": 2}
    for X, variance in (
        (np.hstack([numbers, rare]), 8 + (4 * rare.mean(axis=0) * (1 - rare.mean(axis=0))).sum()),
        (rng.normal(size=(300, 2_000)), 2_000),
    ):
        rate = 0.003 * min(1, 256 / variance)
        auto = DeepBinaryClassifier(**options, numeric_embedding=None).fit(X, y)
        given = auto.coefs_
        auto.set_params(learning_rate=rate).fit(X, y)
        np.testing.assert_allclose(auto.coefs_[0], given[0], rtol=1e-9)


def test_sparse_data_is_never_made_dense_as_a_whole():
    n_samples, n_features = 1200, 4000  # 38 MB if it were dense
    X = sparse.csr_array(sparse.random(n_samples, n_features, density=1e-3, random_state=0))
    y = np.asarray(X[:, :50].sum(axis=1) > 0.5).astype(int)
    limit = 4 * 2**20
    largest = []
    original = sparse.csr_array.toarray

    def record(self, *args, **kwargs):
        largest.append(self.shape[0] * self.shape[1] * 8)
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse.csr_array, "toarray", record)
        clf = DeepBinaryClassifier(n_units=4, max_iter=1, random_state=0).fit(X, y)
        clf.predict(X)
    assert len(largest) > 100
    assert max(largest) < limit


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("float64", "float64"), ("float32", "float32"), ("float16", "float32"), ("int64", "float64")],
)
def test_the_network_has_the_dtype_of_the_data(moons, dtype, expected):
    X, y = (10 * moons[0]).astype(dtype), moons[1]
    clf = DeepBinaryClassifier(**QUICK, device="cpu").fit(X, y)
    assert {array.dtype.name for array in clf.coefs_ + clf.intercepts_} == {expected}
    assert clf.predict_proba(X).dtype == expected


@pytest.mark.parametrize("dtype", ["float32", np.float32, torch.float32, np.dtype("float32")])
def test_dtype_can_be_set(moons, dtype):
    clf = DeepBinaryClassifier(**QUICK, dtype=dtype).fit(*moons)
    assert clf.coefs_[0].dtype == np.float32


@pytest.mark.parametrize("standardize", [True, "smooth_clip"])
def test_large_means_survive_float32(moons, standardize):
    X, y = moons
    far = X + 1e6
    parameters = {**QUICK, "dtype": "float32", "standardize": standardize}
    near = DeepBinaryClassifier(**parameters).fit(X, y)
    clf = DeepBinaryClassifier(**parameters).fit(far, y)
    assert clf.input_encoding_ is not None
    np.testing.assert_allclose(clf.predict_proba(far), near.predict_proba(X), atol=1e-3)
    module = clf.to_module()
    assert not isinstance(module[0], torch.nn.Linear)  # the encoding is not merged
    P = module(torch.from_numpy(far)).detach()
    np.testing.assert_allclose(P, clf.predict_proba(far)[:, 1], atol=1e-6)


def test_column_y_is_accepted_with_a_warning(moons):
    X, y = moons
    with pytest.warns(DataConversionWarning):
        DeepBinaryClassifier(**QUICK).fit(X, y[:, None])


def test_memory_mapped_and_read_only_data_are_accepted(moons, tmp_path):
    X, y = moons
    expected = DeepBinaryClassifier(**QUICK).fit(X, y).predict_proba(X)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    clf = DeepBinaryClassifier(**QUICK).fit(mapped, y)
    np.testing.assert_array_equal(clf.predict_proba(mapped), expected)
    joblib.dump(clf, tmp_path / "clf.joblib")
    clf = joblib.load(tmp_path / "clf.joblib", mmap_mode="r")
    np.testing.assert_array_equal(clf.predict_proba(X), expected)


# -- predictions ----------------------------------------------------------------------------------


def test_prediction_methods_are_consistent(moons):
    X, y = moons
    clf = DeepBinaryClassifier(**QUICK).fit(X, y)
    Z, P = clf.decision_function(X), clf.predict_proba(X)
    np.testing.assert_allclose(P[:, 1], expit(Z))
    np.testing.assert_allclose(P.sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_array_equal(clf.predict(X), clf.classes_[(Z > 0).astype(int)])
    np.testing.assert_array_equal(clf.predict(X), clf.classes_[P.argmax(axis=1)])
    np.testing.assert_allclose(clf.predict_log_proba(X), np.log(P), rtol=1e-12)


def test_predictions_are_the_lectures_forward_propagation(moons):
    X, y = moons
    clf = DeepBinaryClassifier(**QUICK, activation="gelu", standardize=True).fit(X, y)
    (W, b), (_, *coefs), (_, *intercepts) = raw_layer(clf), clf.coefs_, clf.intercepts_
    expected = reference.logits(X[:20], [W, *coefs], [b, *intercepts], "gelu")
    np.testing.assert_allclose(clf.decision_function(X[:20]), expected, rtol=1e-9)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_a_single_infinite_value_raises(moons, value):
    clf, X = DeepBinaryClassifier(**QUICK, standardize=True).fit(*moons), moons[0].copy()
    X[17, 1] = value
    with pytest.raises(ValueError, match="Input X contains"):
        clf.predict(X)


def test_finite_values_with_an_overflowing_sum_are_accepted(moons):
    clf = DeepBinaryClassifier(**QUICK).fit(*moons)
    assert clf.predict(np.full((3, 2), 1e308)).shape == (3,)


def test_log_probabilities_are_finite_for_extreme_logits(moons):
    X, y = moons
    clf = DeepBinaryClassifier(n_layers=1, standardize=True, random_state=0).fit(X, y)
    log_P = clf.predict_log_proba(1e6 * X)
    assert np.isfinite(log_P).all()
    assert log_P.min() < -1000


def test_module_predicts_from_raw_data(moons):
    X, y = moons
    clf = DeepBinaryClassifier(**QUICK, activation=("mish", "leaky_relu")).fit(X, y)
    P = clf.to_module()(torch.from_numpy(X)).detach()
    np.testing.assert_allclose(P, clf.predict_proba(X)[:, 1], rtol=1e-10)


def test_predicting_before_fit_raises(moons):
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(DeepBinaryClassifier(), method)(moons[0])
    with pytest.raises(NotFittedError):
        DeepBinaryClassifier().to_module()


def test_parameters_set_after_the_fit_do_not_change_predictions(moons):
    X, y = moons
    clf = DeepBinaryClassifier(**QUICK).fit(X, y)
    before = clf.predict_proba(X)
    clf.set_params(activation="tanh", n_layers=7, dropout=0.5, standardize=False)
    np.testing.assert_array_equal(clf.predict_proba(X), before)


# -- early stopping -------------------------------------------------------------------------------


def test_weights_of_the_best_validation_epoch_are_used(cancer):
    X, y = cancer
    clf = DeepBinaryClassifier(
        early_stopping=True, learning_rate=0.01, max_iter=100, random_state=0
    )
    clf.fit(X, y)
    assert len(clf.validation_loss_curve_) == clf.n_iter_ == len(clf.loss_curve_)
    assert clf.best_iter_ == 1 + np.argmin(clf.validation_loss_curve_) < clf.n_iter_
    assert clf.best_loss_ == min(clf.validation_loss_curve_)
    assert 0.9 < max(clf.validation_scores_) <= 1


def test_a_validation_set_of_the_user_selects_the_best_epoch(cancer):
    X, y = cancer
    clf = DeepBinaryClassifier(learning_rate=0.01, random_state=0)
    clf.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    P = clf.predict_proba(X[1::2])[np.arange(len(y[1::2])), y[1::2]]
    assert -np.log(P).mean() == pytest.approx(clf.best_loss_, rel=1e-9)
    assert clf.score(X[1::2], y[1::2]) == pytest.approx(clf.validation_scores_[clf.best_iter_ - 1])


@pytest.mark.parametrize(
    ("n_rows", "optimizer", "holds_out"),
    [
        (99, "adam", True),
        (399, "adam", True),
        (99, "sgd", False),
        (999, "adamw", True),
        (999, "sgd", False),
        (1000, "adam", False),
        (9999, "adam", False),
        (10_000, "sgd", True),
        (10_000, "lbfgs", False),
    ],
)
def test_early_stopping_auto_depends_on_the_number_of_rows(n_rows, optimizer, holds_out):
    X = np.arange(n_rows, dtype=float)[:, None]
    clf = DeepBinaryClassifier(2, 4, optimizer=optimizer, max_iter=1, batch_size=1000)
    clf.fit(X, np.arange(n_rows) % 2)
    assert (clf.validation_loss_curve_ is not None) == holds_out


@pytest.mark.parametrize(
    ("n_features", "parameters", "holds_out"),
    [
        (300, {}, False),
        (301, {}, True),
        (301, {"optimizer": "sgd"}, False),
        (301, {"n_layers": 1}, False),
    ],
)
def test_early_stopping_auto_depends_on_the_number_of_columns(n_features, parameters, holds_out):
    X = np.random.default_rng(0).normal(size=(1200, n_features)).astype(np.float32)
    clf = DeepBinaryClassifier(n_units=4, max_iter=1, **parameters).fit(X, X[:, 0] > 0)
    assert (clf.validation_loss_curve_ is not None) == holds_out


@pytest.mark.parametrize(
    ("n_rows", "n_features", "parameters", "n_inputs"),
    [
        (999, 2, {}, 2),
        (1000, 2, {}, 2 + 2 * 16),
        (1000, 200, {}, 200 * 17),
        (1000, 201, {}, 201),
        (100, 2, {"n_networks": 2}, 2 + 2 * 16),
        (1000, 2, {"activation": "identity"}, 2),
    ],
)
def test_numeric_embedding_auto_depends_on_rows_columns_and_parameters(
    n_rows, n_features, parameters, n_inputs
):
    X = np.random.default_rng(0).normal(size=(n_rows, n_features)).astype(np.float32)
    clf = DeepBinaryClassifier(n_units=4, max_iter=1, **parameters).fit(X, X[:, 0] > 0)
    assert clf.layer_sizes_[0] == n_inputs


def test_numeric_embedding_auto_is_limited_by_memory(monkeypatch):
    monkeypatch.setattr("skdnn.estimator._defaults.MOST_NUMBERS", 1000 * 17 * 17 - 1)
    for n_features, n_inputs in ((16, 16 * 17), (17, 17)):
        X = np.random.default_rng(0).normal(size=(1000, n_features)).astype(np.float32)
        clf = DeepBinaryClassifier(n_units=4, max_iter=1).fit(X, X[:, 0] > 0)
        assert clf.layer_sizes_[0] == n_inputs


@pytest.mark.parametrize("n_rows", [100, 10_000])
def test_one_regularised_layer_holds_out_no_rows(n_rows):
    X = np.random.default_rng(0).normal(size=(n_rows, 3))
    y = X[:, 0] > 0
    options = {"max_iter": 2, "batch_size": 100, "random_state": 0}
    auto = DeepBinaryClassifier(1, **options).fit(X, y)
    assert auto.validation_loss_curve_ is None
    given = DeepBinaryClassifier(1, **options, weight_decay=3 / (4 * n_rows)).fit(X, y)
    np.testing.assert_array_equal(auto.coefs_[0], given.coefs_[0])


def test_no_rows_are_held_out_if_a_class_would_be_missing():
    y = np.arange(500) < 9
    clf = DeepBinaryClassifier(max_iter=1).fit(np.arange(500.0)[:, None], y)
    assert clf.validation_loss_curve_ is None


@pytest.mark.parametrize(
    "parameters",
    [
        {"max_iter": 3},
        {"max_iter": 49},
        {"max_iter": 50, "learning_rate_schedule": "constant", "early_stopping": False},
        {"max_iter": 50, "optimizer": "sgd"},
        {"max_iter": 3, "optimizer": "lbfgs"},
    ],
    ids=str,
)
def test_reaching_max_iter_warns(moons, parameters):
    with pytest.warns(ConvergenceWarning, match=f"max_iter={parameters['max_iter']}"):
        DeepBinaryClassifier(n_units=8, tol=0.0, random_state=0, **parameters).fit(*moons)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (1, "too many evaluations of the cost"),
        (2, "the line search of L-BFGS found no lower cost"),
    ],
)
def test_the_convergence_warning_of_lbfgs_gives_the_reason(monkeypatch, moons, status, message):
    ended = OptimizeResult(status=status, jac=np.ones(1))
    monkeypatch.setattr("skdnn.training._lbfgs.minimize", lambda *args, **options: ended)
    with pytest.warns(ConvergenceWarning, match=message):
        DeepBinaryClassifier(optimizer="lbfgs", max_iter=50).fit(*moons)


def test_a_warning_raised_as_an_error_leaves_a_fitted_estimator(moons):
    clf = DeepBinaryClassifier(max_iter=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning):
            clf.fit(*moons)
    assert clf.predict(moons[0]).shape == (300,)


def test_no_warning_if_the_learning_rate_falls_to_zero(moons):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = DeepBinaryClassifier(tol=0.0, random_state=0).fit(*moons)
    assert clf.n_iter_ == 50


def test_a_fit_that_converges_does_not_warn(moons):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = DeepBinaryClassifier(n_layers=1, optimizer="lbfgs").fit(*moons)
        DeepBinaryClassifier(tol=0.1, random_state=0).fit(*moons)
    assert clf.n_iter_ < 200


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"init_scale": 0.0}, "units will compute the same"),
        ({"init_scale": 1000.0}, "output starts saturated.*Set init_scale='auto'"),
        ({"standardize": False}, "output starts saturated.*Set standardize=True"),
    ],
    ids=str,
)
def test_unsuitable_initial_weights_warn(moons, parameters, message):
    X, y = moons
    with pytest.warns(UserWarning, match=message):
        DeepBinaryClassifier(max_iter=1, **parameters).fit(1e3 * X, y)


def test_zero_initial_weights_suit_logistic_regression(moons):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DeepBinaryClassifier(1, init_scale=0.0, optimizer="lbfgs").fit(*moons)


def test_divergence_raises_and_suggests_a_remedy(moons):
    clf = DeepBinaryClassifier(activation="identity", optimizer="sgd", learning_rate=1e9)
    with pytest.raises(ValueError, match=r"diverged.*smaller learning_rate"):
        clf.fit(*moons)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    "parameters",
    [
        {"optimizer": "adamw", "weight_decay": 1e308, "learning_rate": 1e10},
        {"optimizer": "sgd", "learning_rate": 1e308, "init_scale": 100.0},
    ],
    ids=["adamw", "sgd"],
)
@pytest.mark.filterwarnings("ignore:The output starts saturated")
def test_divergence_in_the_last_step_raises(moons, method, parameters):
    clf = DeepBinaryClassifier(max_iter=1, batch_size=None, random_state=0, **parameters)
    arguments = {"classes": [0, 1]} if method == "partial_fit" else {}
    with pytest.raises(ValueError, match=r"A weight became (nan|inf) in epoch 1: the training"):
        getattr(clf, method)(1e5 * moons[0], moons[1], **arguments)


def test_a_learning_rate_too_large_for_the_dtype_raises(moons):
    clf = DeepBinaryClassifier(dtype="float32", optimizer="sgd", learning_rate=1e39)
    with pytest.raises(
        ValueError, match=r"learning_rate must be .* torch.float32 can hold, got 1e"
    ):
        clf.fit(*moons)


@pytest.mark.parametrize("scale", [1e-40, 1e40])
def test_values_outside_the_range_of_float32_are_standardised_in_float64(moons, scale):
    X, y = moons
    clf = DeepBinaryClassifier(**QUICK, standardize=True, dtype="float32").fit(scale * X, y)
    expected = DeepBinaryClassifier(**QUICK, standardize=True, dtype="float32").fit(X, y)
    P = clf.predict_proba(scale * X)
    np.testing.assert_allclose(P, expected.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_score_is_the_accuracy(moons, weighted):
    X, y = moons
    clf = DeepBinaryClassifier(**QUICK).fit(X, y)
    labels = np.where(np.arange(len(y)) % 7, y, 2)  # a label of neither class is wrong
    weight = np.random.default_rng(0).random(len(y)) if weighted else None
    expected = accuracy_score(labels, clf.predict(X), sample_weight=weight)
    assert clf.score(X, labels, weight) == pytest.approx(expected, rel=1e-12)
    assert clf.score(X, ["text"] * len(y)) == 0


@pytest.mark.parametrize(
    ("labels", "weight", "message"),
    [
        ([0, 1], None, "y must hold one label for each of 300 rows, got 2"),
        ([None] * 300, None, "Input y contains NaN"),
        (torch.empty(300, device="meta"), None, "y must hold one label for each row"),
        (np.zeros(300), -np.ones(300), "sample_weight must not be negative"),
        (np.zeros(300), np.full(300, 1e308), "sample_weight must have a sum"),
        (np.zeros(300), np.arange(300).astype("M8[D]"), "sample_weight must be numbers"),
    ],
)
def test_invalid_arguments_of_score_raise(moons, labels, weight, message):
    clf = DeepBinaryClassifier(**QUICK).fit(*moons)
    with pytest.raises(ValueError, match=message):
        clf.score(moons[0], labels, weight)


@pytest.mark.parametrize("standardize", [True, False, "smooth_clip"])
def test_an_outlier_in_the_validation_set_is_not_reported_as_divergence(moons, standardize):
    X, y = moons
    far = X.copy()
    far[5, 0] = 1e300
    clf = DeepBinaryClassifier(**QUICK, standardize=standardize, dtype="float32")
    if standardize is False:  # 1e300 is beyond float32
        far[5, 0] = 1e15
    clf.fit(X, y, X_val=far, y_val=y)
    assert np.isfinite(clf.validation_loss_curve_).all()


def test_score_accepts_the_labels_that_fit_accepts(moons):
    X, y = moons
    clf = DeepBinaryClassifier(**QUICK).fit(X, y)
    for labels in (y.astype(object), [Decimal(int(k)) for k in y], torch.from_numpy(y).bfloat16()):
        assert clf.score(X, labels) == clf.score(X, y)


def test_interruption_leaves_a_usable_estimator(moons, monkeypatch):
    def interrupt(self, progress):
        if progress.epoch == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("skdnn.estimator._training.EpochLines.__call__", interrupt)
    clf = DeepBinaryClassifier(verbose=1, random_state=0)
    with pytest.raises(KeyboardInterrupt, match="fitted, with the weights after epoch 4"):
        clf.fit(*moons)
    short = DeepBinaryClassifier(learning_rate_schedule="constant", random_state=0)
    assert clf.n_iter_ == 4
    assert clf.predict_proba(moons[0]).shape == (300, 2)
    assert short.set_params(max_iter=4).fit(*moons).n_iter_ == 4


def test_warm_start_continues_the_last_fit(moons):
    X, y = moons
    parameters = {**QUICK, "optimizer": "sgd", "learning_rate": 0.1, "batch_size": None, "tol": 0.0}
    through = DeepBinaryClassifier(**parameters).set_params(max_iter=20).fit(X, y)
    twice = DeepBinaryClassifier(**parameters, warm_start=True).set_params(max_iter=10).fit(X, y)
    twice = pickle.loads(pickle.dumps(twice)).fit(X, y)
    np.testing.assert_allclose(twice.predict_proba(X), through.predict_proba(X), rtol=1e-9)
    np.testing.assert_allclose(twice.loss_curve_, through.loss_curve_, rtol=1e-9)
    assert twice.n_iter_ == 20
    with pytest.raises(ValueError, match="must find the layer sizes of the previous fit"):
        twice.set_params(n_units=9).fit(X, y)
    with pytest.raises(ValueError, match="must find the activations of the previous fit"):
        twice.set_params(n_units=8, activation="tanh").fit(X, y)
    with pytest.raises(ValueError, match="must find the classes of the previous fit"):
        twice.set_params(activation="relu").fit(X, 2 * y)
    assert twice.n_iter_ == 20


def test_warm_start_can_train_longer_than_before(moons):
    X, y = moons
    clf = DeepBinaryClassifier(**QUICK, warm_start=True, tol=0.0).fit(X, y)
    clf.set_params(max_iter=25).fit(X, y)
    assert clf.n_iter_ == len(clf.loss_curve_) == 8 + 25
    assert clf.loss_curve_[8] < clf.loss_curve_[0]


@pytest.mark.parametrize(
    ("optimizer", "n_features", "rate"),
    [("adam", 256, 0.003), ("adam", 1024, 0.00075), ("adamw", 1024, 0.00075), ("sgd", 1024, 0.003)],
)
def test_learning_rate_auto_decreases_with_the_number_of_columns(optimizer, n_features, rate):
    X = np.random.default_rng(0).normal(size=(60, n_features))
    y = (X[:, 0] > 0).astype(int)
    parameters = {"optimizer": optimizer, "n_units": 4, "max_iter": 3, "random_state": 0}
    auto = DeepBinaryClassifier(**parameters).fit(X, y)
    given = DeepBinaryClassifier(**parameters, learning_rate=rate).fit(X, y)
    np.testing.assert_array_equal(auto.coefs_[0], given.coefs_[0])
    other = DeepBinaryClassifier(**parameters, learning_rate=2 * rate).fit(X, y)
    assert not np.allclose(other.coefs_[0], given.coefs_[0])


def test_learning_rate_auto_decreases_with_the_root_of_the_number_of_bins():
    X = np.random.default_rng(0).normal(size=(1000, 64)).astype(np.float32)
    y = X[:, 0] > 0
    parameters = {"n_units": 4, "max_iter": 2, "random_state": 0}
    auto = DeepBinaryClassifier(**parameters).fit(X, y)
    rate = 0.003 * np.sqrt(256 / (64 * 17))
    given = DeepBinaryClassifier(**parameters, learning_rate=rate).fit(X, y)
    np.testing.assert_array_equal(auto.coefs_[0], given.coefs_[0])


@pytest.mark.parametrize(
    ("n_rows", "n_features", "parameters", "weight_decay"),
    [
        (1000, 2, {}, 0.01),
        (10_000, 2, {"early_stopping": False}, 0.005),
        (500, 2, {}, 0.003),
        (200, 50, {}, 0.015),
        (200, 50, {"early_stopping": True}, 0.00625),
        (200, 150, {"n_networks": 2}, 0.016875),
        (200, 300, {}, 0.1),
        (20, 50, {}, 0.03),
        (20, 50, {"early_stopping": False}, 0.025),
        (200, 50, {"optimizer": "adamw"}, 0.0),
    ],
)
def test_weight_decay_auto_grows_with_columns_and_shrinks_with_rows(
    n_rows, n_features, parameters, weight_decay
):
    X = np.random.default_rng(0).normal(size=(n_rows, n_features))
    y = X[:, 0] > 0
    parameters = {"n_units": 4, "max_iter": 2, "random_state": 0, **parameters}
    auto = DeepBinaryClassifier(**parameters).fit(X, y)
    given = DeepBinaryClassifier(**parameters, weight_decay=weight_decay).fit(X, y)
    np.testing.assert_allclose(auto.coefs_[0], given.coefs_[0], rtol=1e-6, atol=1e-8)
    other = DeepBinaryClassifier(**parameters, weight_decay=1.01 * weight_decay + 1e-3).fit(X, y)
    assert not np.allclose(other.coefs_[0], given.coefs_[0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("n_rows", "optimizer", "n_epochs"),
    [(19_999, "adam", 50), (20_000, "adam", 15), (20_000, "sgd", 50)],
)
def test_max_iter_auto_is_smaller_for_many_rows(n_rows, optimizer, n_epochs):
    X = np.random.default_rng(0).normal(size=(n_rows, 1)).astype(np.float32)
    clf = DeepBinaryClassifier(
        n_units=2, optimizer=optimizer, n_iter_no_change=99, batch_size=1000, random_state=0
    )
    assert clf.fit(X, X[:, 0] > 0).n_iter_ == n_epochs


# -- partial_fit ----------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_partial_fit_on_whole_batches_equals_fit(moons, optimizer):
    X, y = moons
    parameters = {
        "n_units": 8, "optimizer": optimizer, "momentum": 0.9, "learning_rate": 0.01,
        "learning_rate_schedule": "constant", "batch_size": 50, "shuffle": False, "tol": 0.0,
        "standardize": False, "weight_decay": 0.0, "dropout": 0.2, "random_state": 0,
        "early_stopping": False,
    }  # fmt: skip
    whole = DeepBinaryClassifier(**parameters, max_iter=2).fit(X, y)
    pieces = DeepBinaryClassifier(**parameters)
    for start in [0, 50, 100, 150, 200, 250] * 2:
        rows = slice(start, start + 50)
        pieces.partial_fit(X[rows], y[rows], classes=[0, 1])
        pieces = pickle.loads(pickle.dumps(pieces))
    np.testing.assert_allclose(pieces.predict_proba(X), whole.predict_proba(X), rtol=1e-7)
    assert pieces.t_ == whole.t_ == 600
    assert len(pieces.loss_curve_) == pieces.n_iter_ == 12


def test_partial_fit_accepts_chunks_with_one_class(moons):
    X, y = moons
    clf = DeepBinaryClassifier(n_units=32, learning_rate=0.01, random_state=0)
    order = np.argsort(y, kind="stable")
    for epoch in range(20):
        for chunk in np.array_split(order if epoch == 0 else np.roll(order, 7 * epoch), 5):
            clf.partial_fit(X[chunk], y[chunk], classes=[0, 1])
    assert clf.score(X, y) > 0.8


@pytest.mark.parametrize(
    ("parameters", "arguments", "message"),
    [
        ({}, {}, "classes must be given in the first call"),
        ({}, {"classes": [0, 1, 2]}, "Only binary classification is supported"),
        ({}, {"classes": [1, 2]}, "y must hold only the classes"),
        ({"early_stopping": True}, {"classes": [0, 1]}, "early_stopping must be False or 'auto'"),
        ({"class_weight": "balanced"}, {"classes": [0, 1]}, "class_weight must be a dict or None"),
        ({"class_weight": np.array("balanced")}, {"classes": [0, 1]}, "class_weight must be"),
        ({"optimizer": "lbfgs"}, {"classes": [0, 1]}, "optimizer must be one of .*partial_fit"),
        ({"optimizer": torch.optim.SGD}, {"classes": [0, 1]}, "optimizer must be one of"),
    ],
)
def test_unsupported_parameters_of_partial_fit_raise(moons, parameters, arguments, message):
    clf = DeepBinaryClassifier(**parameters)
    with pytest.raises(ValueError, match=message):
        clf.partial_fit(*moons, **arguments)
    assert not hasattr(clf, "n_features_in_")


def test_partial_fit_rejects_other_classes_later(moons):
    clf = DeepBinaryClassifier(**QUICK).partial_fit(*moons, classes=[0, 1])
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        clf.partial_fit(*moons, classes=[0, 2])


# -- reproducibility, copies, pickles -------------------------------------------------------------


def test_equal_seeds_give_equal_results(moons):
    X, y = moons
    parameters = {"n_units": 8, "max_iter": 5, "dropout": 0.2, "batch_size": 32}
    parameters["early_stopping"] = True

    def fit(seed):
        clf = DeepBinaryClassifier(**parameters, random_state=seed)
        return clf.fit(X, y).predict_proba(X)

    np.testing.assert_array_equal(fit(3), fit(3))
    np.testing.assert_array_equal(fit(np.random.RandomState(3)), fit(3))
    assert not np.array_equal(fit(3), fit(4))
    assert not np.array_equal(fit(None), fit(None))


def test_a_full_batch_does_not_depend_on_the_order_of_rows(moons):
    X, y = moons
    parameters = {**QUICK, "batch_size": None}
    P = DeepBinaryClassifier(**parameters).fit(X, y).predict_proba(X)
    backwards = DeepBinaryClassifier(**parameters).fit(X[::-1], y[::-1]).predict_proba(X)
    np.testing.assert_allclose(P, backwards, rtol=1e-7)


def test_clone_and_deepcopy(moons):
    X, y = moons
    clf = DeepBinaryClassifier(**QUICK, activation=torch.tanh).fit(X, y)
    np.testing.assert_array_equal(clone(clf).fit(X, y).predict(X), clf.predict(X))
    twin = copy.deepcopy(clf)
    twin.coefs_[0][:] = 0
    assert clf.coefs_[0].any()


@pytest.mark.parametrize("n_layers", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pickles_are_small_and_without_tensors(n_layers, dtype):
    X = np.random.default_rng(0).normal(size=(40, 7200)).astype(dtype)
    clf = DeepBinaryClassifier(n_layers, (20, 7)[: n_layers - 1], max_iter=2, random_state=0)
    clf.fit(X, np.arange(40) % 2)
    arrays = [*clf.coefs_, *clf.intercepts_, *clf.input_encoding_.values()]
    size = sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))
    assert len(pickle.dumps(clf)) < 2 * size + 20_000
    plain = (np.ndarray, str, int, float, bool, type(None))
    for name, value in vars(clf).items():
        value = value.values() if isinstance(value, dict) else value
        for item in [value] if isinstance(value, plain) else value:
            assert isinstance(item, plain), f"{name}: {type(item)}"


def load_and_predict(path):
    clf, X = joblib.load(path)
    return clf.predict_proba(X)


@pytest.mark.slow
def test_a_pickle_predicts_the_same_in_another_process(moons, tmp_path):
    X, y = moons
    clf = DeepBinaryClassifier(**QUICK).fit(X, y)
    joblib.dump((clf, X), tmp_path / "clf.joblib")
    P = fresh.call(load_and_predict, tmp_path / "clf.joblib")
    np.testing.assert_array_equal(P, clf.predict_proba(X))


def test_a_model_fitted_on_cuda_predicts_without_cuda(moons):
    X, y = moons
    clf = DeepBinaryClassifier(**QUICK, device="cpu").fit(X, y)
    expected = clf.predict_proba(X)
    clf.device_ = "cuda:99"  # as fitted on a machine with more devices
    np.testing.assert_array_equal(clf.predict_proba(X), expected)


def test_fitted_attributes_are_named_as_in_mlp_classifier(moons):
    clf = DeepBinaryClassifier(3, (6, 4), max_iter=5, early_stopping=False).fit(*moons)
    assert [coef.shape for coef in clf.coefs_] == [(2, 6), (6, 4), (4, 1)]
    assert [intercept.shape for intercept in clf.intercepts_] == [(6,), (4,), (1,)]
    assert clf.layer_sizes_ == (2, 6, 4, 1)
    assert (clf.n_layers_, clf.n_outputs_, clf.out_activation_) == (3, 1, "logistic")
    assert clf.t_ == 5 * 300
    assert clf.loss_ == clf.loss_curve_[-1]


# -- CUDA -----------------------------------------------------------------------------------------


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_cuda_and_cpu_results_are_close(moons, dropout):
    X, y = moons
    parameters = {**QUICK, "batch_size": 32, "dtype": "float64", "dropout": dropout}
    on_cpu = DeepBinaryClassifier(**parameters, device="cpu").fit(X, y)
    on_cuda = DeepBinaryClassifier(**parameters, device="cuda").fit(X, y)
    assert on_cuda.device_ == "cuda"
    assert {type(coef) for coef in on_cuda.coefs_} == {np.ndarray}
    atol = 0.3 if dropout else 1e-6  # the masks are drawn on the device
    np.testing.assert_allclose(on_cuda.predict_proba(X), on_cpu.predict_proba(X), atol=atol)


# -- precision, and the cached network ------------------------------------------------------------


def many_rows(n=1000):
    X = np.random.default_rng(0).normal(size=(n, 3))
    return X, (X[:, 0] > 0).astype(int)


@pytest.mark.parametrize(
    ("rows", "parameters", "expected"),
    [
        (999, {}, "float64"),
        (1000, {}, "float32"),
        (1000, {"dtype": "float64"}, "float64"),
        (1000, {"optimizer": "lbfgs"}, "float64"),
    ],
)
def test_many_float64_rows_train_in_float32_and_predict_in_float64(rows, parameters, expected):
    X, y = many_rows(rows)
    clf = DeepBinaryClassifier(n_units=4, max_iter=2, device="cpu", **parameters).fit(X, y)
    assert clf.coefs_[0].dtype == expected
    assert clf.predict_proba(X).dtype == clf.decision_function(X).dtype == "float64"
    assert clf.predict_proba(X.astype("float32")).dtype == expected


def test_rows_of_weight_zero_do_not_count_for_dtype_auto():
    X, y = many_rows(1200)
    weight = (np.arange(1200) < 999).astype(float)
    clf = DeepBinaryClassifier(n_units=4, max_iter=2, device="cpu").fit(X, y, weight)
    assert clf.coefs_[0].dtype == "float64"


def test_partial_fit_uses_the_dtype_of_the_data():
    X, y = many_rows(1200)
    clf = DeepBinaryClassifier(n_units=4, device="cpu").partial_fit(X, y, classes=[0, 1])
    assert clf.coefs_[0].dtype == "float64"


def test_a_column_of_large_mean_loses_no_precision_in_float32():
    X, y = many_rows()
    far = X.copy()
    far[:, 0] = 1e9 + far[:, 0]  # more digits than float32 has
    near, clf = (
        DeepBinaryClassifier(n_units=4, max_iter=3, random_state=0).fit(data, y)
        for data in (X, far)
    )
    assert clf.coefs_[0].dtype == "float32"
    np.testing.assert_allclose(clf.predict_proba(far), near.predict_proba(X), atol=1e-4)


def test_modified_weights_are_used_for_prediction(moons):
    X, y = moons
    clf = DeepBinaryClassifier(n_units=4, max_iter=2, random_state=0).fit(X, y)
    before, attributes = clf.decision_function(X), set(vars(clf))
    clf.intercepts_[-1] += 1  # in place
    np.testing.assert_allclose(clf.decision_function(X), before + 1, rtol=1e-10, atol=1e-10)
    clf.intercepts_[-1] = clf.intercepts_[-1] + 1  # another array
    np.testing.assert_allclose(clf.decision_function(X), before + 2, rtol=1e-10, atol=1e-10)
    clf.coefs_ = [0 * coef for coef in clf.coefs_]
    assert np.ptp(clf.decision_function(X)) == 0
    assert set(vars(clf)) == attributes
    again = pickle.loads(pickle.dumps(clf.fit(X, y)))
    np.testing.assert_allclose(again.decision_function(X), before, rtol=1e-12)


def test_an_unhashable_estimator_predicts(moons):
    class Unhashable(DeepBinaryClassifier):
        __hash__ = None

    clf = Unhashable(n_units=4, max_iter=2, random_state=0).fit(*moons)
    alike = DeepBinaryClassifier(n_units=4, max_iter=2, random_state=0).fit(*moons)
    np.testing.assert_array_equal(clf.predict_proba(moons[0]), alike.predict_proba(moons[0]))


@pytest.mark.parametrize("n_networks", [1, 3])
def test_predictions_do_not_depend_on_threads(n_networks, monkeypatch):
    monkeypatch.setattr("skdnn.data.frames._arrays.CHUNK_SIZE", 300)
    X, y = many_rows()
    X[::7, 1] = np.nan
    clf = DeepBinaryClassifier(n_units=4, max_iter=2, n_networks=n_networks, random_state=0)
    expected = clf.fit(X, y).predict_proba(X)
    monkeypatch.setattr("skdnn.estimator._prediction.OPERATIONS_WORTH_SETTING_THREADS", 0)
    for n_threads in (1, 2):
        clf.set_params(n_threads=n_threads)
        np.testing.assert_allclose(clf.predict_proba(X), expected, rtol=1e-5)
