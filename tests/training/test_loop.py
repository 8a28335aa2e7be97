"""The loop: against the lecture's loops, stacks against single networks, and bad endings."""

import numpy as np
import pytest
import reference
import torch

from skdnn.data import Batches, identity_standardizer, make_rows
from skdnn.network import ACTIVATIONS, Network, initialize
from skdnn.training import evaluate, make_optimizer, train

CPU = torch.device("cpu")
SIZES = (6, 8, 5, 1)


def examples(m=120, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, 6))
    y = (X[:, 0] * X[:, 1] + 0.3 * rng.normal(size=m) > 0).astype(int)
    return X, y


def batches(X, y, weight=None, **options):
    rows = make_rows(X, np.arange(len(y)), identity_standardizer(X.shape[1]), torch.float64, CPU)
    weight = np.ones(len(y)) if weight is None else weight
    return Batches(rows, y, weight, torch.float64, **options)


def generators(seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def start(seeds=(0,), n_networks=None, dropout=0.0, activation="tanh"):
    network = Network(
        SIZES, [ACTIVATIONS[activation]] * 2, n_networks=n_networks, dropout=[dropout] * 2
    )
    drawing = generators(seeds)
    initialize(network, "auto", drawing)
    return network, drawing


def fit(network, loader, validation=None, optimizer="adam", weight_decay=0.0, **options):
    rule = make_optimizer(optimizer, network, weight_decay=weight_decay)
    return train(network, loader, rule, validation=validation, **options)


def test_full_batch_gradient_descent_is_the_lectures():
    X, y = examples(30)
    network, _ = start()
    W, b = network.arrays()
    result = fit(network, batches(X, y), optimizer="sgd", learning_rate=0.5, max_iter=15, tol=0.0)
    expected_W, expected_b, costs = reference.gradient_descent(X, y, W, b, "tanh", 0.5, 15)
    np.testing.assert_allclose(result.cost_curve[:, 0], costs, rtol=1e-10)
    trained_W, trained_b = network.arrays()
    for got, expected in zip(trained_W + trained_b, expected_W + expected_b, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("batch_size", [None, 32])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_networks_of_a_stack_end_where_they_would_have_alone(optimizer, batch_size, dropout):
    X, y = examples()
    X_val, y_val = examples(60, seed=1)
    rates = [0.003, 0.01, 0.03]

    def run(seeds, n_networks, learning_rate):
        network, drawing = start(seeds, n_networks, dropout)
        return fit(
            network,
            batches(X, y, batch_size=batch_size, generators=drawing),
            batches(X_val, y_val),
            optimizer=optimizer,
            learning_rate=learning_rate,
            weight_decay=0.01,
            schedule="cosine",
            max_iter=50,
            n_iter_no_change=12,
            generators=drawing,
        )

    stack = run([1, 2, 3], 3, torch.tensor(rates, dtype=torch.float64)[:, None])
    for k, rate in enumerate(rates):
        alone = run([k + 1], None, rate)
        assert (alone.n_iter[0], alone.best_iter[0]) == (stack.n_iter[k], stack.best_iter[k])
        torch.testing.assert_close(alone.theta, stack.theta[k], rtol=0, atol=1e-9)
        n = alone.n_iter[0]
        np.testing.assert_allclose(alone.cost_curve[:, 0], stack.cost_curve[:n, k], atol=1e-9)


def test_networks_of_a_stack_may_weigh_rows_differently():
    X, y = examples(40)
    weights = np.random.default_rng(0).integers(0, 3, size=(2, 40)).astype(float)
    network, _ = start([1, 2], 2)
    stack = fit(network, batches(X, y, weights), optimizer="sgd", learning_rate=0.3, max_iter=50)
    for k in (0, 1):
        network, _ = start([k + 1])
        alone = fit(
            network, batches(X, y, weights[k]), optimizer="sgd", learning_rate=0.3, max_iter=50
        )
        torch.testing.assert_close(alone.theta, stack.theta[k], rtol=0, atol=1e-9)


def test_slabs_of_a_large_batch_add_up(monkeypatch):
    X, y = examples()
    theta = []
    for rows in (4096, 17):
        monkeypatch.setattr("skdnn.data._batches._SLAB_ROWS", rows)
        network, _ = start()
        loader = batches(X, y)
        assert len(loader.sizes) == -(-120 // rows)
        theta.append(fit(network, loader, optimizer="sgd", learning_rate=0.3, max_iter=20).theta)
    torch.testing.assert_close(theta[0], theta[1], rtol=0, atol=1e-12)


def test_lbfgs_finds_the_minimum_with_slabs_too(monkeypatch):
    monkeypatch.setattr("skdnn.data._batches._SLAB_ROWS", 50)
    X, y = examples()
    network = Network((6, 1), [])
    result = fit(
        network, batches(X, y), optimizer="lbfgs", weight_decay=0.01, tol=1e-9, max_iter=200
    )
    assert result.converged.all()
    W, b = network.arrays()
    dW, db = reference.gradients(X, y, np.ones(120), W, b, "relu")
    np.testing.assert_allclose(dW[0] + 0.01 * W[0], 0, atol=1e-8)
    np.testing.assert_allclose(db[0], 0, atol=1e-8)


def test_best_epoch_is_the_lowest_validation_cost_and_its_weights_return():
    X, y = examples(60)
    validation = batches(*examples(60, seed=1))
    network, drawing = start(activation="relu")
    result = fit(
        network,
        batches(X, y, batch_size=10, generators=drawing),
        validation,
        learning_rate=0.02,
        max_iter=60,
    )
    best = result.best_iter[0] - 1
    curve = result.validation_cost_curve[:, 0]
    assert best < result.n_iter[0] - 1
    assert best == np.argmin(curve)
    assert result.best_cost[0] == curve[best]
    cost, accuracy = evaluate(network, validation, "log_loss")
    assert cost.item() == pytest.approx(curve[best], rel=1e-12)
    assert accuracy.item() == pytest.approx(result.validation_accuracy_curve[best, 0])


def test_without_early_stopping_validation_only_watches():
    X, y = examples(60)
    network, _ = start()
    watched = fit(network, batches(X, y), batches(*examples(60, 1)), max_iter=7, keep_best=False)
    network, _ = start()
    unwatched = fit(network, batches(X, y), max_iter=7)
    torch.testing.assert_close(watched.theta, unwatched.theta, rtol=0, atol=0)
    assert watched.best_iter[0] == 7
    assert watched.validation_cost_curve.shape == (7, 1)


def test_divergence_is_an_error_that_names_the_epoch():
    X, y = examples(60)
    network, _ = start(activation="identity")
    with pytest.raises(ValueError, match=r"in epoch \d+.*smaller learning_rate.*standardize"):
        fit(network, batches(1e3 * X, y), optimizer="sgd", learning_rate=1e6, max_iter=50)


def test_interruption_keeps_the_last_whole_epoch():
    X, y = examples(60)

    def run(max_iter, interrupt_after=None):
        network, _ = start()

        def on_epoch(epoch, *_):
            if epoch == interrupt_after:
                raise KeyboardInterrupt

        return fit(network, batches(X, y), max_iter=max_iter, tol=0.0, on_epoch=on_epoch)

    interrupted, short = run(50, interrupt_after=5), run(5)
    assert interrupted.interrupted
    assert not short.interrupted
    torch.testing.assert_close(interrupted.theta, short.theta, rtol=0, atol=0)


def test_schedule_may_be_a_function_of_the_epoch():
    X, y = examples(60)
    seen = []

    def halves(epoch, max_iter):
        seen.append((epoch, max_iter))
        return 0.5**epoch

    network, drawing = start()
    loader = batches(X, y, batch_size=30, generators=drawing)
    fit(network, loader, schedule=halves, max_iter=2)
    assert seen == [(0.0, 2), (0.5, 2), (1.0, 2), (1.5, 2)]


def test_one_thread_for_small_work_and_all_of_them_back():
    X, y = examples(60)
    network, _ = start()
    seen, before = [], torch.get_num_threads()
    fit(
        network, batches(X, y), max_iter=1, on_epoch=lambda *_: seen.append(torch.get_num_threads())
    )
    assert seen == [1]
    assert torch.get_num_threads() == before


def test_denormal_numbers_are_flushed_in_training_and_back_afterwards():
    X, y = examples(60)
    network, _ = start()
    tiny, seen = torch.full((1,), 1e-40), []
    fit(network, batches(X, y), max_iter=1, on_epoch=lambda *_: seen.append((tiny * 1.0).item()))
    assert seen == [0]
    assert (tiny * 1.0).item() > 0
