"""Optimizers against torch.optim, step by step."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from skdnn.network import Network
from skdnn.training import OPTIMIZERS, SCHEDULES, _optimizers, make_optimizer, optimizer_kind

N_STEPS = 50


class Quadratic:
    """``J = |theta - goal|² / 2`` as an objective without a network."""

    def __init__(self, network, goal):
        self.network, self.goal = network, goal

    def compute_gradient(self):
        self.network.gradient.copy_(self.network.theta - self.goal)

    def cost(self):
        return ((self.network.theta - self.goal) ** 2).sum(-1) / 2


def make(n_networks=None):
    network = Network((3, 1), [], n_networks=n_networks)
    start = torch.randn(4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    network.theta.copy_(start)
    return network, Quadratic(network, torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64))


def run(network, objective, rate, optimizer, **options):
    optimizer = make_optimizer(optimizer, network, **options)
    for _ in range(N_STEPS):
        optimizer.step(objective, rate)
    return network.theta


def run_torch(make_torch, rate, weight_decay):
    """Run a torch optimizer with weight decay on the weights and none on the bias."""
    network, objective = make()
    weights = network.theta[:3].clone().requires_grad_()
    bias = network.theta[3:].clone().requires_grad_()
    groups = [
        {"params": [weights], "weight_decay": weight_decay},
        {"params": [bias], "weight_decay": 0.0},
    ]
    optimizer = make_torch(groups, rate)
    for _ in range(N_STEPS):
        weights.grad = (weights - objective.goal[:3]).detach()
        bias.grad = (bias - objective.goal[3:]).detach()
        optimizer.step()
    return torch.cat([weights, bias]).detach()


CASES = {
    "gradient descent": ("sgd", {}, lambda p, r: torch.optim.SGD(p, r)),
    "momentum": ("sgd", {"momentum": 0.9}, lambda p, r: torch.optim.SGD(p, r, momentum=0.9)),
    "nesterov": (
        "sgd",
        {"momentum": 0.9, "nesterov": True},
        lambda p, r: torch.optim.SGD(p, r, momentum=0.9, nesterov=True),
    ),
    "adam": ("adam", {}, lambda p, r: torch.optim.Adam(p, r)),
    "adamw": ("adamw", {}, lambda p, r: torch.optim.AdamW(p, r)),
}


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", [*CASES, "adam as written", "adamw as written"])
def test_optimizers_equal_those_of_torch(name, weight_decay, monkeypatch):
    if name.endswith(" as written"):  # as if torch had no fused kernel
        monkeypatch.setattr(_optimizers, "adam_step", _optimizers.adam_step_as_written)
    optimizer, options, make_torch = CASES[name.removesuffix(" as written")]
    network, objective = make()
    theta = run(network, objective, 0.03, optimizer, weight_decay=weight_decay, **options)
    torch.testing.assert_close(
        theta, run_torch(make_torch, 0.03, weight_decay), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", CASES)
def test_networks_of_a_stack_may_have_different_learning_rates(name, weight_decay):
    optimizer, options, _ = CASES[name]
    rates = torch.tensor([[0.001], [0.03], [0.1]], dtype=torch.float64)
    network, objective = make(n_networks=3)
    stack = run(network, objective, rates, optimizer, weight_decay=weight_decay, **options)
    for k, rate in enumerate(rates[:, 0].tolist()):
        separate = run(*make(), rate, optimizer, weight_decay=weight_decay, **options)
        torch.testing.assert_close(stack[k], separate, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", ["adam", "adamw", "adamw as written"])
@pytest.mark.parametrize(
    "rates",
    [[0.03] * 4, [0.03, 0.03, 0.1, 0.1], [0.1, 0.03, 0.03, 0.1], [0.0, 0.1, 0.03, 0.03]],
    ids=str,
)
def test_neighbours_of_equal_learning_rate_take_one_step_together(
    rates, name, weight_decay, monkeypatch
):
    if name.endswith(" as written"):
        monkeypatch.setattr(_optimizers, "adam_step", _optimizers.adam_step_as_written)
    taken, adam_step = [], _optimizers.adam_step

    def spy(theta, *arguments):
        taken.append((theta.shape[:-1].numel(), arguments[-1]))
        adam_step(theta, *arguments)

    monkeypatch.setattr(_optimizers, "adam_step", spy)
    network, objective = make(n_networks=4)
    objective.goal = objective.goal * torch.arange(1.0, 5, dtype=torch.float64).unsqueeze(-1)
    column = torch.tensor(rates, dtype=torch.float64).unsqueeze(-1)
    optimizer = name.removesuffix(" as written")
    stack = run(network, objective, column, optimizer, weight_decay=weight_decay)
    n_runs = 1 + sum(a != b for a, b in pairwise(rates))
    assert len(taken) == n_runs * N_STEPS
    assert [rate for n, rate in taken[:n_runs] for _ in range(n)] == rates
    for k, rate in enumerate(rates):
        network, separate = make()
        separate.goal = objective.goal[k]
        theta = run(network, separate, rate, optimizer, weight_decay=weight_decay)
        torch.testing.assert_close(stack[k], theta, rtol=1e-10, atol=1e-12)


def test_momentum_and_weight_decay_may_differ_in_a_stack():
    momentum = torch.tensor([[0.0], [0.9]], dtype=torch.float64)
    decay = torch.tensor([[0.1], [0.0]], dtype=torch.float64)
    network, objective = make(n_networks=2)
    stack = run(network, objective, 0.03, "sgd", momentum=momentum, weight_decay=decay)
    for k in (0, 1):
        options = {"momentum": momentum[k].item(), "weight_decay": decay[k].item()}
        separate = run(*make(), 0.03, "sgd", **options)
        torch.testing.assert_close(stack[k], separate, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("optimizer_class", [torch.optim.Adam, torch.optim.RMSprop])
def test_a_torch_optimizer_updates_the_network(optimizer_class):
    network, objective = make()
    theta = run(network, objective, 0.03, optimizer_class)
    expected = run_torch(lambda p, r: optimizer_class(p, r), 0.03, 0.0)
    torch.testing.assert_close(theta, expected, rtol=1e-10, atol=1e-12)


def test_a_torch_optimizer_may_evaluate_cost_and_gradient_several_times():
    network, objective = make()
    run(network, objective, 1.0, torch.optim.LBFGS)
    torch.testing.assert_close(network.theta, objective.goal, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "optimizer_class", [torch.optim.SGD, torch.optim.RMSprop, torch.optim.LBFGS]
)
def test_a_torch_optimizer_updates_each_network_of_a_stack_separately(optimizer_class):
    starts = torch.arange(12, dtype=torch.float64).reshape(3, 4) / 6
    stack, objective = make(3)
    stack.theta.copy_(starts)
    rates = torch.tensor([[0.1], [0.2], [0.5]], dtype=torch.float64)
    run(stack, objective, rates, optimizer_class, weight_decay=0.1)
    for theta, start, rate in zip(stack.theta, starts, rates, strict=True):
        separate, objective = make()
        separate.theta.copy_(start)
        run(separate, objective, rate.item(), optimizer_class, weight_decay=0.1)
        torch.testing.assert_close(theta, separate.theta, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("optimizer_class", [torch.optim.SparseAdam, lambda p: None])
def test_the_error_names_a_torch_optimizer_that_cannot_train(optimizer_class):
    network, objective = make()
    with pytest.raises(ValueError, match=r"optimizer must be .* but (SparseAdam|<lambda>) raised"):
        run(network, objective, 0.1, optimizer_class)


def test_weight_decay_does_not_change_biases():
    network, objective = make()
    objective.compute_gradient = lambda: network.gradient.zero_()
    bias = network.b[1].clone()
    run(network, objective, 0.1, "sgd", weight_decay=1.0)
    assert network.W[1].abs().max().item() < 0.02
    torch.testing.assert_close(network.b[1], bias, rtol=0, atol=0)


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, torch.optim.RMSprop])
def test_an_optimizer_has_a_state_and_options_as_its_kind_says(optimizer):
    kind = optimizer_kind(optimizer)
    network, _ = make()
    made = make_optimizer(optimizer, network, momentum=0.5, nesterov=True)
    assert bool(made.state()) == kind.has_state
    assert {name: getattr(made, name) for name in kind.options} == (
        {"momentum": 0.5, "nesterov": True} if optimizer == "sgd" else {}
    )
    assert kind.default_schedule in SCHEDULES


IMPOSSIBLE = {
    "n_steps 4 after 3 steps": lambda state: {**state, "n_steps": 4},
    "mean that is not finite": lambda state: {**state, "mean": state["mean"] * np.nan},
    "square with numbers below 0": lambda state: {**state, "square": -state["square"] - 1},
}


@pytest.mark.parametrize("fault", IMPOSSIBLE)
@pytest.mark.parametrize("weight_averaging", [0.0, 0.9])
def test_adam_says_what_is_impossible_in_a_state(fault, weight_averaging):
    network, objective = make(n_networks=2)
    optimizer = make_optimizer("adam", network, weight_averaging=weight_averaging)
    for _ in range(3):
        optimizer.step(objective, 0.1)
    state = optimizer.state()
    active, stopped = np.array([True, True]), np.array([False, False])
    assert list(optimizer.contradictions(state, 3, active)) == []
    bad = IMPOSSIBLE[fault](state["rule"] if weight_averaging else state)
    bad = {**state, "rule": bad} if weight_averaging else bad
    assert list(optimizer.contradictions(bad, 3, active)) == [fault]
    # The tensors of networks that have stopped are no longer used.
    assert list(optimizer.contradictions(bad, 3, stopped)) == [fault] * ("n_steps" in fault)
