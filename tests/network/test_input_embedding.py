"""Input embeddings: a first stage with parameters of its own, against autograd."""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from skdnn.data.batches import Batches, make_rows
from skdnn.data.encoding import identity_encoder
from skdnn.network import (
    LINEAR,
    LINEAR_LOSSES,
    LOSSES,
    InputEmbedding,
    InputMask,
    LinearEmbedding,
    Network,
    cost,
    get_activation,
    initialize,
)
from skdnn.training import TrainingConfig, make_optimizer, train


@dataclass(frozen=True)
class Periodic(InputEmbedding):
    """Trained frequencies: each of the first p inputs becomes d units of its sines and cosines.

    ``u_j [sin(2π f_j x_j); cos(2π f_j x_j)] + c_j`` with K frequencies, the periodic embedding of
    Gorishniy et al. 2022; other inputs follow. Some networks of a stack may do without it.
    """

    p: int
    K: int
    d: int
    is_used: torch.Tensor | None = field(default=None, compare=False)  # of shape (M, 1, 1)

    @property
    def n_parameters(self):
        return self.p * (self.K + 2 * self.K * self.d + self.d)

    @property
    def mask(self):
        """Return 0 for the embedded outputs of networks that do without."""
        if self.is_used is None:
            return None
        others = torch.ones((len(self.is_used), 1, 5 - self.p), dtype=self.is_used.dtype)
        return torch.cat([self.is_used.expand(-1, 1, self.p * self.d), others], dim=-1)

    def n_outputs(self, n_inputs):
        return n_inputs + self.p * (self.d - 1)

    def draw(self, generator):
        return super().draw(generator).normal_(generator=generator)

    def buffers(self, like, m):
        return [like.new_empty((*like.shape[:-1], self.p, 2 * self.K, m))]

    def forward(self, X, parameters, buffers, out):
        F, U, C = self.views(parameters)
        sines, cosines = buffers[0].split(self.K, dim=-2)
        torch.mul(X[..., : self.p, None, :], F, out=cosines).mul_(2 * math.pi)
        torch.sin(cosines, out=sines)
        cosines.cos_()
        embedded = (U @ buffers[0] + C).flatten(-3, -2)
        n = self.p * self.d
        out[..., :n, :] = embedded if self.is_used is None else embedded * self.is_used
        out[..., n:, :] = X[..., self.p :, :]
        return out

    def backward(self, dA, X, parameters, buffers, gradient):
        _, U, _ = self.views(parameters)
        dF, dU, dC = self.views(gradient)
        dE = dA[..., : self.p * self.d, :].unflatten(-2, (self.p, self.d))
        dC.copy_(dE.sum(-1, keepdim=True))
        dU.copy_(dE @ buffers[0].mT)
        d_sines, d_cosines = (U.mT @ dE).split(self.K, dim=-2)
        sines, cosines = buffers[0].split(self.K, dim=-2)
        angle = d_sines * cosines - d_cosines * sines
        dF.copy_(2 * math.pi * (angle * X[..., : self.p, None, :]).sum(-1, keepdim=True))

    def views(self, parameters):
        shapes = (self.p, self.K, 1), (self.p, self.d, 2 * self.K), (self.p, self.d, 1)
        parts = parameters.split([math.prod(shape) for shape in shapes], dim=-1)
        return [part.unflatten(-1, shape) for part, shape in zip(parts, shapes, strict=True)]

    def module(self, parameters):
        return PeriodicLayer(self, parameters)

    def part(self, members):
        is_used = None if self.is_used is None else self.is_used[members]
        return Periodic(self.p, self.K, self.d, is_used)

    def concatenated(self, embeddings):
        return Periodic(self.p, self.K, self.d, torch.cat([e.is_used for e in embeddings]))


class PeriodicLayer(torch.nn.Module):
    def __init__(self, embedding, parameters):
        super().__init__()
        self.embedding, self.parameter = embedding, torch.nn.Parameter(parameters.clone())

    def forward(self, X):
        return by_autograd(self.embedding, X.mT, self.parameter).mT


def by_autograd(embedding, X, parameters):
    """Return the outputs of an embedding, by formulas that autograd differentiates."""
    if isinstance(embedding, InputMask):
        return X * embedding.mask.mT
    stack = parameters.shape[:-1]
    if isinstance(embedding, LinearEmbedding):
        p, d = embedding.n_numbers, embedding.n_units
        V, C = parameters.reshape(*stack, 2, p * d, 1).unbind(-3)
        embedded = V * X[..., :p, :].repeat_interleave(d, dim=-2) + C
    else:
        p = embedding.p
        F, U, C = embedding.views(parameters)
        angle = 2 * math.pi * F * X[..., :p, None, :]
        embedded = U @ torch.cat([angle.sin(), angle.cos()], dim=-2) + C
        embedded = embedded.flatten(-3, -2)
        if embedding.is_used is not None:
            embedded = embedded * embedding.is_used
    others = X[..., p:, :].expand(*stack, *X[..., p:, :].shape[-2:])
    return torch.cat([embedded, others], dim=-2)


