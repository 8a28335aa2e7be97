"""`target_encoding`: target means of rare categories, without leaking labels."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import log_loss, r2_score, roc_auc_score

from skdnn import DeepBinaryClassifier, DeepRegressor
from skdnn.data.batches import RowsOfEachNetwork, make_folds

RNG = np.random.default_rng(0)
TOWNS = np.char.add("t", np.arange(300).astype(str))
EFFECT = dict(zip(TOWNS, RNG.normal(size=300), strict=True))


def rows(n, seed):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"town": rng.choice(TOWNS, n), "width": rng.normal(size=n)})
    signal = 2 * X["town"].map(EFFECT).to_numpy() + X["width"].to_numpy()
    return X, signal, (signal > rng.logistic(size=n)).astype(int)


X, SIGNAL, Y = rows(1200, 1)
X_NEW, SIGNAL_NEW, Y_NEW = rows(2000, 2)
SMALL = {"n_units": 16, "max_iter": 12, "random_state": 0}


@pytest.mark.parametrize("n_networks", [1, 3])
def test_target_encoding_of_rare_categories_improves_auc(n_networks):
    auc = {
        encoded: roc_auc_score(
            Y_NEW,
            DeepBinaryClassifier(**SMALL, n_networks=n_networks, target_encoding=encoded)
            .fit(X, Y)
            .predict_proba(X_NEW)[:, 1],
        )
        for encoded in (False, "auto", True)
    }
    assert auc["auto"] == auc[True] > auc[False] + 0.08


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_target_encoding_of_rare_categories_improves_r2(n_outputs):
    y, y_new = (np.tile(s[:, None], n_outputs).squeeze() for s in (1e3 * SIGNAL, 1e3 * SIGNAL_NEW))
    encoded, not_encoded = (
        r2_score(y_new, DeepRegressor(**SMALL, target_encoding=on).fit(X, y).predict(X_NEW))
        for on in ("auto", False)
    )
    assert encoded > not_encoded + 0.3


@pytest.mark.parametrize("options", [{}, {"n_networks": 3}, {"early_stopping": True}], ids=str)
def test_target_means_do_not_leak_the_label_of_a_row(options):
    noise = np.random.default_rng(3).integers(0, 2, 1200)
    clf = DeepBinaryClassifier(**SMALL, **options, target_encoding=True).fit(X, noise)
    assert len(clf.input_encoding_["mean_column"]) == 1
    p = clf.predict_proba(X_NEW)
    assert log_loss(noise[:1200].repeat(2)[:2000], p) < 0.75
    # With means that contain the label of the row itself, the loss would be much lower.
    assert clf.loss_ > 0.6


def test_target_means_do_not_leak_labels_within_a_group():
    # The rows of a town are one group and have the same label, which is noise.
    towns = np.repeat(TOWNS[:240], 4)
    frame = pd.DataFrame({"town": towns, "width": RNG.normal(size=960)})
    labels = np.repeat(RNG.integers(0, 2, 240), 4)
    clf = DeepBinaryClassifier(**SMALL, n_networks=5, target_encoding=True)
    without_groups = clf.fit(frame, labels).loss_
    with_groups = clf.fit(frame, labels, groups=towns).loss_
    assert without_groups < 0.45
    assert with_groups > 0.6


@pytest.mark.parametrize("options", [{}, {"n_networks": 3}, {"early_stopping": True}], ids=str)
def test_rows_of_weight_zero_behave_as_absent(options):
    weight = (np.random.default_rng(5).random(1200) < 0.7).astype(float)
    with_them, without = (DeepBinaryClassifier(**SMALL, **options) for _ in range(2))
    with_them.fit(X, Y, sample_weight=weight)
    without.fit(X[weight > 0], Y[weight > 0])
    np.testing.assert_allclose(
        with_them.predict_proba(X_NEW), without.predict_proba(X_NEW), rtol=1e-4, atol=1e-5
    )


def test_target_means_of_a_network_ignore_its_held_out_rows(monkeypatch):
    means, folds = [], []
    monkeypatch.setattr(
        "skdnn.estimator._split.RowsOfEachNetwork",
        lambda X, index, of_networks, *others: (
            means.append(of_networks) or RowsOfEachNetwork(X, index, of_networks, *others)
        ),
    )
    monkeypatch.setattr(
        "skdnn.estimator._split.make_folds",
        lambda *given: folds.append(make_folds(*given)) or folds[-1],
    )

    def fit(y):
        DeepRegressor(**SMALL, n_networks=2, target_encoding=True).fit(X, y)

    y = np.random.default_rng(6).normal(size=1200)
    fit(y)
    _, held_out = folds[0]
    for network, rows in enumerate(held_out):
        changed = y.copy()
        changed[rows] = y[np.roll(rows, 1)]  # other numbers with the same mean and deviation
        fit(changed)
        np.testing.assert_array_equal(folds[-1][1], held_out)
        np.testing.assert_allclose(means[-1][network], means[0][network], atol=1e-12)
        assert not np.allclose(means[-1][1 - network], means[0][1 - network], atol=1e-3)


def test_few_rare_categories_get_no_target_means_by_default():
    frame = X.assign(town=np.where(np.arange(1200) < 1190, "big", X["town"]))
    clf = DeepBinaryClassifier(**SMALL).fit(frame, Y)
    assert len(clf.categories_[0]) == 1
    clf.set_params(target_encoding=True).fit(frame.iloc[[*range(1200), 1195]], np.append(Y, Y[0]))
    assert len(clf.categories_[0]) == 11


def test_validation_rows_get_the_means_of_the_training_rows():
    clf = DeepBinaryClassifier(**SMALL, target_encoding=True)
    clf.fit(X, Y, X_val=X_NEW, y_val=Y_NEW)
    p = clf.predict_proba(X_NEW)
    best = clf.validation_loss_curve_[clf.best_iter_ - 1]
    np.testing.assert_allclose(log_loss(Y_NEW, p), best, rtol=1e-4)


@pytest.mark.parametrize("n_networks", [1, 3])
def test_groups_of_rows_of_weight_zero_behave_as_absent(n_networks):
    rng = np.random.default_rng(7)
    groups, weight = rng.permutation(np.arange(1200) // 4), (rng.random(1200) < 0.5).astype(float)
    options = {**SMALL, "n_networks": n_networks, "early_stopping": True, "target_encoding": True}
    with_them, without = (DeepBinaryClassifier(**options) for _ in range(2))
    with_them.fit(X, Y, sample_weight=weight, groups=groups)
    is_there = weight > 0
    without.fit(X[is_there], Y[is_there], groups=groups[is_there])
    np.testing.assert_allclose(
        with_them.predict_proba(X_NEW), without.predict_proba(X_NEW), rtol=1e-6, atol=1e-7
    )


def test_scores_of_several_networks_match_their_validation_costs():
    clf = DeepBinaryClassifier(**SMALL, n_networks=5, scoring="neg_log_loss").fit(X, Y)
    for score, cost in zip(clf.validation_scores_, clf.validation_loss_curve_, strict=True):
        assert score == pytest.approx(-cost, rel=1e-4)


def test_to_module_predicts_the_same():
    clf = DeepBinaryClassifier(**SMALL, n_networks=2).fit(X, Y)
    position = {category: code for code, category in enumerate(clf.categories_[0])}
    new = X_NEW.assign(town=np.where(np.arange(2000) < 9, "nowhere", X_NEW["town"]))
    codes = [position.get(town, len(position)) for town in new["town"]]
    tensor = torch.tensor(np.column_stack([codes, new["width"]]))
    got = clf.to_module()(tensor).detach().numpy()
    np.testing.assert_allclose(got, clf.predict_proba(new)[:, 1], atol=1e-6)


def test_pickles_and_shuffled_rows_give_the_same_predictions():
    clf = DeepBinaryClassifier(**SMALL).fit(X, Y)
    expected = clf.predict_proba(X_NEW)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(X_NEW), expected)
    shuffled = X_NEW.sample(frac=1, random_state=0)
    np.testing.assert_allclose(clf.predict_proba(shuffled), expected[shuffled.index], rtol=1e-5)


def test_warm_start_keeps_categories_and_does_not_leak_labels():
    noise = np.random.default_rng(4).integers(0, 2, 1200)
    clf = DeepBinaryClassifier(**SMALL, warm_start=True, early_stopping=False).fit(X, noise)
    categories, sizes, loss = list(clf.categories_[0]), clf.layer_sizes_, clf.loss_
    clf.fit(X, noise)
    assert list(clf.categories_[0]) == categories
    assert clf.layer_sizes_ == sizes
    assert clf.loss_ > loss - 0.06
    # The target means are those of the last fit.
    ones = clf.fit(X, np.ones(1200, dtype=int) - (np.arange(1200) < 2)).input_encoding_[
        "category_mean"
    ]
    assert ones.min() > 0.9


def test_partial_fit_after_fit_keeps_categories_and_means():
    clf = DeepBinaryClassifier(**SMALL).fit(X, Y)
    categories, means = list(clf.categories_[0]), clf.input_encoding_["category_mean"]
    new = X_NEW.assign(town=np.where(np.arange(2000) < 900, "new town", X_NEW["town"]))
    clf.partial_fit(new, Y_NEW)
    assert list(clf.categories_[0]) == categories
    np.testing.assert_array_equal(clf.input_encoding_["category_mean"], means)
    assert roc_auc_score(Y_NEW, clf.predict_proba(X_NEW)[:, 1]) > 0.75


def test_partial_fit_learns_no_target_means():
    clf = DeepBinaryClassifier(**SMALL).partial_fit(X, Y, classes=[0, 1])
    assert len(clf.input_encoding_["mean_column"]) == 0
    with pytest.raises(ValueError, match="target_encoding must be False or 'auto' for partial_fit"):
        clf.set_params(target_encoding=True).partial_fit(X, Y)


def test_large_tables_give_the_same_fit(monkeypatch):
    small = DeepBinaryClassifier(**SMALL).fit(X, Y).predict_proba(X_NEW)
    monkeypatch.setattr("skdnn.data.batches._inputs._TABLE_WORTH_EXPANDING", 0)
    large = DeepBinaryClassifier(**SMALL).fit(X, Y).predict_proba(X_NEW)
    np.testing.assert_allclose(large, small, atol=1e-4)
