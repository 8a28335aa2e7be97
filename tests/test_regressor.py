"""DeepRegressor: compared with linear models and the lecture's loops; data, scores, persistence."""

import pickle

import numpy as np
import pandas as pd
import pytest
import reference
import torch
from sklearn.base import clone
from sklearn.datasets import load_diabetes, make_regression
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, QuantileRegressor, Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import Checkpoint, DeepRegressor
from skdnn.network import LINEAR_LOSSES

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4))
# Two outputs of different units.
Y = 50 * np.sin(2 * X[:, 0]) + 20 * X[:, 1] - 100 + RNG.normal(size=300)
WEIGHT = RNG.integers(0, 4, size=300).astype(float)
TWO = np.column_stack([Y, 0.001 * X[:, 2]])
EXACT = {
    "n_layers": 1, "optimizer": "lbfgs", "weight_decay": 0.0, "max_iter": 1000, "tol": 1e-10,
    "dtype": "float64",
}  # fmt: skip
QUICK = {"n_units": 16, "max_iter": 10, "random_state": 0}


def quick(**parameters):
    return DeepRegressor(**{**QUICK, **parameters})


def raw_layer(model):
    """Return the weights and biases of the first layer for X that is not standardised."""
    W = model.input_encoding_["inverse_scale"][:, None] * model.coefs_[0]
    return W, model.intercepts_[0] - model.input_encoding_["center"] @ W


# -- one layer is a linear model ------------------------------------------------------------------


@pytest.mark.parametrize("y", [Y, TWO], ids=["one", "two"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["same", "weighted"])
def test_one_layer_is_linear_regression(y, weight):
    ours = DeepRegressor(**EXACT, standardize=True).fit(X, y, weight)
    theirs = LinearRegression().fit(X, y, weight)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6, atol=1e-6)
    coef, intercept = np.atleast_2d(theirs.coef_).T, np.atleast_1d(theirs.intercept_)
    scale = np.abs(coef).max(axis=0)
    W, b = raw_layer(ours)
    np.testing.assert_allclose(W / scale, coef / scale, rtol=0, atol=1e-6)
    np.testing.assert_allclose(b, intercept, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["same", "weighted"])
def test_weight_decay_of_one_layer_is_ridge_with_the_documented_alpha(weight):
    for y, n_outputs in ((Y, 1), (TWO, 2)):
        options = {**EXACT, "weight_decay": 0.1, "standardize": False}
        ours = DeepRegressor(**options).fit(X, y, weight)
        alpha = 0.1 * (300 if weight is None else weight.sum()) * n_outputs
        theirs = Ridge(alpha, tol=1e-12).fit(X, y, weight)
        scale = np.std(y, axis=0)
        expected = theirs.predict(X)
        np.testing.assert_allclose(ours.predict(X) / scale, expected / scale, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "q"), [("quantile", 0.1), ("quantile", 0.75), ("absolute_error", 0.5)]
)
def test_one_layer_is_quantile_regression(loss, q):
    ours = DeepRegressor(
        n_layers=1, loss=loss, quantile=q, batch_size=None, learning_rate=0.03, max_iter=1000,
        tol=0.0, n_iter_no_change=1000, weight_decay=0.0, standardize=True, random_state=0,
    ).fit(X, Y)  # fmt: skip
    theirs = QuantileRegressor(quantile=q, alpha=0.0).fit(X, Y)
    W, b = raw_layer(ours)
    np.testing.assert_allclose(W[:, 0] / Y.std(), theirs.coef_ / Y.std(), atol=1e-3)
    np.testing.assert_allclose(b / Y.std(), theirs.intercept_ / Y.std(), atol=1e-3)


@pytest.mark.parametrize("n_layers", [2, 3, 5])
def test_identity_activations_give_a_linear_model_at_any_depth(n_layers):
    reg = quick(n_layers=n_layers, activation="identity", standardize=True).fit(X, Y)
    W, b = raw_layer(reg)
    for deeper, bias in zip(reg.coefs_[1:], reg.intercepts_[1:], strict=True):
        W, b = W @ deeper, b @ deeper + bias
    np.testing.assert_allclose(reg.predict(X), X @ W[:, 0] + b[0], rtol=1e-9)
    # The best linear model is the same at any depth.
    options = {"weight_decay": 0.0, "optimizer": "lbfgs", "max_iter": 2000, "tol": 1e-9}
    deep = quick(n_layers=n_layers, activation="identity", standardize=True).set_params(**options)
    line = LinearRegression().fit(X, Y)
    np.testing.assert_allclose(deep.fit(X, Y).predict(X), line.predict(X), atol=1e-3)