def as_tensor(values):
    return torch.tensor(values, dtype=torch.float64)


# By name: an embedding of 5 inputs, and how many networks there are.
EMBEDDINGS = {
    "linear": (LinearEmbedding(3, 4), None),
    "linear, all inputs": (LinearEmbedding(5, 2), None),
    "linear, stack": (LinearEmbedding(2, 3), 3),
    "periodic": (Periodic(3, 2, 4), None),
    "periodic, stack": (Periodic(3, 2, 4), 3),
    "periodic, not in all networks": (Periodic(3, 2, 4, as_tensor([[[1]], [[0]], [[1]]])), 3),
    "mask": (InputMask(as_tensor([[[1, 1, 1, 1, 1]], [[1, 0, 0, 1, 1]], [[0, 1, 1, 1, 0]]])), 3),
}
every_embedding = pytest.mark.parametrize("name", EMBEDDINGS)


def make(name, n_units=(6, 4), *, dropout=0.0, seed=0, **options):
    """Return a network of random parameters for 5 inputs."""
    embedding, n_networks = EMBEDDINGS[name]
    network = Network(
        (embedding.n_outputs(5), *n_units, 1),
        [get_activation("tanh")] * len(n_units),
        embedding=embedding,
        n_networks=n_networks,
        dropout=[dropout] * len(n_units),
        **options,
    )
    generators = [torch.Generator().manual_seed(seed + k) for k in range(n_networks or 1)]
    initialize(network, "auto", generators)
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


@pytest.mark.parametrize("name", ["linear", "periodic, stack"])
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
    network = make(name)
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


def test_linear_embeddings_start_within_one_over_the_root_of_their_units():
    drawn = LinearEmbedding(500, 16).draw(torch.Generator().manual_seed(0))
    assert drawn.abs().max().item() == pytest.approx(0.25, rel=1e-3)
    assert drawn.std().item() == pytest.approx(0.25 / math.sqrt(3), rel=0.02)


def test_weights_of_outputs_that_a_network_does_not_use_start_at_0():
    network = make("periodic, not in all networks", (300,))
    assert (network.W[1][1, :, :12] == 0).all()
    assert network.W[1][1, :, 12:].std().item() == pytest.approx(5 / 3 / math.sqrt(2), rel=0.05)
    assert network.W[1][0].std().item() == pytest.approx(5 / 3 / math.sqrt(14), rel=0.05)


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
        (embedding.n_outputs(5), 16, 1),
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


def test_training_fits_the_embedding():
    linear, linear_costs = trained(LinearEmbedding(3, 4), [0])
    periodic, periodic_costs = trained(Periodic(3, 4, 4), [0])
    for network in (linear, periodic):
        start = network.embedding.draw(torch.Generator().manual_seed(0))
        assert (network.embedding_parameters != start).all()
    assert periodic_costs[-1] < 0.1 * linear_costs[-1] < 0.1 * linear_costs[0]


@pytest.mark.parametrize("embedding", [LinearEmbedding(3, 4), Periodic(3, 2, 4)])
def test_a_stack_ends_with_the_results_of_separate_trainings(embedding):
    max_iter = [6, 3, 5]  # the networks leave the stack in turn
    stack, _ = trained(embedding, [0, 1, 2], n_networks=3, max_iter=tuple(max_iter))
    for k in range(3):
        separate, _ = trained(embedding, [k], max_iter=max_iter[k])
        torch.testing.assert_close(stack.theta[k], separate.theta, rtol=1e-9, atol=1e-12)


def test_embeddings_are_equal_if_their_networks_can_be_in_one_stack():
    assert LinearEmbedding(2, 3) == LinearEmbedding(2, 3) != LinearEmbedding(3, 2)
    assert hash(LinearEmbedding(2, 3)) == hash(LinearEmbedding(2, 3))
    some, others = InputMask(torch.ones(1, 1, 5)), InputMask(torch.zeros(2, 1, 5))
    assert some == others != LinearEmbedding(2, 3)
    assert hash(some) == hash(others)
    assert some.concatenated([some, others]).mask[:, 0, 0].tolist() == [1, 0, 0]
