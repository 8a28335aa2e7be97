"""warm_start and partial_fit continue training; interrupted fits; initial weights."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier
from skdnn.network import layer_views
from skdnn.training._optimizers import Adam

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 2))
Y = (X[:, 0] > 0).astype(int)
FRAME = pd.DataFrame(X, columns=["a", "b"])
SCALES = [True, "smooth_clip", "robust"]


def auc(clf):
    return roc_auc_score(Y, clf.predict_proba(X)[:, 1])


def fit_in_chunks(chunks, epochs=1, **parameters):
    clf = DeepBinaryClassifier(n_units=16, random_state=0, **parameters)
    for _ in range(epochs):
        for rows, labels in chunks:
            clf.partial_fit(rows, labels, classes=[0, 1])
    return clf


# -- standardisation, categories and missing values in partial_fit ----------------------------


@pytest.mark.parametrize("standardize", [*SCALES, False])
def test_partial_fit_learns_from_single_rows(standardize):
    rows = [(X[i : i + 1], Y[i : i + 1]) for i in range(60)]
    assert auc(fit_in_chunks(rows, standardize=standardize, learning_rate=0.03)) > 0.97


@pytest.mark.parametrize("standardize", SCALES)
@pytest.mark.parametrize("constant", [0.0, -7.5])
def test_a_feature_that_is_constant_at_first_is_learned_later(standardize, constant):
    first = X[:50].copy()
    first[:, 0] = constant
    chunks = [(first, Y[:50]), *[(X[50:], Y[50:])] * 12]
    assert auc(fit_in_chunks(chunks, standardize=standardize, learning_rate=0.01)) > 0.95


@pytest.mark.parametrize("standardize", SCALES)
@pytest.mark.parametrize("first", ["fit", "partial_fit"])
def test_a_chunk_with_a_constant_feature_does_not_reset_the_model(standardize, first):
    clf = DeepBinaryClassifier(
        n_units=16, standardize=standardize, learning_rate=0.01, random_state=0
    )
    if first == "fit":
        clf.fit(X, Y)
    else:
        for _ in range(20):
            clf.partial_fit(X, Y, classes=[0, 1])
    later = X[:40].copy()
    later[:, 0] = 0.1
    assert auc(clf.partial_fit(later, Y[:40])) > 0.98


def test_means_and_standard_deviations_are_those_of_all_rows_so_far():
    rows = RNG.normal(2.0, 3.0, size=(90, 3)) * [1.0, 1e3, 1e-3]
    rows[RNG.random(rows.shape) < 0.2] = np.nan
    labels = np.arange(90) % 2
    weight = RNG.integers(0, 3, size=90).astype(float)
    clf = DeepBinaryClassifier(n_units=2, standardize=True, random_state=0)
    for chunk in np.array_split(np.arange(90), 7):
        clf.partial_fit(rows[chunk], labels[chunk], [0, 1], sample_weight=weight[chunk])
    expected = StandardScaler().fit(rows, sample_weight=weight)
    np.testing.assert_allclose(clf.input_encoding_["center"], expected.mean_, rtol=1e-9)
    np.testing.assert_allclose(1 / clf.input_encoding_["inverse_scale"], expected.scale_, rtol=1e-9)


@pytest.mark.parametrize("standardize", ["smooth_clip", "robust"])
def test_an_outlier_in_a_later_chunk_does_not_harm_the_model(standardize):
    outlier = X[200:].copy()
    outlier[7, 0] = 1e9
    chunks = [(X[:200], Y[:200]), (outlier, Y[200:])]
    assert auc(fit_in_chunks(chunks, 15, standardize=standardize)) > 0.98


def test_predictions_stay_the_same_when_the_scale_is_updated():
    clf = fit_in_chunks([(X, Y)], 10, standardize=True)
    before = clf.predict_proba(X)
    clf.set_params(learning_rate=1e-30).partial_fit(3 * X, Y)
    np.testing.assert_allclose(clf.predict_proba(X), before, rtol=1e-6)


KINDS = RNG.choice(["a", "b", "c", None], 400)
MIXED = pd.DataFrame({"kind": KINDS, "b": X[:, 1]})
IS_C = (KINDS == "c").astype(int)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{}, {"weight_averaging": 0.9}, {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9}],
    ids=str,
)
def test_categories_that_appear_row_by_row_are_learned(options):
    options = {"learning_rate": 0.03, **options}
    clf = DeepBinaryClassifier(n_units=16, random_state=0, **options)
    for i in range(100):
        clf.partial_fit(MIXED[i : i + 1], IS_C[i : i + 1], classes=[0, 1])
    assert set(clf.categories_[0]) == {"a", "b", "c", None}
    assert clf.layer_sizes_[0] == 1 + 4
    assert roc_auc_score(IS_C, clf.predict_proba(MIXED)[:, 1]) > 0.99


@pytest.mark.parametrize("standardize", [*SCALES, False])
def test_a_new_category_changes_no_prediction_before_training(standardize):
    known = MIXED["kind"].isin(["a", "b"])
    clf = DeepBinaryClassifier(n_units=8, standardize=standardize, random_state=0)
    for _ in range(3):
        clf.partial_fit(MIXED[known], IS_C[known] | (X[known, 1] > 0), classes=[0, 1])
    predictions = clf.predict_proba(MIXED[known])
    # The new row is at the mean of its column, so that it changes no scale.
    new = pd.DataFrame({"kind": ["c"], "b": [float(clf.input_encoding_["center"][0])]})
    clf.set_params(learning_rate=1e-30).partial_fit(new, [1])
    assert clf.layer_sizes_[0] == 1 + 3
    np.testing.assert_allclose(clf.predict_proba(MIXED[known]), predictions, atol=0.02)


@pytest.mark.parametrize("standardize", [*SCALES, False])
def test_missing_values_that_appear_later_are_learned(standardize):
    incomplete = X.copy()
    incomplete[:150, 0] = np.nan
    is_missing = np.isnan(incomplete[:, 0]).astype(int)
    chunks = [(X[:100], Y[:100]), *[(incomplete, is_missing)] * 15]
    clf = fit_in_chunks(chunks, standardize=standardize, learning_rate=0.01)
    assert clf.layer_sizes_[0] == 3
    assert roc_auc_score(is_missing, clf.predict_proba(incomplete)[:, 1]) > 0.99


@pytest.mark.parametrize("n_units", [2, 3, 4])  # for 4 the first layer changes its layout
def test_the_optimizer_state_gets_the_new_inputs_of_the_network(n_units, monkeypatch):
    clf = DeepBinaryClassifier(n_units=n_units, random_state=0)
    clf.partial_fit(MIXED[KINDS == "a"], IS_C[KINDS == "a"], classes=[0, 1])
    mean = clf._partial_fit_state["optimizer"]["mean"]
    n_before = clf.layer_sizes_[0]
    with_c = MIXED[(KINDS == "a") | (KINDS == "c")]
    found, step = [], Adam.step

    def spy(self, *arguments):
        found.append(self.mean.clone())
        step(self, *arguments)

    monkeypatch.setattr(Adam, "step", spy)
    clf.partial_fit(with_c, IS_C[with_c.index])
    assert (n_before, clf.layer_sizes_[0]) == (2, 3)
    before = layer_views(torch.from_numpy(mean), (2, *clf.layer_sizes_[1:]))
    expanded = layer_views(found[0], clf.layer_sizes_)
    assert torch.equal(expanded[0][:, [0, 1, 3]], before[0])  # the last column is the bias
    assert (expanded[0][:, 2] == 0).all()
    assert all(map(torch.equal, expanded[1:], before[1:]))


def test_partial_fit_adds_at_most_254_categories_to_a_column():
    names = pd.DataFrame({"name": np.repeat([f"n{i}" for i in range(400)], 6)})
    labels = np.arange(2400) % 2
    clf = DeepBinaryClassifier(n_units=2, random_state=0)
    chunks = np.array_split(np.arange(2400), 60)
    for rows in chunks[:39]:
        clf.partial_fit(names.iloc[rows], labels[rows], classes=[0, 1])
    with pytest.warns(UserWarning, match="Column 'name' has almost only rare"):
        clf.partial_fit(names.iloc[chunks[-1]], labels[chunks[-1]])
    clf.partial_fit(names.iloc[chunks[40]][:9], labels[:9])
    assert len(clf.categories_[0]) == 254
    assert np.isfinite(clf.predict_proba(names)).all()


# -- settings that the first fit freezes ------------------------------------------------------


@pytest.mark.parametrize("standardize", [*SCALES, False])
@pytest.mark.parametrize("rows", [1, 3])
def test_warm_start_takes_more_rows_and_missing_values(standardize, rows):
    # A new fit would embed the numbers of more rows, and add an indicator of missing values.
    clf = DeepBinaryClassifier(
        n_units=16, warm_start=True, standardize=standardize, max_iter=5, random_state=0
    )
    sizes = clf.fit(X, Y).layer_sizes_
    more = np.tile(X, (rows, 1))
    more[5, 1] = np.nan
    clf.fit(more, np.tile(Y, rows))
    assert clf.layer_sizes_ == sizes
    assert clf.n_iter_ == 10


def test_warm_start_keeps_the_dtype():
    clf = DeepBinaryClassifier(warm_start=True, max_iter=2, random_state=0).fit(X, Y)
    assert clf.fit(X.astype(np.float32), Y).coefs_[0].dtype == np.float64


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAME[["b", "a"]], "must be in the same order"),
        (FRAME.rename(columns={"a": "z"}), "unseen at fit time:\n- z"),
        (FRAME.assign(z=1.0), "unseen at fit time:\n- z"),
        (FRAME[["a"]], "now missing:\n- b"),
        (X[:, :1], "1 features, but DeepBinaryClassifier is expecting 2 features"),
        (FRAME.assign(b="text"), "must hold numbers in column 'b', got 'text'"),
    ],
    ids=["swapped", "renamed", "added", "missing", "narrow", "of text"],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_other_columns_than_in_the_first_fit_are_an_error(method, frame, message):
    clf = DeepBinaryClassifier(warm_start=True, max_iter=2, random_state=0).fit(FRAME, Y)
    before = pickle.dumps(clf)
    with pytest.raises(ValueError, match=message):
        getattr(clf, method)(frame, Y)
    assert pickle.dumps(clf) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"standardize": True}, "the standardize of the previous fit, smooth_clip, got True"),
        ({"categorical_features": [0]}, "the categorical_features of the previous fit, from_dtype"),
        (
            {"numeric_embedding": "piecewise_linear"},
            "the numeric_embedding of the previous fit, auto, got piecewise_linear",
        ),
        ({"n_units": 3}, "the layer sizes of the previous fit"),
        ({"activation": "tanh"}, "the activations of the previous fit"),
    ],
    ids=str,
)
def test_frozen_parameters_must_not_change(change, message):
    clf = fit_in_chunks([(X, Y)])
    with pytest.raises(ValueError, match=message):
        clf.set_params(**change).partial_fit(X, Y)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("standardize", "robust"),
        ("categorical_features", [0]),
        ("numeric_embedding", None),
        ("target_encoding", True),
    ],
)
def test_warm_start_refuses_another_encoding(name, value):
    clf = DeepBinaryClassifier(warm_start=True, max_iter=2, n_units=4, random_state=0).fit(X, Y)
    before = getattr(clf, name)
    with pytest.raises(ValueError, match=f"the {name} of the previous fit, {before}, got"):
        clf.set_params(**{name: value}).fit(X, Y)
    clf.set_params(**{name: before}).fit(X, Y)
    assert clf.n_iter_ == 4


def test_partial_fit_continues_a_fit_with_target_encoding():
    towns = pd.DataFrame({"town": [f"town {k % 100}" for k in range(400)], "b": X[:, 1]})
    clf = DeepBinaryClassifier(target_encoding=True, max_iter=2, n_units=4, random_state=0)
    clf.fit(towns, Y).set_params(target_encoding=False)
    before = clf.input_encoding_["category_mean"]
    assert len(before)
    clf.partial_fit(towns, Y)
    np.testing.assert_array_equal(clf.input_encoding_["category_mean"], before)


def test_one_network_cannot_continue_a_fit_of_several():
    clf = DeepBinaryClassifier(n_networks=5, max_iter=2, random_state=0).fit(X, Y)
    clf.set_params(n_networks=1, warm_start=True)
    for method in (clf.partial_fit, clf.fit):
        with pytest.raises(ValueError, match="number of networks of the previous fit, 5, got 1"):
            method(X, Y)


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "sgd", "momentum": 0.9},
        {"optimizer": "adamw"},
        {"weight_averaging": 0.9},
        {"learning_rate": 0.1, "batch_size": 7, "dropout": 0.5, "weight_decay": 0.1},
    ],
    ids=str,
)
def test_other_parameters_may_change_between_calls_of_partial_fit(change):
    clf = fit_in_chunks([(X, Y)], 3)
    changed = clone(clf).set_params(**change)
    clf.set_params(**change).partial_fit(X, Y)
    assert clf.n_iter_ == 4
    assert clf.partial_fit(X, Y).score(X, Y) > 0.7
    assert changed.partial_fit(X, Y, classes=[0, 1]).n_iter_ == 1


# -- Ctrl-C -----------------------------------------------------------------------------------


def interrupt_in(epoch):
    """Return a schedule that raises KeyboardInterrupt in an epoch, counted from 1."""

    def schedule(now, max_iter):
        if now >= epoch - 1:
            raise KeyboardInterrupt
        return 1.0

    return schedule


def test_an_interrupted_fit_keeps_its_complete_epochs_and_raises():
    options = {"n_units": 4, "random_state": 0, "early_stopping": False}
    clf = DeepBinaryClassifier(**options, learning_rate_schedule=interrupt_in(4))
    with pytest.raises(KeyboardInterrupt, match="weights after epoch 3"):
        clf.fit(X, Y)
    whole = DeepBinaryClassifier(**options, learning_rate_schedule="constant", max_iter=3)
    np.testing.assert_array_equal(clf.predict_proba(X), whole.fit(X, Y).predict_proba(X))


def test_an_interrupt_ends_a_search():
    clf = DeepBinaryClassifier(learning_rate_schedule=interrupt_in(2), random_state=0)
    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(clf, {"n_units": [2, 3]}, cv=2).fit(X, Y)


def test_an_interrupt_in_the_first_epoch_leaves_the_estimator_unchanged():
    clf = DeepBinaryClassifier(n_units=4, max_iter=2, random_state=0).fit(X, Y)
    before = clf.predict_proba(X)
    with pytest.raises(KeyboardInterrupt):
        clf.set_params(learning_rate_schedule=interrupt_in(1)).fit(X, Y)
    np.testing.assert_array_equal(clf.predict_proba(X), before)


def test_an_interrupt_in_partial_fit_leaves_the_estimator_unchanged_and_raises(monkeypatch):
    clf = fit_in_chunks([(X, Y)], 2)
    before = pickle.dumps(clf)

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("skdnn.training._optimizers.Adam.step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        clf.partial_fit(X, Y)
    assert pickle.dumps(clf) == before


# -- initial weights --------------------------------------------------------------------------


def test_both_dtypes_have_the_same_initial_weights_dropout_masks_and_shuffles():
    parameters = {"n_units": 8, "max_iter": 3, "batch_size": 32, "dropout": 0.2, "random_state": 0}
    double = DeepBinaryClassifier(**parameters).fit(X, Y)
    single = DeepBinaryClassifier(**parameters).fit(X.astype(np.float32), Y)
    assert single.coefs_[0].dtype == np.float32
    np.testing.assert_allclose(single.predict_proba(X), double.predict_proba(X), atol=1e-5)


def test_the_output_bias_starts_at_the_log_odds_of_the_weighted_rows():
    weight = np.where(Y == 1, 3.0, 1.0)
    expected = np.log(3 * Y.sum() / (1 - Y).sum())
    options = {"learning_rate": 1e-30, "max_iter": 1, "early_stopping": False, "random_state": 0}
    for n_layers in (1, 2, 4):
        clf = DeepBinaryClassifier(n_layers, **options).fit(X, Y, sample_weight=weight)
        assert clf.intercepts_[-1] == pytest.approx(expected, rel=1e-9)
    zeros = DeepBinaryClassifier(1, init_scale=0.0, **options).fit(X, Y, sample_weight=weight)
    assert abs(zeros.intercepts_[-1]) < 1e-20


def test_each_of_several_networks_starts_at_the_log_odds_of_its_training_rows():
    y = np.arange(400) < 30
    clf = DeepBinaryClassifier(
        n_networks=5, learning_rate=1e-30, max_iter=1, n_units=2, random_state=0
    ).fit(X, y)
    # Of the 30 rows of one class and 370 of the other, a fold holds out 6 and 74.
    np.testing.assert_allclose(clf.intercepts_[-1][:, 0], np.log(24 / 296), rtol=1e-6)


def test_the_output_bias_is_0_if_the_first_chunk_has_one_class():
    clf = DeepBinaryClassifier(n_units=2, learning_rate=1e-30, random_state=0)
    clf.partial_fit(X[:5], np.ones(5), classes=[0, 1])
    assert abs(clf.intercepts_[-1][0]) < 1e-12


def test_a_state_of_another_layout_is_an_error_and_changes_nothing():
    clf = fit_in_chunks([(X, Y)])
    del clf._partial_fit_state["layout"]  # as in pickles of earlier versions
    before = clf.coefs_[0].copy()
    with pytest.raises(ValueError, match="an estimator of this version of skdnn"):
        clf.partial_fit(X, Y)
    np.testing.assert_array_equal(clf.coefs_[0], before)


@pytest.mark.parametrize("weight_averaging", [0.0, 0.9])
def test_a_later_change_of_units_changes_no_prediction(weight_averaging):
    clf = DeepBinaryClassifier(
        n_units=8, standardize=True, batch_size=None, dtype="float64", random_state=0,
        weight_averaging=weight_averaging,
    )  # fmt: skip
    for _ in range(10):
        clf.partial_fit(X, Y, classes=[0, 1])
    # While the weights stay the same, their average converges to them.
    clf.set_params(learning_rate=1e-12)
    for _ in range(150 if weight_averaging else 1):
        clf.partial_fit(X, Y)
    before = clf.predict_proba(X)
    clf.partial_fit(1000 * X + 50, Y)
    np.testing.assert_allclose(clf.predict_proba(X), before, atol=1e-6)
