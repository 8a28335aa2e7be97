"""Input embeddings: a first stage with parameters of its own, against autograd."""

import math

import numpy as np
import pytest
import torch

from skdnn.data.batches import Batches, make_rows
from skdnn.data.encoding import identity_encoder
from skdnn.network import (
    LINEAR,
    LINEAR_LOSSES,
    LOSSES,
    Network,
    PeriodicEmbedding,
    cost,
    get_activation,
    initialize,
)
from skdnn.training import TrainingConfig, make_optimizer, train


def by_autograd(embedding, X, parameters):
    """Return the outputs of an embedding, by formulas that autograd differentiates."""
    stack, p = parameters.shape[:-1], len(embedding.inputs)
    w, b, a = parameters.reshape(*stack, 3, p, 1).unbind(-3)
    X = X.expand(*stack, *X.shape[-2:])
    cosines = a * torch.cos(2 * math.pi * (w * X[..., embedding.inputs, :] + b))
    kept = X[..., embedding.start : embedding.stop, :]
    zeros = torch.zeros_like(kept[..., p:, :])
    replaced = torch.cat([cosines, zeros], dim=-2)
    if isinstance(embedding.is_user, torch.Tensor):
        replaced = torch.where(embedding.is_user.bool(), replaced, kept)
    parts = X[..., : embedding.start, :], replaced, X[..., embedding.stop :, :]
    return torch.cat(parts, dim=-2)


def as_tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def of_two_kinds(is_user):
    """Return an embedding that replaces inputs 2 to 4 by cosines and a 0 in some networks."""
    is_user = as_tensor(is_user)[:, None, None]
    mask = torch.ones(len(is_user), 1, 5, dtype=torch.float64)
    mask[:, :, 4:] -= is_user
    return PeriodicEmbedding((0, 1), 2, 5, is_user, mask)


# By name: an embedding of 5 inputs, and how many networks there are.
EMBEDDINGS = {
    "all": (PeriodicEmbedding((0, 0, 1), 2, 5), None),
    "with a zero": (PeriodicEmbedding((1, 4), 1, 4), None),
    "stack": (PeriodicEmbedding((0, 0, 1), 2, 5), 3),
    "in some networks": (of_two_kinds([1, 0, 1]), 3),
}
every_embedding = pytest.mark.parametrize("name", EMBEDDINGS)


def make(name, n_units=(6, 4), *, dropout=0.0, seed=0, draws_all=True, **options):
    """Return a network of random parameters for 5 inputs."""
    embedding, n_networks = EMBEDDINGS[name]
    network = Network(
        (5, *n_units, 1),
        [get_activation("tanh")] * len(n_units),
        embedding=embedding,
        n_networks=n_networks,
        dropout=[dropout] * len(n_units),
        **options,
    )
    generators = [torch.Generator().manual_seed(seed + k) for k in range(n_networks or 1)]
    initialize(network, "auto", generators)
    if draws_all:  # b and a, which start at 0; a stays 0 in networks without cosines
        generator = torch.Generator().manual_seed(9)
        parameters = network.embedding_parameters.unflatten(-1, (3, -1))
        parameters.copy_(torch.randn(parameters.shape, generator=generator, dtype=torch.float64))
        parameters[..., 2:, :].mul_(embedding.is_user)
    return network


def examples(network, m=7, shared=False):
    """Return random [X; 1], labels and weights, an example a column."""
    generator = torch.Generator().manual_seed(1)
    stack = () if network.n_networks is None or shared else (network.n_networks,)
    rows = torch.randn((*stack, m, 6), dtype=network.theta.dtype, generator=generator)
    rows[..., -1] = 1
    y = torch.randint(2, (*stack, 1, m), generator=generator).to(rows.dtype)
    return rows.mT, y, torch.full_like(y, 1 / m)


def logits(network, X, theta, masks=None):
    """Return Z[L] by formulas that autograd differentiates."""
    _, W, b, parameters = network.views(theta)
    A = by_autograd(network.embedding, X[..., :-1, :], parameters)
    for l in range(1, network.n_layers + 1):
        Z = W[l] @ A + b[l]
        A = Z.tanh() if masks is None or masks[l] is None else Z.tanh() * masks[l]
    return Z


