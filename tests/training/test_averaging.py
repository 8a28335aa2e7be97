"""Weight averages, against the sum that defines them and against torch."""

import numpy as np
import pytest
import torch

from skdnn import DeepBinaryClassifier
from skdnn.network import Network
from skdnn.training import TrainingConfig, make_optimizer


class Path:
    """An objective with which gradient descent at rate 1 moves from one given point to the next."""

    def __init__(self, network, points):
        self.network, self.points = network, iter(points)

    def compute_gradient(self):
        self.network.gradient.copy_(self.network.theta - next(self.points))


def points(n, shape=(4,)):
    generator = torch.Generator().manual_seed(0)
    return torch.randn((n, *shape), dtype=torch.float64, generator=generator)


def walk(n, decay, n_networks=None):
    network = Network((3, 1), [], n_networks=n_networks)
    path = points(n, network.theta.shape)
    optimizer = make_optimizer(TrainingConfig("sgd", weight_averaging=decay), network)
    objective = Path(network, path)
    for _ in range(n):
        optimizer.step(objective, 1.0)
    return path, optimizer


@pytest.mark.parametrize("n_networks", [None, 3])
@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("n", [1, 2, 30])
def test_the_average_equals_the_sum_that_defines_it(n, decay, n_networks):
    path, optimizer = walk(n, decay, n_networks)
    weight = decay ** torch.arange(n - 1, -1, -1, dtype=torch.float64)
    expected = torch.tensordot(weight / weight.sum(), path, dims=1)
    torch.testing.assert_close(optimizer.average, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(optimizer.theta, path[-1], rtol=1e-12, atol=1e-14)


def test_the_average_equals_that_of_torch_after_many_steps():
    path, optimizer = walk(400, 0.9)
    model = torch.nn.utils.skip_init(torch.nn.Linear, 3, 1, dtype=torch.float64)
    averaged = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    )
    with torch.no_grad():
        for point in path:
            model.weight.copy_(point[:3])
            model.bias.copy_(point[3:])
            averaged.update_parameters(model)
    expected = torch.cat([averaged.module.weight[0], averaged.module.bias]).detach()
    torch.testing.assert_close(optimizer.average, expected, rtol=1e-9, atol=1e-12)


def test_theta_is_the_average_while_it_is_evaluated():
    path, optimizer = walk(10, 0.9)
    with optimizer.evaluated_weights():
        assert torch.equal(optimizer.theta, optimizer.average)
    assert torch.equal(optimizer.theta, path[-1]) or torch.allclose(
        optimizer.theta, path[-1], rtol=1e-12
    )


def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    return X, (X[:, 0] + rng.normal(size=300) > 0).astype(int)


NOISY = {
    "n_units": 8, "batch_size": 8, "learning_rate": 0.05, "learning_rate_schedule": "constant",
    "tol": 0.0, "early_stopping": False, "random_state": 0,
}  # fmt: skip


def test_averages_are_used_for_validation_and_prediction():
    X, y = data()
    options = {**NOISY, "early_stopping": True, "max_iter": 10}
    clf = DeepBinaryClassifier(**options, weight_averaging=0.98)
    clf.fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    P = clf.predict_proba(X[200:])[np.arange(100), y[200:]]
    assert -np.log(P).mean() == pytest.approx(min(clf.validation_loss_curve_), rel=1e-9)
    last = DeepBinaryClassifier(**options)
    last.fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    # The steps are the same; the averages give a smoother validation curve.
    assert clf.loss_curve_ == pytest.approx(last.loss_curve_, rel=1e-12)
    smooth, rough = np.diff(clf.validation_loss_curve_), np.diff(last.validation_loss_curve_)
    assert smooth[-5:].std() < 0.5 * rough[-5:].std()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_partial_fit_continues_the_average_of_earlier_calls(optimizer):
    X, y = data()
    # Classes alternate, because the bias starts at the log-odds of the first chunk.
    pairs = np.transpose([np.flatnonzero(y == label)[:120] for label in (0, 1)])
    X, y = X[pairs.ravel()], y[pairs.ravel()]
    options = {**NOISY, "shuffle": False, "standardize": False, "optimizer": optimizer}
    options.update(weight_averaging=0.9, batch_size=40, weight_decay=0.0)
    whole = DeepBinaryClassifier(**options, max_iter=2).fit(X, y)
    pieces = DeepBinaryClassifier(**options)
    for start in [0, 80, 160] * 2:
        rows = slice(start, start + 80)
        pieces.partial_fit(X[rows], y[rows], classes=[0, 1])
    np.testing.assert_allclose(pieces.predict_proba(X), whole.predict_proba(X), rtol=1e-9)
