"""n_networks: the mean of several networks, and their out-of-fold predictions."""

import pickle

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold

from skdnn import Checkpoint, DeepBinaryClassifier, LossCurveDisplay, NetworkDisplay
from skdnn.data.batches import make_folds

X, Y = make_classification(703, 8, n_informative=4, flip_y=0.1, random_state=0)
TRAIN, TEST = slice(0, 403), slice(403, 703)
OPTIONS = {
    "n_units": 12, "max_iter": 8, "learning_rate": 0.01, "numeric_embedding": None,
    "random_state": 0,
}  # fmt: skip


def fit(n_networks=5, X=X[TRAIN], y=Y[TRAIN], arguments=None, **parameters):
    clf = DeepBinaryClassifier(n_networks=n_networks, **{**OPTIONS, **parameters})
    return clf.fit(X, y, **(arguments or {}))


def member(clf, k):
    """Return an estimator with one of the networks."""
    single = clone(clf).set_params(n_networks=1)
    vars(single).update(vars(clf) | {"coefs_": [W[k] for W in clf.coefs_]})
    single.intercepts_ = [b[k] for b in clf.intercepts_]
    return single


# -- folds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_networks", [2, 5, 8])
def test_folds_are_those_of_scikit_learn(n_networks):
    y = Y[:101]
    training, held_out = make_folds(len(y), n_networks, seed=3, strata=y)
    expected = StratifiedKFold(max(5, n_networks), shuffle=True, random_state=3).split(y, y)
    for ours, theirs, (train, test) in zip(training, held_out, expected, strict=False):
        np.testing.assert_array_equal(ours[ours >= 0], train)
        np.testing.assert_array_equal(theirs[theirs >= 0], test)


def test_groups_stay_together():
    groups = np.random.default_rng(0).integers(0, 40, size=101)
    _, held_out = make_folds(101, 5, seed=3, groups=groups, strata=Y[:101])
    folds = [set(groups[rows[rows >= 0]]) for rows in held_out]
    assert sum(map(len, folds)) == len(set(groups))
    expected = StratifiedGroupKFold(5, shuffle=True, random_state=3).split(Y[:101], Y[:101], groups)
    np.testing.assert_array_equal(held_out[0][held_out[0] >= 0], next(iter(expected))[1])


# -- predictions ------------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", [{}, {"early_stopping": False}, {"dtype": "float32"}])
def test_probabilities_are_the_mean_of_the_networks(parameters):
    clf = fit(**parameters)
    assert [W.shape for W in clf.coefs_] == [(5, 8, 12), (5, 12, 12), (5, 12, 1)]
    each = np.stack([member(clf, k).predict_proba(X[TEST]) for k in range(5)])
    tolerance = 1e-5 if parameters.get("dtype") else 1e-12
    np.testing.assert_allclose(clf.predict_proba(X[TEST]), each.mean(axis=0), rtol=tolerance)
    assert each.std(axis=0).max() > 0.01
    np.testing.assert_array_equal(clf.predict(X[TEST]), clf.predict_proba(X[TEST]).argmax(axis=1))


def test_log_probabilities_are_finite_where_probabilities_are_0():
    clf, far = fit(activation="identity"), 1e5 * X[TEST]
    Z = np.stack([member(clf, k).decision_function(far) for k in range(5)])
    log_p = logsumexp(-np.logaddexp(0, -Z), axis=0) - np.log(5)
    np.testing.assert_allclose(clf.predict_log_proba(far)[:, 1], log_p, rtol=1e-9, atol=1e-12)
    assert np.isfinite(clf.predict_log_proba(far)).all()


def test_the_mean_is_better_than_a_single_network():
    clf = fit(max_iter=40)
    single = [log_loss(Y[TEST], member(clf, k).predict_proba(X[TEST])) for k in range(5)]
    assert log_loss(Y[TEST], clf.predict_proba(X[TEST])) < np.mean(single)


