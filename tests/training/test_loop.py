"""The training loop: against plain loops, stacks against single networks, and errors."""

import copy
import os
import threading
import time
from dataclasses import fields

import numpy as np
import pytest
import reference
import torch

from skdnn.data.batches import Batches, make_rows
from skdnn.data.encoding import identity_encoder
from skdnn.network import ACTIVATIONS, LOSSES, Network, cost, get_activation, initialize
from skdnn.training import (
    TrainingConfig,
    _training_group,
    epoch_raw_predictions,
    make_optimizer,
    train,
)
from skdnn.training._threads import ThreadPool
from skdnn.training._training_group import TrainingGroup

CPU = torch.device("cpu")
SIZES = (6, 8, 5, 1)


def examples(m=120, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, 6))
    y = (X[:, 0] * X[:, 1] + 0.3 * rng.normal(size=m) > 0).astype(int)
    return X, y


def batches(X, y, weight=None, **options):
    rows = make_rows(X, np.arange(len(y)), identity_encoder(X.shape[1]), torch.float64, CPU)
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


SETTINGS = {each.name for each in fields(TrainingConfig)}


def fit(network, loader, validation=None, **options):
    """Train with an optimizer and a config of these options, the rest of which `train` takes."""
    config = TrainingConfig(**{name: options.pop(name) for name in SETTINGS & options.keys()})
    optimizer = make_optimizer(config, network)
    return train(network, loader, optimizer, config, validation=validation, **options)


def test_full_batch_gradient_descent_equals_the_reference():
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
@pytest.mark.parametrize("batch_size", [None, 60])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_networks_of_a_stack_give_the_results_of_separate_trainings(optimizer, batch_size, dropout):
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
            max_iter=30,
            n_iter_no_change=8,
            generators=drawing,
        )

    stack = run([1, 2, 3], 3, tuple(rates))
    for k, rate in enumerate(rates):
        separate = run([k + 1], None, rate)
        assert (separate.n_iter[0], separate.best_iter[0]) == (stack.n_iter[k], stack.best_iter[k])
        torch.testing.assert_close(separate.theta, stack.theta[k], rtol=0, atol=1e-9)
        n = separate.n_iter[0]
        np.testing.assert_allclose(separate.cost_curve[:, 0], stack.cost_curve[:n, k], atol=1e-9)


def test_networks_of_a_stack_may_have_different_sample_weights():
    X, y = examples(40)
    weights = np.random.default_rng(0).integers(0, 3, size=(2, 40)).astype(float)
    network, _ = start([1, 2], 2)
    stack = fit(network, batches(X, y, weights), optimizer="sgd", learning_rate=0.3, max_iter=50)
    for k in (0, 1):
        network, _ = start([k + 1])
        separate = fit(
            network, batches(X, y, weights[k]), optimizer="sgd", learning_rate=0.3, max_iter=50
        )
        torch.testing.assert_close(separate.theta, stack.theta[k], rtol=0, atol=1e-9)


