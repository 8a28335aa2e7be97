"""A target of K classes with a softmax, written in this file alone, does what two classes do."""

import pickle
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from skdnn import Checkpoint, DeepBinaryClassifier, together
from skdnn.classifier import BINARY_CLASSIFICATION
from skdnn.data.targets import Classes
from skdnn.estimator import Options
from skdnn.estimator._html import network_html
from skdnn.network import Loss, Network, Output, cost, get_activation

# -- the target and its output ----------------------------------------------------------------


@dataclass(frozen=True)
class SeveralClasses(Classes):
    """The classes of y. The outputs of the network are the logits of all of them."""

    most_labels: ClassVar[int] = 100
    probabilities = partial(softmax, axis=-1)
    log_probabilities = partial(log_softmax, axis=-1)

    @property
    def n_outputs(self):
        return len(self.classes)

    def standardized(self, y):
        return (y[:, None] == np.arange(self.n_outputs)).astype(np.float64)

    @staticmethod
    def most_probable(Z):
        return Z.argmax(axis=-1)


def cross_entropy(Z, y):
    return -(y * Z.log_softmax(-2)).sum(-2, keepdim=True)


def cross_entropy_derivative(Z, y, out):
    return torch.softmax(Z, -2, out=out).sub_(y)


def log_frequencies(y, weight):
    frequencies = (weight * y).sum(-1) / weight.sum(-1)
    return torch.where((frequencies > 0).all(-1, keepdim=True), frequencies.log(), 0.0)


def accuracy(Z, y, weight):
    is_right = (Z.argmax(-2, keepdim=True) == y.argmax(-2, keepdim=True)) * weight
    return is_right.sum((-2, -1)) / weight.sum((-2, -1))


SOFTMAX = Output(
    name="softmax",
    out_activation="softmax",
    losses={"log_loss": Loss(cross_entropy, cross_entropy_derivative, log_frequencies)},
    score=accuracy,
    mean=lambda Z: Z.log_softmax(-2).exp().mean(0).log(),
    module=partial(torch.nn.Softmax, dim=-1),
    is_flat=lambda Z: torch.softmax(Z, -2).amax(-2, keepdim=True) > 1 - 2e-9,
)


class SoftmaxClassifier(DeepBinaryClassifier):
    _task = replace(
        BINARY_CLASSIFICATION,
        target=SeveralClasses,
        output=SOFTMAX,
        constraints={**BINARY_CLASSIFICATION.constraints, "loss": Options(("log_loss",))},
        loss=lambda parameters: SOFTMAX.losses[parameters.loss],
        out_of_fold=("oob_proba_", SeveralClasses.probabilities),
    )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = True
        return tags


# -- what it does -----------------------------------------------------------------------------

X, SPECIES = load_iris(return_X_y=True)
Y = load_iris().target_names[SPECIES]
FREE = {"standardize": False, "numeric_embedding": None}


def fit(X=X, y=Y, sample_weight=None, **parameters):
    parameters = {"n_units": 6, "max_iter": 20, "random_state": 0, **parameters}
    return SoftmaxClassifier(**parameters).fit(X, y, sample_weight=sample_weight)


def probabilities(clf, X):
    """Return P from `coefs_`, for networks without an encoding and with ReLU."""
    of_networks = []
    for k in range(clf.n_networks):
        layers = zip(clf.coefs_, clf.intercepts_, strict=True)
        A, is_stack = X, clf.n_networks > 1
        for l, (W, b) in enumerate(layers, start=1):
            Z = A @ (W[k] if is_stack else W) + (b[k] if is_stack else b)
            A = np.maximum(Z, 0) if l < clf.n_layers_ else softmax(Z, axis=1)
        of_networks.append(A)
    return np.mean(of_networks, axis=0)


def network(n_networks=None):
    network = Network((4, 5, 3), [get_activation("tanh")], output=SOFTMAX, n_networks=n_networks)
    network.theta.normal_(generator=torch.Generator().manual_seed(0))
    return network


def examples(stack=(), m=9):
    rng = np.random.default_rng(1)
    X = torch.from_numpy(rng.normal(size=(*stack, 5, m)))
    X[..., -1, :] = 1
    y = torch.nn.functional.one_hot(torch.from_numpy(rng.integers(3, size=(*stack, m)))).mT
    return X, y.double(), torch.from_numpy(rng.random((*stack, 1, m)))