@pytest.mark.parametrize(
    "options",
    [{}, {"optimizer": "adamw", "weight_averaging": 0.9}, {"dropout": 0.2, "max_grad_norm": 0.1},
     {"weight_decay": 0.1, "n_threads": 2}],
    ids=str,
)  # fmt: skip
def test_every_second_network_has_cosines_instead_of_bins(options):
    clf = fit(n_networks=4, numeric_embedding="auto", **options)
    replaced = clf.coefs_[0][:, 8 + 8 * 7 :]  # by zeros, beside seven cosines for each number
    assert clf.coefs_[0].shape[1] == 8 * 17
    assert (replaced[[0, 2]] == 0).all()
    assert (replaced[[1, 3]] != 0).any(axis=(1, 2)).all()
    amplitudes = clf._embedding[1].reshape(4, 3, 8 * 7)[:, 2]
    assert (amplitudes != 0).any(axis=1).tolist() == [True, False, True, False]
    asked_for = fit(n_networks=4, numeric_embedding="piecewise_linear", **options)
    assert (asked_for.coefs_[0] != 0).any(axis=(1, 2)).all()
    assert (asked_for.coefs_[0][1, 8:] != 0).any()


def test_the_torch_module_returns_the_mean():
    clf = fit()
    P = clf.to_module()(torch.from_numpy(X[TEST])).detach()
    np.testing.assert_allclose(P, clf.predict_proba(X[TEST])[:, 1], rtol=1e-10)


# -- out-of-fold predictions ------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_out_of_fold_predictions_are_those_of_the_network_that_held_the_row_out(weighted):
    weight = np.random.default_rng(0).integers(0, 3, 403) if weighted else np.ones(403)
    clf = fit(arguments={"sample_weight": weight})
    each = np.stack([member(clf, k).predict_proba(X[TRAIN]) for k in range(5)])
    is_predicted = np.isclose(each, clf.oob_proba_, rtol=1e-9).all(axis=2)
    np.testing.assert_array_equal(is_predicted.sum(axis=0) >= 1, weight > 0)
    np.testing.assert_array_equal(np.isnan(clf.oob_proba_[:, 0]), weight == 0)
    sizes = is_predicted.sum(axis=1)
    assert sizes.max() - sizes.min() <= 3


def test_out_of_fold_predictions_of_random_labels_are_no_better_than_chance():
    rng = np.random.default_rng(0)
    noise, labels = rng.normal(size=(600, 30)), rng.integers(0, 2, 600)
    clf = fit(X=noise, y=labels, max_iter=40, n_iter_no_change=40)
    assert roc_auc_score(labels, clf.oob_proba_[:, 1]) == pytest.approx(0.5, abs=0.08)
    assert roc_auc_score(labels, clf.predict_proba(noise)[:, 1]) > 0.65


def test_fewer_networks_than_folds_leave_rows_without_a_prediction():
    clf = fit(n_networks=2)
    assert np.isnan(clf.oob_proba_[:, 1]).mean() == pytest.approx(0.6, abs=0.01)


def test_each_network_keeps_its_own_best_epoch():
    clf = fit(max_iter=40)
    assert len(clf.best_iter_) == 5
    assert len(set(clf.best_iter_)) > 1
    costs = []
    for k in range(5):
        P = member(clf, k).predict_proba(X[TRAIN])
        rows = np.isclose(P, clf.oob_proba_, rtol=1e-9).all(axis=1)
        costs.append(log_loss(Y[TRAIN][rows], P[rows]))
    assert np.mean(costs) == pytest.approx(clf.best_loss_, rel=1e-6)


def test_groups_can_be_passed_and_routed():
    groups = np.arange(403) // 7
    clf = fit(arguments={"groups": groups})
    each = np.stack([member(clf, k).predict_proba(X[TRAIN]) for k in range(5)])
    fold = np.isclose(each, clf.oob_proba_, rtol=1e-9).all(axis=2).argmax(axis=0)
    assert all(len(set(fold[groups == group])) == 1 for group in set(groups))
    with config_context(enable_metadata_routing=True):
        net = DeepBinaryClassifier(n_networks=5, **OPTIONS).set_fit_request(groups=True)
        search = GridSearchCV(net, {"n_layers": [2]}, cv=2)
        search.fit(X[TRAIN], Y[TRAIN], groups=groups)
        assert search.best_estimator_.oob_proba_.shape == (403, 2)


# -- as for one network -----------------------------------------------------------------------