# -- the network ----------------------------------------------------------------------------------


def test_predictions_are_the_lectures_forward_propagation_in_units_of_y():
    for y in (Y, TWO):
        reg = quick(standardize=True, activation="tanh", numeric_embedding=None).fit(X, y)
        (W, b), (_, *coefs), (_, *intercepts) = raw_layer(reg), reg.coefs_, reg.intercepts_
        for x, predicted in zip(X[:5], reg.predict(X[:5]), strict=True):
            Z, _ = reference.forward_one(x, [W, *coefs], [b, *intercepts], "tanh")
            np.testing.assert_allclose(Z[-1], np.atleast_1d(predicted), rtol=1e-9)


def test_a_deep_network_learns_a_nonlinear_function():
    reg = DeepRegressor(max_iter=200, random_state=0).fit(X, Y + 100)
    assert LinearRegression().fit(X, Y + 100).score(X, Y + 100) < 0.6
    assert reg.score(X, Y + 100) > 0.9
    assert (reg.predict(X) < 0).any()
    assert (reg.predict(X) > 0).any()


@pytest.mark.parametrize(("scale", "shift"), [(1e-6, 0.0), (1e6, 0.0), (-1.0, 0.0), (3.0, 1e4)])
def test_results_do_not_depend_on_the_units_of_y(scale, shift):
    options = {"dtype": "float64", "activation": "tanh"}
    expected = quick(**options).fit(X, Y).predict(X)
    if scale < 0:  # random initial weights are not mirrored; one layer starts at the mean
        options |= {"n_layers": 1, "init_scale": 0.0}
        expected = quick(**options).fit(X, Y).predict(X)
    found = quick(**options).fit(X, scale * Y + shift).predict(X)
    np.testing.assert_allclose((found - shift) / scale, expected, rtol=1e-6)


def test_outputs_of_different_scale_are_learned_equally_well():
    reg = DeepRegressor(max_iter=100, random_state=0).fit(X, TWO)
    assert reg.predict(X).shape == (300, 2)
    assert min(r2_score(TWO, reg.predict(X), multioutput="raw_values")) > 0.8


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("constant", [0, 7, -0.1, 1e9 + 1])
@pytest.mark.parametrize("n_networks", [1, 3])
def test_a_constant_y_is_predicted_exactly(constant, dtype, n_networks):
    y = np.full(300, constant).astype(dtype)
    reg = quick(max_iter=2, n_networks=n_networks).fit(X, y)
    assert (reg.predict(X) == np.float64(y[0])).all()
    assert reg.loss_ == 0
    assert reg.score(X, y) == 1


def test_one_constant_output_of_several():
    y = np.column_stack([Y, np.full(300, 0.1)])
    reg = quick().fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    predicted = reg.predict(X)
    assert (predicted[:, 1] == 0.1).all()
    assert r2_score(Y, predicted[:, 0]) > 0.5
    assert reg.best_validation_score_ == pytest.approx(reg.score(X[200:], y[200:]))


@pytest.mark.parametrize("n_rows", [300, 1500])
def test_y_far_from_zero_loses_no_precision(n_rows):
    X, y = make_regression(n_rows, 4, noise=1.0, random_state=0)
    near = quick().fit(X.astype(np.float32), y)
    far = quick().fit(X.astype(np.float32), y + 1.6e9)
    assert far.score(X.astype(np.float32), y + 1.6e9) == pytest.approx(
        near.score(X.astype(np.float32), y), abs=0.01
    )


@pytest.mark.parametrize(("scale", "shift"), [(1e300, 0.0), (1e-60, 0.0), (1.0, 1e10)])
def test_y_that_float32_cannot_represent_raises(scale, shift):
    with pytest.raises(ValueError, match="dtype must be 'auto' or 'float64' for numbers that"):
        quick(dtype="float32", max_iter=10**8).fit(X, scale * Y + shift)
    reg = quick().fit(X.astype(np.float32), scale * Y + shift)
    assert r2_score(Y, (reg.predict(X) - shift) / scale) > 0.5
    assert reg.score(X, scale * Y + shift) > 0.5
    assert reg.score(X, -scale * Y + shift) < 0