@every_embedding
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("n_units", [(), (6,), (6, 4, 5)])
@pytest.mark.parametrize("shared", [False, True])
def test_gradient_equals_autograd(name, n_units, dropout, shared):
    network = make(name, n_units, dropout=dropout)
    generators = [torch.Generator().manual_seed(k) for k in range(network.n_networks or 1)]
    for m in (7, 4, 9):  # a smaller batch uses the buffers of a larger one
        X, y, weight = examples(network, m, shared)
        Z = network.propagate(X, y, weight, LOSSES["log_loss"], generators).clone()
        masks = network._cache(m).D
        theta = network.theta.clone().requires_grad_()
        expected_Z = logits(network, X, theta, masks)
        (weight * LOSSES["log_loss"].value(expected_Z, y)).sum().backward()
        torch.testing.assert_close(Z, expected_Z.detach(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(network.gradient, theta.grad, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["with a zero", "stack"])
def test_gradient_equals_finite_differences(name):
    network = make(name)
    X, y, weight = examples(network)
    network.propagate(X, y, weight, LOSSES["log_loss"])
    expected, h = network.gradient.clone(), 1e-6
    for i in range(network.n_parameters):
        J = []
        for shift in (h, -2 * h):
            network.theta[..., i] += shift
            J.append(cost(LOSSES["log_loss"], network.raw_predict(X), y, weight))
        network.theta[..., i] += h
        torch.testing.assert_close((J[0] - J[1]) / (2 * h), expected[..., i], rtol=5e-6, atol=1e-9)


@every_embedding
def test_predictions_and_module_are_those_of_the_formulas(name):
    network = make(name)
    X, *_ = examples(network, 50, shared=True)
    Z = network.raw_predict(X)
    torch.testing.assert_close(Z, logits(network, X, network.theta))
    torch.testing.assert_close(network.raw_predict(X[..., :1]), Z[..., :1])
    P = network.to_module()(X[:-1].T).detach()
    of_each = torch.sigmoid(Z)[..., 0, :]
    torch.testing.assert_close(P, of_each.mean(0) if Z.ndim == 3 else of_each)


@every_embedding
def test_a_twin_has_a_gradient_of_its_own(name):
    network = make(name)
    X, y, weight = examples(network)
    twin = network.twin()
    twin.propagate(X, y, weight, LOSSES["log_loss"])
    assert (network.gradient == 0).all()
    network.propagate(X, y, weight, LOSSES["log_loss"])
    torch.testing.assert_close(twin.gradient, network.gradient, rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in EMBEDDINGS if EMBEDDINGS[name][1]])
@pytest.mark.parametrize("members", [[1, 2], [0], 1])
def test_a_part_computes_what_its_networks_compute_in_the_stack(name, members):
    stack = make(name)
    X, y, weight = examples(stack)
    Z = stack.propagate(X, y, weight, LOSSES["log_loss"])[members].clone()
    part = stack.part(members)
    found = part.propagate(X[members], y[members], weight[members], LOSSES["log_loss"])
    torch.testing.assert_close(found, Z)
    torch.testing.assert_close(part.gradient, stack.gradient[members])


@every_embedding
def test_parameters_follow_those_of_the_layers_and_start_from_the_generators(name):
    network = make(name, draws_all=False)
    n_weights = sum(Wb[0].numel() if network.n_networks else Wb.numel() for Wb in network.Wb[1:])
    assert network.n_parameters == n_weights + network.embedding.n_parameters
    assert network.embedding_parameters.shape[-1] == network.embedding.n_parameters
    without = Network(network.layer_sizes, network.activations[1:-1])
    for k, theta in enumerate(network.members(network.theta)):
        generator = torch.Generator().manual_seed(k)
        initialize(without, "auto", [generator])
        expected = [*without.theta[n_weights - 30 :], *network.embedding.draw(generator)]
        # The weights of the first layer may be masked.
        torch.testing.assert_close(theta[n_weights - 30 :], torch.stack(expected), rtol=0, atol=0)


def test_cosines_start_with_slow_waves_and_amplitudes_of_0():
    w, b, a = (
        PeriodicEmbedding((0,) * 5000, 1, 1).draw(torch.Generator().manual_seed(0)).split(5000)
    )
    assert w.mean().item() == pytest.approx(0, abs=0.01)
    assert w.std().item() == pytest.approx(0.3, rel=0.02)
    assert (b == 0).all()
    assert (a == 0).all()


def test_inputs_that_a_network_replaces_by_zeros_do_not_count_for_its_first_weights():
    network = make("in some networks", (300,))
    assert (network.W[1][::2, :, 4] == 0).all()
    assert network.W[1][0, :, :4].std().item() == pytest.approx(5 / 3 / 2, rel=0.05)
    assert network.W[1][1].std().item() == pytest.approx(5 / 3 / math.sqrt(5), rel=0.05)


def test_the_inputs_that_are_replaced_change_no_prediction():
    network = make("in some networks")
    X, *_ = examples(network, 20, shared=True)
    before = network.raw_predict(X)
    X[2:5] = 7
    differs = (network.raw_predict(X) != before).flatten(1).any(dim=1)
    assert differs.tolist() == [False, True, False]


def waves(n_networks=None):
    """Return Batches of a target that oscillates four times over the range of the first input."""
    X = np.random.default_rng(0).uniform(-1, 1, (400, 5))
    y = np.sin(2 * np.pi * 2 * X[:, 0])[:, np.newaxis]
    index = None if n_networks is None else np.tile(np.arange(400), (n_networks, 1))
    encoder = identity_encoder(5)
    rows = make_rows(X, np.arange(400), encoder, torch.float64, torch.device("cpu"))
    y = y if index is None else y[index]
    weight = np.ones(400) if index is None else np.ones(index.shape)
    return Batches(rows, y, weight, torch.float64, batch_size=50, index=index)


def trained(embedding, seeds, *, n_networks=None, max_iter=60):
    network = Network(
        (5, 16, 1),
        [get_activation("relu")],
        output=LINEAR,
        embedding=embedding,
        n_networks=n_networks,
    )
    initialize(network, "auto", [torch.Generator().manual_seed(seed) for seed in seeds])
    config = TrainingConfig(
        "adam", LINEAR_LOSSES["squared_error"], learning_rate=0.01, max_iter=max_iter
    )
    result = train(network, waves(n_networks), make_optimizer(config, network), config)
    return network, result.cost_curve


def test_training_finds_the_waves_of_the_target():
    _, costs = trained(PeriodicEmbedding((), 1, 1), [0])
    network, periodic_costs = trained(PeriodicEmbedding((0,) * 4, 1, 5), [0])
    assert (network.embedding_parameters != 0).all()
    assert periodic_costs[-1] < 0.1 * costs[-1]


@pytest.mark.parametrize("is_user", [None, [1, 0, 1]])
def test_a_stack_ends_with_the_results_of_separate_trainings(is_user):
    max_iter = [6, 3, 5]  # the networks leave the stack in turn
    embedding = PeriodicEmbedding((0, 1), 2, 5) if is_user is None else of_two_kinds(is_user)
    stack, _ = trained(embedding, [0, 1, 2], n_networks=3, max_iter=tuple(max_iter))
    for k in range(3):
        separate, _ = trained(embedding.part(k), [k], max_iter=max_iter[k])
        torch.testing.assert_close(stack.theta[k], separate.theta, rtol=1e-9, atol=1e-12)


def test_embeddings_are_equal_if_their_networks_can_be_in_one_stack():
    some, others = of_two_kinds([1, 0]), of_two_kinds([0, 1, 1])
    assert some == others != PeriodicEmbedding((0, 1, 1), 2, 5)
    assert hash(some) == hash(others)
    larger = some.concatenated([some, others])
    assert larger.is_user.flatten().tolist() == [1, 0, 0, 1, 1]
    assert larger.mask[:, 0, 4].tolist() == [0, 1, 1, 0, 0]