def test_one_network_holds_out_whole_groups():
    groups, seen = np.random.default_rng(0).permutation(np.arange(403) // 7), set()
    number_rows = np.column_stack([X[TRAIN], np.arange(403)])

    def score(estimator, X, y):
        seen.update(X[:, -1].astype(int))
        return 0.0

    fit(
        1, number_rows, scoring=score, early_stopping=True, max_iter=1, arguments={"groups": groups}
    )
    held_out = np.isin(np.arange(403), list(seen))
    assert 20 <= held_out.sum() <= 60
    assert not set(groups[held_out]) & set(groups[~held_out])


def test_all_networks_use_the_validation_set():
    clf = fit(arguments={"X_val": X[TEST], "y_val": Y[TEST]})
    assert clf.oob_proba_ is None
    losses = [log_loss(Y[TEST], member(clf, k).predict_proba(X[TEST])) for k in range(5)]
    assert np.mean(losses) == pytest.approx(clf.best_loss_, rel=1e-9)


def test_scores_are_means_over_the_networks_on_their_folds():
    clf = fit(scoring="roc_auc")
    scores = []
    for k in range(5):
        P = member(clf, k).predict_proba(X[TRAIN])
        rows = np.isclose(P, clf.oob_proba_, rtol=1e-9).all(axis=1)
        scores.append(roc_auc_score(Y[TRAIN][rows], P[rows, 1]))
    assert clf.best_validation_score_ == pytest.approx(np.mean(scores), rel=1e-9)


@pytest.mark.parametrize("parameters", [{}, {"dropout": 0.2, "batch_size": 32}])
def test_fits_are_reproducible_and_can_be_pickled(parameters):
    clf = fit(**parameters)
    P = clf.predict_proba(X)
    np.testing.assert_array_equal(fit(**parameters).predict_proba(X), P)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(X), P)


def test_a_checkpoint_saves_all_networks(tmp_path):
    class Killed(Exception):
        pass

    def kill(clf, X, y):
        left.pop()
        if not left:
            raise Killed
        return roc_auc_score(y, clf.predict_proba(X)[:, 1])

    left = [0] * 1000
    expected = fit(scoring=kill)
    left = [0] * 33
    checkpoint = Checkpoint(tmp_path / "fit.ckpt", every_epochs=1)
    with pytest.raises(Killed):
        fit(scoring=kill, checkpoint=checkpoint)
    left = [0] * 1000
    clf = fit(scoring=kill, checkpoint=checkpoint)
    np.testing.assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))
    np.testing.assert_array_equal(clf.oob_proba_, expected.oob_proba_)


def test_displays_and_the_html_repr_show_several_networks():
    clf = fit()
    assert "5 networks of 3 layers" in clf._repr_html_()
    assert len(NetworkDisplay.from_estimator(clf).ax_.patches) == 8 + 10 + 10 + 1
    assert len(LossCurveDisplay.from_estimator(clf).lines_) == 2


def test_with_few_rows_no_network_holds_any_out():
    clf = fit(X=X[:12], y=[0, 1] * 4 + [0] * 4)
    assert clf.oob_proba_ is None
    assert clf.validation_loss_curve_ is None


@pytest.mark.parametrize(
    ("parameters", "arguments", "message"),
    [
        ({"n_networks": 0}, {}, r"n_networks must be an int in the range \[1, 10000\], got 0"),
        ({"n_networks": 2.5}, {}, "n_networks must be"),
        ({"optimizer": "lbfgs"}, {}, "n_networks must be 1 for optimizer='lbfgs'"),
        ({"warm_start": True}, {}, "n_networks must be 1 for warm_start=True, got 5"),
        ({"early_stopping": True, "n_networks": 300}, {}, "at least 300 rows of each class"),
        ({}, {"groups": np.arange(403) % 3}, "needs at least 5 groups"),
        ({}, {"groups": [1, 2]}, "inconsistent numbers of samples"),
    ],
)
def test_invalid_combinations_are_an_error(parameters, arguments, message):
    with pytest.raises(ValueError, match=message):
        fit(**parameters, arguments=arguments)


def test_partial_fit_takes_one_network_only():
    with pytest.raises(ValueError, match="n_networks must be 1 for partial_fit, got 5"):
        DeepBinaryClassifier(n_networks=5).partial_fit(X, Y, classes=[0, 1])