def test_gradients_of_micro_batches_add_up_to_that_of_the_batch(monkeypatch):
    X, y = examples()
    theta = []
    for rows in (4096, 17):
        monkeypatch.setattr("skdnn.data.batches._batches._MICRO_BATCH_ROWS", rows)
        network, _ = start()
        loader = batches(X, y)
        assert len(loader.sizes[0]) == -(-120 // rows)
        theta.append(fit(network, loader, optimizer="sgd", learning_rate=0.3, max_iter=20).theta)
    torch.testing.assert_close(theta[0], theta[1], rtol=0, atol=1e-12)


def test_lbfgs_finds_the_minimum_with_several_micro_batches(monkeypatch):
    monkeypatch.setattr("skdnn.data.batches._batches._MICRO_BATCH_ROWS", 50)
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


def test_weights_of_the_epoch_of_lowest_validation_cost_are_restored():
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
    epoch = validation.epoch()
    Z = epoch_raw_predictions(network, epoch)
    accuracy = network.output.score(Z, epoch.y, epoch.weight)
    assert cost(LOSSES["log_loss"], Z, epoch.y, epoch.weight).item() == pytest.approx(
        curve[best], rel=1e-12
    )
    assert accuracy.item() == pytest.approx(result.validation_score_curve[best, 0])


def test_without_early_stopping_the_validation_set_does_not_change_the_training():
    X, y = examples(60)
    network, _ = start()
    validated = fit(network, batches(X, y), batches(*examples(60, 1)), max_iter=7, keep_best=False)
    network, _ = start()
    without = fit(network, batches(X, y), max_iter=7)
    torch.testing.assert_close(validated.theta, without.theta, rtol=0, atol=0)
    assert validated.best_iter[0] == 7
    assert validated.validation_cost_curve.shape == (7, 1)


def test_divergence_raises_an_error_that_names_the_epoch():
    X, y = examples(60)
    network, _ = start(activation="identity")
    with pytest.raises(ValueError, match=r"in epoch \d+.*smaller learning_rate.*standardize"):
        fit(network, batches(1e3 * X, y), optimizer="sgd", learning_rate=1e6, max_iter=50)


def test_an_interrupted_training_keeps_the_weights_of_the_last_complete_epoch():
    X, y = examples(60)

    def run(max_iter, interrupt_after=None):
        network, _ = start()

        def interrupt(progress):
            if progress.epoch == interrupt_after:
                raise KeyboardInterrupt

        return fit(network, batches(X, y), max_iter=max_iter, tol=0.0, observers=[interrupt])

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


def test_an_observer_may_end_the_training():
    X, y = examples(60)
    network, _ = start()

    def stop_after_three(progress):
        if progress.epoch == 3:
            progress.stop()

    result = fit(network, batches(X, y), max_iter=50, tol=0.0, observers=[stop_after_three])
    assert result.n_iter.tolist() == [3]
    assert result.converged.all()


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("weight_averaging", [0.0, 0.9])
@pytest.mark.parametrize("n_networks", [None, 2])
def test_a_resumed_training_gives_a_bit_identical_result(optimizer, weight_averaging, n_networks):
    X, y = examples()

    def run(observers=(), state=None, seed=0):
        network, drawing = start([seed, seed + 1][: n_networks or 1], n_networks, dropout=0.2)
        loader = batches(X, y, batch_size=32, generators=drawing)
        return fit(
            network, loader, batches(*examples(60, 1)), optimizer=optimizer, schedule="cosine",
            weight_averaging=weight_averaging, max_iter=9, generators=drawing, observers=observers,
            on_start=lambda progress: None if state is None else progress.restore(state),
        )  # fmt: skip

    states = []
    whole = run([lambda progress: states.append(copy.deepcopy(progress.state()))])
    resumed = run(state=states[4], seed=7)  # other initial weights, which the state replaces
    assert torch.equal(resumed.theta, whole.theta)
    np.testing.assert_array_equal(resumed.cost_curve, whole.cost_curve)
    np.testing.assert_array_equal(resumed.validation_score_curve, whole.validation_score_curve)
    np.testing.assert_array_equal(resumed.best_iter, whole.best_iter)


def test_a_score_replaces_the_validation_cost_in_early_stopping():
    X, y = examples(60)
    network, _ = start()
    scores = iter([0.5, 0.7, 0.9, 0.6, 0.8])
    thetas = []

    def score(network, members):
        thetas.append(network.theta.clone())
        return np.array([next(scores)])

    result = fit(network, batches(X, y), batches(*examples(60, 1)), max_iter=5, score=score)
    assert result.best_iter.tolist() == [3]
    assert result.validation_score_curve[:, 0].tolist() == [0.5, 0.7, 0.9, 0.6, 0.8]
    assert torch.equal(network.theta, thetas[2])


@pytest.mark.parametrize("n_networks", [None, 2])
def test_gradients_are_clipped_as_torch_clips_them(n_networks):
    X, y = examples(40)
    X = 30 * X
    network, _ = start([3, 4][: n_networks or 1], n_networks)
    thetas = [theta.clone() for theta in network.members(network.theta)]
    fit(network, batches(X, y), optimizer="sgd", learning_rate=0.1, max_iter=20, max_grad_norm=0.3)
    for theta, ended in zip(thetas, network.members(network.theta), strict=True):
        separate, _ = start()
        separate.theta.copy_(theta)
        module = separate.to_module()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        norms = []
        for _ in range(20):
            optimizer.zero_grad()
            P = module(torch.from_numpy(X))
            torch.nn.functional.binary_cross_entropy(P, torch.from_numpy(y).double()).backward()
            norms.append(torch.nn.utils.clip_grad_norm_(module.parameters(), 0.3).item())
            optimizer.step()
        assert max(norms) > 0.3 > min(norms)
        for linear, l in zip(module[::2], (1, 2, 3), strict=False):
            expected = separate.views(ended)[1][l]
            torch.testing.assert_close(linear.weight.detach(), expected, rtol=1e-4, atol=1e-6)


def test_small_work_uses_one_thread_and_the_number_of_threads_is_restored(monkeypatch):
    X, y = examples(60)
    used, propagate, before = set(), Network.propagate, torch.get_num_threads()

    def spy(*arguments, **options):
        used.add((threading.get_ident(), torch.get_num_threads()))
        return propagate(*arguments, **options)

    monkeypatch.setattr(Network, "propagate", spy)
    most = max(before, os.cpu_count())
    for n_threads, expected in ((None, 1), (1, 1), (2, min(2, most)), (1000, most)):
        used.clear()
        fit(start()[0], batches(X, y), max_iter=1, n_threads=n_threads)
        assert len(used) == expected
        assert all(threads == 1 for _, threads in used)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("n_networks", [None, 2])
@pytest.mark.parametrize("batch_size", [None, 25])
def test_threads_that_share_a_step_give_the_result_of_one_thread(batch_size, n_networks, dropout):
    def run(n_threads):
        network, drawing = start([1, 2][: n_networks or 1], n_networks, dropout)
        loader = batches(*examples(), batch_size=batch_size, generators=drawing)
        validation = batches(*examples(60, 1))
        return fit(network, loader, validation, max_iter=8, generators=drawing, n_threads=n_threads)

    one, two, again = run(1), run(2), run(2)
    assert torch.equal(two.theta, again.theta)
    if dropout == 0:  # with dropout each thread draws its own masks
        torch.testing.assert_close(one.theta, two.theta, rtol=0, atol=1e-9)
        np.testing.assert_allclose(one.cost_curve, two.cost_curve, rtol=1e-9)


@pytest.mark.parametrize(
    ("n_examples", "operations", "expected"),
    [(256, 1e12, 6), (256, 1e8, 3), (256, 5e7, 1), (79, 1e12, 1), (10_000, 1e12, 16)],
)
def test_the_number_of_threads_of_a_step_depends_on_its_examples_and_operations(
    n_examples, operations, expected, monkeypatch
):
    monkeypatch.setattr(_training_group, "operations_per_step", lambda *_: operations)
    group = TrainingGroup(
        start()[0], None, TrainingConfig(), batches(*examples(n_examples)), None, (), [0],
        ThreadPool(),
    )  # fmt: skip
    for is_requested, n_threads in ((False, expected), (True, 16)):
        pool = ThreadPool(n=16, is_requested=is_requested)
        (sharing,) = group.groups(np.array([True]), pool)
        assert sharing.threads.n == n_threads


def test_an_error_in_another_thread_is_raised():
    def g(Z):
        if threading.current_thread() is not threading.main_thread():
            raise ZeroDivisionError
        return torch.tanh(Z)

    network = Network((6, 8, 1), [get_activation(g)])
    initialize(network, "auto", generators([0]))
    with pytest.raises(ZeroDivisionError):
        fit(network, batches(*examples()), max_iter=3, n_threads=2)


def test_an_interruption_stops_the_other_threads_soon(monkeypatch):
    others, propagate, n_rows = [], Network.propagate, 5000

    def spy(network, *arguments, **options):
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        others.append(threading.current_thread())
        time.sleep(0.001)  # lets the main thread run
        return propagate(network, *arguments, **options)

    monkeypatch.setattr(Network, "propagate", spy)
    network, drawing = start([1, 2], 2)
    loader = batches(*examples(n_rows), batch_size=1, generators=drawing)
    assert fit(network, loader, n_threads=2).interrupted
    assert len(others) < n_rows  # before the end of the epoch, which sleeps 5 s
    assert not others or not others[0].is_alive()


# -- networks of a stack with different options ---------------------------------------------------


def slower_and_slower(epoch, max_iter):
    return 1 / (1 + epoch / max_iter)


# The values of options for three networks.
OWN_OPTIONS = {
    "schedule": {"schedule": ("cosine", slower_and_slower, "constant")},
    "max_iter": {"max_iter": (12, 5, 9)},
    "schedule and max_iter": {
        "schedule": ("cosine", slower_and_slower, "cosine"),
        "max_iter": (12, 5, 9),
    },
    "patience": {"tol": (1e-4, 0.03, 0.01), "n_iter_no_change": (4, 1, 2)},
    "max_grad_norm": {"max_grad_norm": (None, 0.05, 0.2)},
    "momentum": {"momentum": (0.0, 0.9, 0.5)},
    "weight_decay": {"weight_decay": (0.0, 0.1, 0.01)},
    "weight_averaging": {"weight_averaging": (0.0, 0.9, 0.5)},
}
OWN_OPTIONS["all"] = {name: of for options in OWN_OPTIONS.values() for name, of in options.items()}
RATES = (0.3, 0.1, 0.2)


def own(options, member):
    """Return the options of one network of a stack."""
    return {name: of[member] if isinstance(of, tuple) else of for name, of in options.items()}


def fit_own(options, member=None, learning_rate=RATES, batch_size=32, **in_common):
    """Train three networks as a stack, each with its own options, or one of them separately."""
    options = {"max_iter": 12, **options, "learning_rate": learning_rate, **in_common}
    seeds, n_networks = [1, 2, 3], 3
    if member is not None:
        options, seeds, n_networks = own(options, member), [member + 1], None
    network, drawing = start(seeds, n_networks, dropout=0.1)
    loader = batches(*examples(), batch_size=batch_size, generators=drawing)
    validation = batches(*examples(60, seed=1))
    return fit(network, loader, validation, optimizer="sgd", generators=drawing, **options)


def assert_equal_to_separate(stack, member, separate):
    n = separate.n_iter[0]
    assert (n, separate.best_iter[0]) == (stack.n_iter[member], stack.best_iter[member])
    assert separate.converged[0] == stack.converged[member]
    torch.testing.assert_close(separate.theta, stack.theta[member], rtol=0, atol=1e-9)
    for name in ("cost_curve", "validation_cost_curve", "validation_score_curve"):
        curve, its_own = getattr(stack, name)[:, member], getattr(separate, name)[:, 0]
        np.testing.assert_allclose(curve[:n], its_own, atol=1e-9)
        assert np.isnan(curve[n:]).all()


@pytest.mark.parametrize("batch_size", [None, 32])
@pytest.mark.parametrize("name", OWN_OPTIONS)
def test_networks_of_a_stack_may_have_different_options(name, batch_size):
    options = OWN_OPTIONS[name]
    stack = fit_own(options, batch_size=batch_size)
    assert len(stack.cost_curve) == stack.n_iter.max()
    for member in range(3):
        assert_equal_to_separate(stack, member, fit_own(options, member, batch_size=batch_size))
    usual = fit_own({}, 1, batch_size=batch_size)  # other options give another result
    is_there = torch.allclose(usual.theta, stack.theta[1])
    assert not is_there or usual.n_iter[0] != stack.n_iter[1]


@pytest.mark.parametrize("keep_best", [True, False])
def test_a_network_that_diverges_is_removed_with_drop_diverged(keep_best):
    rates = (0.3, 1e200, 0.2)

    def run(member=None, **options):
        return fit_own({}, member, rates, keep_best=keep_best, **options)

    stack = run(drop_diverged=True)
    with pytest.raises(ValueError, match="diverged") as separate:
        run(1)
    assert {k: str(error) for k, error in stack.failed.items()} == {1: str(separate.value)}
    for member in (0, 2):
        assert_equal_to_separate(stack, member, run(member))
    with pytest.raises(ValueError, match="diverged") as together:
        run()
    assert str(together.value) == str(separate.value)


def test_with_drop_diverged_all_networks_may_diverge_in_different_epochs():
    def blows_up(epoch, max_iter):
        return 1e200 if epoch >= 2 else 1

    options = {"schedule": ("constant", blows_up, "constant")}
    rates = (1e200, 0.1, 1e200)
    stack = fit_own(options, learning_rate=rates, drop_diverged=True)
    assert sorted(stack.failed) == [0, 1, 2]
    assert stack.n_iter.tolist() == [0, 2, 0]
    for member, error in stack.failed.items():
        with pytest.raises(ValueError, match=f"in epoch {1 + 2 * (member == 1)}: ") as separate:
            fit_own(options, member, rates)
        assert str(error) == str(separate.value)


def test_a_gradient_of_infinite_norm_is_clipped_only_with_a_max_grad_norm():
    X, y = examples()

    def run(seeds, n_networks, max_grad_norm):
        network, _ = start(seeds, n_networks, activation="relu")
        network.theta.mul_(1e3)
        loader = batches(1e200 * X, y)  # the square of the gradient overflows in float64
        return fit(network, loader, max_iter=3, max_grad_norm=max_grad_norm).theta

    stack = run([1, 2], 2, (None, 1.0))
    for k, max_grad_norm in enumerate([None, 1.0]):
        separate = run([k + 1], None, max_grad_norm)
        torch.testing.assert_close(stack[k], separate, rtol=1e-12, atol=0)


# -- networks that have stopped ---------------------------------------------------------------

OPTIMIZERS = ["sgd", "adam", "adamw", torch.optim.Adam]


@pytest.mark.parametrize("weight_averaging", [0.0, 0.9])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_networks_that_stop_leave_the_stack_without_changing_the_others(
    optimizer, weight_averaging, monkeypatch
):
    stacks, propagate = [], Network.propagate

    def spy(network, *arguments, **options):
        stacks.append(network.n_networks)
        return propagate(network, *arguments, **options)

    monkeypatch.setattr(Network, "propagate", spy)
    of_each = {
        "learning_rate": (0.03, 0.001, 0.01),
        "momentum": (0.0, 0.9, 0.5),
        "weight_decay": (0.1, 0.0, 0.01),
    }

    def run(members):
        stack = len(members) if len(members) > 1 else None
        network, drawing = start([member + 1 for member in members], stack, dropout=0.1)
        return fit(
            network, batches(*examples(), batch_size=32, generators=drawing),
            batches(*examples(60, seed=1)), optimizer=optimizer, weight_averaging=weight_averaging,
            schedule="cosine", max_iter=60, n_iter_no_change=7, generators=drawing,
            **(of_each if stack else own(of_each, members[0])),
        )  # fmt: skip

    together = run([0, 1, 2])
    assert len(set(together.n_iter)) == 3
    assert stacks[0] == 3
    assert stacks[-1] is None  # the last network is no stack
    for member in range(3):
        assert_equal_to_separate(together, member, run([member]))


@pytest.mark.parametrize("weight_averaging", [0.0, 0.9])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("max_iter", [60, (60, 8, 60)])
def test_a_training_is_resumed_after_some_networks_have_stopped(
    max_iter, optimizer, weight_averaging
):
    def run(observers=(), state=None, seed=0):
        network, drawing = start([seed, seed + 1, seed + 2], 3, dropout=0.2)
        loader = batches(*examples(), batch_size=32, generators=drawing)
        return fit(
            network, loader, batches(*examples(60, 1)), optimizer=optimizer,
            weight_averaging=weight_averaging, learning_rate=(0.1, 0.003, 0.01), max_iter=max_iter,
            n_iter_no_change=7, generators=drawing, observers=observers,
            on_start=lambda progress: None if state is None else progress.restore(state),
        )  # fmt: skip

    states = []
    whole = run([lambda progress: states.append(copy.deepcopy(progress.state()))])
    first, last = whole.n_iter.min(), whole.n_iter.max()
    assert first < last
    for epoch in (first - 1, first, first + 1, last - 1):
        resumed = run(state=states[epoch - 1], seed=7)
        assert torch.equal(resumed.theta, whole.theta)
        np.testing.assert_array_equal(resumed.cost_curve, whole.cost_curve)
        np.testing.assert_array_equal(resumed.n_iter, whole.n_iter)


def test_denormals_are_flushed_during_training_only():
    X, y = examples(60)
    network, _ = start()
    tiny, seen = torch.full((1,), 1e-40), []
    observers = [lambda _: seen.append((tiny * 1.0).item())]
    fit(network, batches(X, y), max_iter=1, observers=observers)
    assert seen == [0]
    assert (tiny * 1.0).item() > 0