@pytest.mark.parametrize("stack", [(), (2,)])
def test_cost_and_gradient_equal_those_of_torch(stack):
    net, loss = network(*stack), SOFTMAX.losses["log_loss"]
    X, y, weight = examples(stack)
    Z = net.propagate(X, y, weight, loss).clone()
    theta = net.theta.clone().requires_grad_()
    _, W, b, _ = net.views(theta)
    Z_torch = W[2] @ torch.tanh(W[1] @ X[..., :-1, :] + b[1]) + b[2]
    losses = torch.nn.functional.cross_entropy(
        Z_torch.movedim(-2, 1) if stack else Z_torch.T,
        y.argmax(-2),
        reduction="none",
    )
    (losses * weight[..., 0, :]).sum().backward()
    torch.testing.assert_close(net.gradient, theta.grad, rtol=0, atol=1e-12)
    expected = (losses * weight[..., 0, :]).sum(-1) / weight.sum((-2, -1))
    torch.testing.assert_close(cost(loss, Z, y, weight), expected.detach(), rtol=1e-12, atol=0)


def test_one_layer_equals_logistic_regression():
    options = {"n_layers": 1, "optimizer": "lbfgs", "max_iter": 500, "tol": 1e-7, **FREE}
    ours = fit(weight_decay=1 / len(Y), **options)
    theirs = LogisticRegression(C=1.0, max_iter=5000, tol=1e-10).fit(X, Y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)
    assert ours.predict(X).tolist() == theirs.predict(X).tolist()
    assert ours.score(X, Y) == theirs.score(X, Y) > 0.95


@pytest.mark.parametrize("class_weight", ["balanced", {"virginica": 3.0}])
def test_class_and_sample_weights_equal_those_of_logistic_regression(class_weight):
    weight = np.random.default_rng(0).random(150) * (np.arange(150) % 5 > 0)
    weight[Y == "setosa"] /= 5
    of_rows = weight.copy()
    for label in np.unique(Y):
        rows = np.flatnonzero(label == Y)
        if class_weight == "balanced":
            of_rows[rows] *= weight.sum() / (3 * weight[rows].sum())
        else:
            of_rows[rows] *= class_weight.get(label, 1.0)
    theirs = LogisticRegression(C=1.0, max_iter=5000, tol=1e-10).fit(X, Y, sample_weight=of_rows)
    ours = fit(
        sample_weight=weight, class_weight=class_weight, n_layers=1, optimizer="lbfgs",
        max_iter=500, tol=1e-7, weight_decay=1 / of_rows.sum(), **FREE,
    )  # fmt: skip
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("n_networks", [1, 5])
def test_predictions_equal_the_formula(n_networks):
    clf = fit(n_networks=n_networks, early_stopping=n_networks > 1, **FREE)
    P = clf.predict_proba(X)
    np.testing.assert_allclose(P, probabilities(clf, X), rtol=1e-9)
    np.testing.assert_allclose(clf.predict_log_proba(X), np.log(P), rtol=1e-9)
    np.testing.assert_allclose(softmax(clf.decision_function(X), axis=1), P, rtol=1e-9)
    assert clf.predict(X).tolist() == clf.classes_[P.argmax(axis=1)].tolist()
    assert (clf.n_outputs_, clf.out_activation_, clf.layer_sizes_[-1]) == (3, "softmax", 3)
    np.testing.assert_allclose(clf.to_module()(torch.from_numpy(X)).detach(), P, rtol=1e-9)


def test_each_network_holds_out_rows_of_each_class():
    clf = fit(n_networks=5, early_stopping=True, max_iter=3)
    assert clf.oob_proba_.shape == (150, 3)
    np.testing.assert_allclose(clf.oob_proba_.sum(axis=1), 1)
    with pytest.raises(ValueError, match="at least 60 rows of each class, one for each fold"):
        fit(n_networks=60, early_stopping=True)
    with pytest.raises(ValueError, match=r"must find rows of each class .* 1 of the rarest,"):
        fit(X[:101], Y[:101], early_stopping=True)


def test_held_out_rows_stop_training_early():
    clf = fit(early_stopping=True, validation_fraction=0.2, max_iter=200, learning_rate=0.05)
    assert clf.n_iter_ < 200
    assert clf.validation_scores_[clf.best_iter_ - 1] > 0.9
    by_scorer = fit(early_stopping=True, scoring="accuracy", validation_fraction=0.2)
    again = fit(early_stopping=True, validation_fraction=0.2)
    n = min(by_scorer.n_iter_, again.n_iter_)
    assert by_scorer.validation_scores_[:n] == pytest.approx(again.validation_scores_[:n])