def test_integer_y_is_accepted():
    y = np.round(Y).astype(np.int32)
    np.testing.assert_array_equal(
        quick().fit(X, y).predict(X), quick().fit(X, y.astype(float)).predict(X)
    )


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_the_initial_prediction_is_the_best_constant(loss):
    reg = quick(loss=loss, init_scale=1e-9, learning_rate=1e-12, max_iter=1, early_stopping=False)
    expected = np.average(Y, weights=WEIGHT)
    if loss == "absolute_error":
        expected = np.quantile(np.repeat(Y, WEIGHT.astype(int)), 0.5, method="inverted_cdf")
    np.testing.assert_allclose(reg.fit(X, Y, WEIGHT).predict(X), expected, rtol=1e-6)


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_a_quantile_prediction_exceeds_its_fraction_of_the_rows(q):
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(2000, 1))
    y = X[:, 0] * rng.normal(size=2000)
    reg = DeepRegressor(loss="quantile", quantile=q, random_state=0).fit(X, y)
    assert (y < reg.predict(X)).mean() == pytest.approx(q, abs=0.03)


def test_loss_quantile_requires_quantile():
    with pytest.raises(ValueError, match="for loss='quantile', got None"):
        quick(loss="quantile").fit(X, Y)


@pytest.mark.parametrize("loss", ["absolute_error", "quantile"])
def test_outliers_do_not_change_a_median(loss):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2))
    truth = 3 * np.sin(2 * X[:, 0]) + X[:, 1]
    y = truth + 0.3 * rng.normal(size=500)
    options = {"loss": loss, "quantile": 0.5, "n_units": 32, "random_state": 0}
    calm = DeepRegressor(**options).fit(X, y)
    y[:3] = 1e6
    outlier = DeepRegressor(**options).fit(X, y)
    expected = mean_absolute_error(truth, calm.predict(X))
    assert mean_absolute_error(truth, outlier.predict(X)) < 1.5 * expected
    partly = DeepRegressor(**options, learning_rate=0.02)
    for _ in range(20):
        for rows in (slice(250, None), slice(250)):  # the outliers come later
            partly.partial_fit(X[rows], y[rows])
    assert mean_absolute_error(truth, partly.predict(X)) < 0.5


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_constant_training_y_does_not_fit_a_varying_validation_y(early_stopping):
    y_val = np.column_stack([Y, Y])
    reg = quick(early_stopping=early_stopping).fit(
        X, np.column_stack([Y, np.full(300, 3.0)]), X_val=X, y_val=y_val
    )
    assert reg.best_validation_score_ < 0.6
    if early_stopping:
        assert reg.best_validation_score_ == pytest.approx(reg.score(X, y_val))
    reg = quick().fit(X, np.full(300, 3.0), X_val=X, y_val=Y)
    assert reg.best_validation_score_ == pytest.approx(reg.score(X, Y))
    assert reg.best_loss_ > 0


@pytest.mark.parametrize(
    "optimizer", ["adam", "adamw", "sgd", "lbfgs", torch.optim.RMSprop, torch.optim.LBFGS]
)
@pytest.mark.parametrize("loss", LINEAR_LOSSES)
def test_every_optimizer_lowers_every_cost(optimizer, loss):
    options = {"batch_size": None, "max_iter": 5} if optimizer is torch.optim.LBFGS else {}
    reg = quick(optimizer=optimizer, loss=loss, quantile=0.3, early_stopping=False, **options)
    reg.fit(X, Y)
    assert reg.loss_curve_[-1] < 0.9 * reg.loss_curve_[0]


@pytest.mark.parametrize(
    ("n_features", "parameters", "n_inputs"),
    [
        (4, {}, 4 + 4 * 16),
        (201, {}, 201),
        (4, {"n_layers": 1}, 4),
        (4, {"activation": ("identity", "linear")}, 4),
        (4, {"activation": ("identity", "tanh")}, 4 + 4 * 16),
        (4, {"optimizer": "sgd"}, 4),
    ],
)
def test_numeric_embedding_auto_needs_a_nonlinear_hidden_layer(n_features, parameters, n_inputs):
    X = np.random.default_rng(0).normal(size=(100, n_features))
    reg = quick(max_iter=2, **parameters).fit(X, X[:, 0])
    assert reg.layer_sizes_[0] == n_inputs