def test_frames_with_categories_are_fitted():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame["id"] = [f"{label} {k % 9}" for k, label in enumerate(Y)]
    clf = fit(frame, Y, target_encoding=True, class_weight="balanced", max_iter=50)
    assert clf.score(frame, Y) > 0.95
    assert cross_val_score(SoftmaxClassifier(max_iter=20), frame, Y).mean() > 0.9


def test_a_resumed_fit_and_a_pickle_are_bit_identical(tmp_path):
    options = {"learning_rate_schedule": "constant", "dropout": 0.2, "tol": 0.0}
    expected = fit(max_iter=12, **options)
    path = Checkpoint(tmp_path / "fit.ckpt", every_epochs=1)
    fit(max_iter=5, checkpoint=path, **options)
    resumed = fit(max_iter=12, checkpoint=path, **options)
    for clf in (resumed, pickle.loads(pickle.dumps(expected))):
        assert clf.n_iter_ == 12
        for got, wanted in zip(clf.coefs_, expected.coefs_, strict=True):
            np.testing.assert_array_equal(got, wanted)
        np.testing.assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))


def test_training_continues_with_the_same_classes():
    clf = SoftmaxClassifier(n_units=6, random_state=0)
    for rows in np.array_split(np.arange(150), 3):  # each part has one class
        clf.partial_fit(X[rows], Y[rows], classes=np.unique(Y))
    assert clf.predict_proba(X).shape == (150, 3)
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        clf.partial_fit(X, Y, classes=["setosa", "virginica"])
    warm = fit(max_iter=2).set_params(warm_start=True)
    assert warm.fit(X, Y).n_iter_ == 4
    with pytest.raises(ValueError, match="must find the classes of the previous fit"):
        warm.fit(X[:100], Y[:100])


def test_fits_together_equal_separate_ones():
    clf = SoftmaxClassifier(n_units=6, max_iter=5, random_state=0)
    expected = cross_val_score(clf, X, Y)
    with together():
        np.testing.assert_array_equal(cross_val_score(clf, X, Y), expected)


@pytest.mark.parametrize("early_stopping", [True, False])
def test_files_are_fitted(tmp_path, early_stopping):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    order = np.random.default_rng(0).permutation(150)
    columns = dict(zip("abcd", X[order].T, strict=True))
    parquet.write_table(pa.table({**columns, "y": Y[order]}), tmp_path / "iris.parquet")
    options = {"class_weight": "balanced", "early_stopping": early_stopping, "shuffle": False}
    clf = fit(
        tmp_path / "iris.parquet", "y", validation_fraction=0.2, dtype="float64", batch_size=150,
        **options,
    )  # fmt: skip
    assert clf.predict_proba(tmp_path / "iris.parquet").shape == (150, 3)
    if not early_stopping:
        import pandas as pd

        other = fit(pd.DataFrame(columns), Y[order], dtype="float64", batch_size=150, **options)
        np.testing.assert_allclose(clf.loss_curve_, other.loss_curve_, rtol=1e-9)
    clf.write_predictions(tmp_path / "iris.parquet", tmp_path / "p.parquet", method="predict_proba")
    assert parquet.read_table(tmp_path / "p.parquet").column_names == clf.classes_.tolist()


def test_displays_draw_three_outputs():
    plt = pytest.importorskip("matplotlib.pyplot")
    from skdnn import (
        DecisionBoundariesDisplay,
        LossCurveDisplay,
        NetworkDisplay,
        WeightImagesDisplay,
    )

    backend = plt.get_backend()
    plt.switch_backend("agg")
    try:
        clf = fit(n_layers=1, **FREE)
        display = NetworkDisplay.from_estimator(clf)
        assert "$n^{[1]} = 3$\nlayer 1\nsoftmax" in [text.get_text() for text in display.ax_.texts]
        assert len(LossCurveDisplay.from_estimator(clf).loss_curve) == clf.n_iter_
        assert WeightImagesDisplay.from_estimator(clf, image_shape=(2, 2)).images.shape == (3, 2, 2)
        assert "softmax" in network_html(clf)
        of_two_columns = fit(X[:, :2])
        with pytest.raises(ValueError, match="must be a binary classifier, got one of 3 classes"):
            DecisionBoundariesDisplay.from_estimators({"": of_two_columns}, X[:, :2], Y)
    finally:
        plt.close("all")
        plt.switch_backend(backend)


def test_a_saturated_start_is_warned_of():
    with pytest.warns(UserWarning, match="The output starts saturated"):
        fit(init_scale=1000.0, max_iter=1)


def test_a_class_without_weight_is_an_error():
    with pytest.raises(ValueError, match=r"y must hold 3 classes with a weight .*, got 2: \['set"):
        fit(sample_weight=(Y != "virginica").astype(float))