# -- weights, scores, stopping --------------------------------------------------------------------


def test_integer_weights_equal_repeated_rows_and_zero_weights_absent_rows():
    options = {"early_stopping": False, "batch_size": None, "dtype": "float64"}
    weighted = quick(**options).fit(X, TWO, WEIGHT)
    repeats = WEIGHT.astype(int)
    repeated = quick(**options).fit(np.repeat(X, repeats, axis=0), np.repeat(TWO, repeats, axis=0))
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-6)
    there = WEIGHT > 0
    absent = quick(**options).fit(X[there], TWO[there], WEIGHT[there])
    np.testing.assert_allclose(weighted.predict(X), absent.predict(X), rtol=1e-9)


@pytest.mark.parametrize("y", [Y, TWO], ids=["one", "two"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["same", "weighted"])
def test_score_is_r_squared(y, weight):
    reg = quick().fit(X, y)
    assert reg.score(X, y, weight) == r2_score(y, reg.predict(X), sample_weight=weight)


@pytest.mark.parametrize(
    ("y", "weight", "message"),
    [
        (Y[:5], None, r"y must hold numbers of shape \(300,\), got \(5,\)"),
        (TWO, None, r"y must hold numbers of shape \(300,\), got \(300, 2\)"),
        (["a"] * 300, None, "y must hold real numbers, got 'a'"),
        (Y, [1.0], r"sample_weight must have shape \(300,\)"),
    ],
)
def test_invalid_arguments_of_score_raise(y, weight, message):
    reg = quick(max_iter=2).fit(X, Y)
    with pytest.raises(ValueError, match=message):
        reg.score(X, y, weight)


def test_validation_scores_are_r_squared():
    y_val = TWO[200:]
    reg = quick(tol=0.0).fit(X[:200], TWO[:200], X_val=X[200:], y_val=y_val)
    best = max(reg.validation_scores_)
    assert len(reg.validation_scores_) == len(reg.validation_loss_curve_) == reg.n_iter_
    assert reg.score(X[200:], y_val) == pytest.approx(reg.best_validation_score_)
    assert reg.best_validation_score_ == pytest.approx(best, abs=0.05)
    # Half the unexplained fraction of the variance, in units of the training rows.
    left = ((y_val - reg.predict(X[200:])) / TWO[:200].std(axis=0)) ** 2 / 2
    assert reg.best_loss_ == pytest.approx(left.mean())


def test_a_scorer_gets_y_in_its_original_units():
    seen = []

    def score(estimator, X, y):
        seen.append(y)
        return -mean_absolute_error(y, estimator.predict(X))

    reg = quick(scoring=score, early_stopping=True, max_iter=5).fit(X, Y)
    assert set(seen[0]) <= set(Y)
    assert len(seen) == len(reg.validation_scores_) == 5
    by_name = quick(scoring="neg_mean_absolute_error", early_stopping=True, max_iter=5).fit(X, Y)
    assert by_name.validation_scores_ == reg.validation_scores_


def test_validation_fraction_of_the_rows_is_held_out():
    assert quick(early_stopping=True).fit(X, Y).validation_loss_curve_ is not None
    with pytest.raises(ValueError, match="early_stopping must find rows to hold out"):
        quick(early_stopping=True).fit(X[:1], Y[:1])


# -- several networks -----------------------------------------------------------------------------


@pytest.mark.parametrize("y", [Y, TWO], ids=["one", "two"])
def test_several_networks_predict_their_mean(y):
    reg = quick(n_networks=3).fit(X, y)
    separate = []
    for k in range(3):
        member = clone(reg).set_params(n_networks=1)
        vars(member).update(vars(reg) | {"coefs_": [W[k] for W in reg.coefs_]})
        member.intercepts_ = [b[k] for b in reg.intercepts_]
        separate.append(member.predict(X))
    np.testing.assert_allclose(reg.predict(X), np.mean(separate, axis=0), rtol=1e-6)


@pytest.mark.parametrize("y", [Y, TWO], ids=["one", "two"])
def test_out_of_fold_predictions_are_less_accurate_than_on_training_rows(y):
    reg = quick(n_networks=5, max_iter=60).fit(X, y)
    assert reg.oob_prediction_.shape == y.shape
    assert r2_score(y, reg.oob_prediction_) < reg.score(X, y)
    assert r2_score(y, reg.oob_prediction_) > 0.3
    assert quick(n_networks=3, early_stopping=False).fit(X, y).oob_prediction_ is None


def test_groups_are_held_out_together():
    groups = np.arange(300) // 3
    reg = quick(n_networks=5, max_iter=2).fit(X, Y, groups=groups)
    assert np.isfinite(reg.oob_prediction_).all()
    with pytest.raises(ValueError, match="at least 5 groups"):
        quick(n_networks=5).fit(X, Y, groups=groups // 50)


class KillAfter:
    """A scorer that interrupts the fit after some calls."""

    def __init__(self, times):
        self.left = times

    def __call__(self, reg, X, y):
        if self.left == 0:
            raise InterruptedError
        self.left -= 1
        return reg.score(X, y)

    def __repr__(self):
        return "KillAfter"


# -- continuing -----------------------------------------------------------------------------------


def test_partial_fit_over_chunks_learns_the_units_of_all_rows():
    chunked = quick(n_units=32, learning_rate=0.02)
    for _ in range(20):
        for rows in np.split(np.argsort(Y), 6):  # the first ones are all far below the mean
            chunked.partial_fit(X[rows], TWO[rows])
    assert chunked.score(X, TWO) > 0.5
    assert chunked.t_ == 20 * 300


def test_partial_fit_continues_from_a_constant_y():
    reg = quick(learning_rate=0.03).partial_fit(X[:50], np.full(50, 3.0))
    assert (reg.predict(X) == 3).all()
    for _ in range(40):
        reg.partial_fit(X, Y)
    assert reg.score(X, Y) > 0.5


@pytest.mark.parametrize("weight_averaging", [0.0, 0.9])
@pytest.mark.parametrize("how", ["partial_fit", "warm_start"])
def test_a_change_of_the_units_of_y_leaves_predictions_unchanged(how, weight_averaging):
    still = {"standardize": True, "early_stopping": False, "max_iter": 1, "batch_size": None}
    reg = quick(**still, warm_start=True, dtype="float64", weight_averaging=weight_averaging)
    go_on = reg.fit if how == "warm_start" else reg.partial_fit
    go_on(X, TWO)
    before = reg.set_params(learning_rate=1e-12).partial_fit(X, TWO).predict(X)
    np.testing.assert_allclose(go_on(X, 5 * TWO + 7).predict(X), before, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (TWO[:, :1].repeat(3, axis=1), "y must have as many numbers a row as y had, 2, got 3"),
        (Y, "y must have as many numbers a row as y had, 2, got 1"),
    ],
)
def test_another_number_of_outputs_later_raises(y, message):
    reg = quick().partial_fit(X, TWO)
    before = reg.predict(X)
    with pytest.raises(ValueError, match=message):
        reg.partial_fit(X, y)
    np.testing.assert_array_equal(reg.predict(X), before)
    with pytest.raises(ValueError, match="must find the number of outputs of the previous fit, 2"):
        reg.set_params(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=message.replace("y must", "y_val must")):
        quick().fit(X, TWO, X_val=X, y_val=y)


def test_warm_start_continues_the_last_fit():
    options = {"warm_start": True, "early_stopping": False, "learning_rate_schedule": "constant"}
    reg = quick(**options, tol=0.0, batch_size=None, optimizer="sgd", dtype="float64").fit(X, TWO)
    reg.fit(X, TWO)
    straight = clone(reg).set_params(max_iter=20).fit(X, TWO)
    assert reg.n_iter_ == 20
    np.testing.assert_allclose(reg.predict(X), straight.predict(X), rtol=1e-6)


def test_a_resumed_fit_is_bit_identical(tmp_path):
    options = {"n_networks": 3, "scoring": KillAfter(20), "dropout": 0.1, "early_stopping": True}
    checkpoint = Checkpoint(tmp_path / "fit", every_epochs=1)
    with pytest.raises(InterruptedError):
        quick(**options, checkpoint=checkpoint).fit(X, TWO)
    options["scoring"] = KillAfter(1000)
    again = quick(**options, checkpoint=checkpoint).fit(X, TWO)
    assert options["scoring"].left > 1000 - 30  # some of 3 networks x 10 epochs were scored
    whole = quick(**options).fit(X, TWO)
    np.testing.assert_array_equal(again.predict(X), whole.predict(X))
    with pytest.raises(ValueError, match="belongs to a fit with other parameters or data"):
        quick(**options, checkpoint=checkpoint).fit(X, -TWO)


# -- scikit-learn's conventions -------------------------------------------------------------------


def test_frames_with_categories_missing_values_and_dates():
    frame = pd.DataFrame(
        {
            "width": np.where(X[:, 0] > 1, np.nan, X[:, 0]),
            "colour": np.where(X[:, 1] > 0, "red", "blue"),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(100 * X[:, 2], unit="D"),
        }
    )
    y = pd.Series(np.where(X[:, 1] > 0, 30.0, -30.0) + X[:, 2], index=frame.index[::-1])
    reg = DeepRegressor(random_state=0).fit(frame, y)
    assert reg.score(frame, y) > 0.9
    assert reg.column_kinds_ == ["number", "category", "date"]


def test_grid_search_and_pipelines_work():
    grid = {"deepregressor__learning_rate": [1e-3, 1e-2], "deepregressor__n_layers": [1, 2]}
    model = make_pipeline(StandardScaler(), quick())
    search = GridSearchCV(model, grid, cv=2).fit(X, Y)
    assert search.best_params_["deepregressor__n_layers"] == 2
    assert cross_val_score(quick(), X, TWO, cv=2, scoring="r2").shape == (2,)


def test_fitted_attributes_are_named_as_in_mlp_regressor():
    theirs = MLPRegressor(
        hidden_layer_sizes=(16, 16), max_iter=5, early_stopping=True, random_state=0
    )
    with pytest.warns(UserWarning, match="Maximum iterations"):
        theirs.fit(X, TWO)
    ours = quick(early_stopping=True, numeric_embedding=None).fit(X, TWO)
    names = {name for name in vars(theirs) if name.endswith("_") and not name.startswith("_")}
    assert names - set(vars(ours)) == set()
    assert [W.shape for W in ours.coefs_] == [W.shape for W in theirs.coefs_]
    assert ours.n_outputs_ == theirs.n_outputs_ == 2
    assert ours.out_activation_ == theirs.out_activation_ == "identity"


def test_pickles_and_clones():
    reg = quick(n_networks=2).fit(X, TWO)
    again = pickle.loads(pickle.dumps(reg))
    np.testing.assert_array_equal(again.predict(X), reg.predict(X))
    with pytest.raises(NotFittedError):
        clone(reg).predict(X)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_have_the_dtype_of_the_data(dtype):
    reg = quick().fit(X.astype(dtype), Y)
    assert reg.predict(X.astype(dtype)).dtype == dtype
    assert reg.predict(X).dtype == np.float64


def test_predictions_do_not_depend_on_threads(monkeypatch):
    reg = quick(n_networks=2, n_threads=2).fit(X, TWO)
    expected = reg.predict(X)
    monkeypatch.setattr("skdnn.data.frames._arrays.CHUNK_SIZE", 300)
    monkeypatch.setattr("skdnn.estimator._prediction.OPERATIONS_WORTH_SETTING_THREADS", 0)
    np.testing.assert_allclose(reg.predict(X), expected, rtol=1e-6)


def test_training_does_not_depend_on_threads():
    options = {"n_units": 64, "max_iter": 3, "dtype": "float64", "early_stopping": False}
    one, two = (quick(**options, n_threads=n).fit(X, TWO) for n in (1, 2))
    np.testing.assert_allclose(two.predict(X), one.predict(X), rtol=1e-9)


def test_predictions_on_real_data_are_better_than_the_mean():
    X, y = load_diabetes(return_X_y=True)
    assert cross_val_score(DeepRegressor(n_networks=3, random_state=0), X, y, cv=3).mean() > 0.4


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_and_cpu_results_are_close():
    options = {"early_stopping": False, "batch_size": None, "dtype": "float64"}
    here = quick(**options, device="cpu").fit(X, TWO).predict(X)
    there = quick(**options, device="cuda").fit(X, TWO).predict(X)
    np.testing.assert_allclose(there, here, rtol=1e-6)
