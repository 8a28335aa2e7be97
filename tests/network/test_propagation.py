"""Forward and backward propagation against loops, autograd and finite differences."""

import numpy as np
import pytest
import reference
import torch

from skdnn.network import (
    ACTIVATIONS,
    LINEAR,
    LINEAR_LOSSES,
    LOSSES,
    Network,
    cost,
    get_activation,
    initialize,
    quantile_loss,
)

SIZES = {1: (5, 1), 2: (5, 4, 1), 3: (5, 4, 3, 1), 5: (5, 4, 3, 6, 2, 1)}
UNIQUE_NAMES = sorted({activation.name for activation in ACTIVATIONS.values()})


def make(sizes, activation="tanh", *, n_networks=None, rates=None, seed=0):
    """Return a network of random weights and biases."""
    activations = [get_activation(activation)] * (len(sizes) - 2)
    network = Network(sizes, activations, n_networks=n_networks, dropout=rates)
    generator = torch.Generator().manual_seed(seed)
    network.theta.normal_(generator=generator).mul_(0.6)
    return network


def data(m=7, n=5, stack=(), seed=1):
    """Return random [X; 1], labels and weights, an example in each column; one weight is 0."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn((*stack, n, m), dtype=torch.float64, generator=generator)
    y = torch.randint(2, (*stack, 1, m), generator=generator).double()
    weight = torch.rand((*stack, 1, m), dtype=torch.float64, generator=generator)
    weight[..., m // 3] *= m == 1  # 0, unless it is the only example
    X = torch.cat([X, torch.ones_like(X[..., :1, :])], dim=-2)
    return X, y, weight / weight.sum(-1, keepdim=True)


def arrays(network):
    W, b = network.arrays()
    return [w.astype(float) for w in W], b


def autograd(network, X, y, weight, loss, masks):
    """Return the gradient by autograd, with the functions of torch.nn."""
    theta = network.theta.clone().requires_grad_()
    _, W, b, _ = network.views(theta)
    A = X[..., :-1, :]
    for l in range(1, network.n_layers + 1):
        Z = W[l] @ A + b[l]
        if l < network.n_layers:
            A = network.activations[l].module()(Z)
            A = A if masks[l] is None else A * masks[l]
    (weight * loss.value(Z, y)).sum().backward()
    return theta.grad


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n_layers", SIZES)
@pytest.mark.parametrize("activation", UNIQUE_NAMES)
def test_logits_and_gradients_equal_the_reference(activation, n_layers, loss):
    network = make(SIZES[n_layers], activation)
    X, y, weight = data()
    Z = network.propagate(X, y, weight, LOSSES[loss])
    W, b = arrays(network)
    rows = X[:-1].T.numpy()
    np.testing.assert_allclose(Z[0], reference.logits(rows, W, b, activation), rtol=1e-11)
    derivative = reference.LOSSES[loss][1]
    dW, db = reference.gradients(
        rows, y[0].numpy(), weight[0].numpy(), W, b, activation, derivative
    )
    for l in range(1, n_layers + 1):
        np.testing.assert_allclose(network.dW[l].T, dW[l - 1], rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(network.db[l][:, 0], db[l - 1], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(
    ("loss", "dropout", "n_networks"),
    [
        ("log_loss", 0.0, None),
        ("squared_error", 0.4, None),
        ("squared_error", 0.0, 3),
        ("log_loss", 0.4, 3),
    ],
)
@pytest.mark.parametrize("m", [7, 3])  # more and fewer examples than units of a layer
@pytest.mark.parametrize("n_layers", SIZES)
@pytest.mark.parametrize("activation", [*UNIQUE_NAMES, torch.nn.Softplus, torch.sin])
def test_gradient_equals_autograd(activation, n_layers, m, loss, dropout, n_networks):
    network = make(
        SIZES[n_layers], activation, n_networks=n_networks, rates=[dropout] * (n_layers - 1)
    )
    generators = [torch.Generator().manual_seed(k) for k in range(n_networks or 1)]
    for m_of_batch in (m, m - 1, m):  # the smaller batch uses the buffers of the larger one
        X, y, weight = data(m_of_batch, stack=() if n_networks is None else (n_networks,))
        network.propagate(X, y, weight, LOSSES[loss], generators)
        masks = network._cache(m_of_batch).D
        expected = autograd(network, X, y, weight, LOSSES[loss], masks)
        torch.testing.assert_close(network.gradient, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("name", LINEAR_LOSSES)
@pytest.mark.parametrize("n_networks", [None, 2])
def test_the_gradient_of_several_outputs_is_that_of_the_mean_loss(n_networks, name, n_outputs):
    activations = [get_activation("tanh")]
    network = Network((5, 4, n_outputs), activations, output=LINEAR, n_networks=n_networks)
    network.theta.normal_(generator=torch.Generator().manual_seed(0))
    X, _, weight = data(stack=() if n_networks is None else (n_networks,))
    y = torch.randn(
        (*X.shape[:-2], n_outputs, 7), dtype=X.dtype, generator=torch.Generator().manual_seed(2)
    )
    loss = quantile_loss(0.3) if name == "quantile" else LINEAR_LOSSES[name]
    Z = network.propagate(X, y, weight, loss)
    expected = autograd(network, X, y, weight, loss, [None] * 3)
    torch.testing.assert_close(network.gradient, expected, rtol=0, atol=1e-12)
    value, derivative = reference.LINEAR_LOSSES[name]
    if n_networks is None:
        W, b = arrays(network)
        dW, _ = reference.gradients(
            X[:-1].T.numpy(), y.T.numpy(), weight[0].numpy(), W, b, "tanh", derivative
        )
        np.testing.assert_allclose(network.dW[1].T, dW[0], rtol=1e-9, atol=1e-13)
    of_each_output = np.vectorize(value)(Z.numpy(), y.numpy())
    np.testing.assert_allclose(
        cost(loss, Z, y, weight),
        (weight.numpy() * of_each_output).mean(axis=-2).sum(axis=-1),
        rtol=1e-12,
    )


def test_linear_layers_in_a_row_are_one_linear_layer():
    network = Network((5, 4, 3, 1), [ACTIVATIONS["identity"]] * 2, output=LINEAR)
    network.theta.normal_(generator=torch.Generator().manual_seed(0))
    X, _, _ = data()
    W = network.W[3] @ network.W[2] @ network.W[1]
    b = network.W[3] @ (network.W[2] @ network.b[1] + network.b[2]) + network.b[3]
    torch.testing.assert_close(network.raw_predict(X), W @ X[:-1] + b)


def test_gradient_equals_finite_differences():
    network = make(SIZES[3], "gelu")
    X, y, weight = data()
    network.propagate(X, y, weight, LOSSES["log_loss"])
    expected, h = network.gradient.clone(), 1e-6
    for i in range(network.n_parameters):
        J = []
        for shift in (h, -2 * h):
            network.theta[i] += shift
            J.append(cost(LOSSES["log_loss"], network.raw_predict(X), y, weight).item())
        network.theta[i] += h
        assert (J[0] - J[1]) / (2 * h) == pytest.approx(expected[i].item(), rel=5e-6, abs=1e-9)


def test_each_hidden_layer_may_have_its_own_activation():
    names = ["relu", "tanh", "sigmoid"]
    network = Network((2, 3, 4, 2, 1), [ACTIVATIONS[name] for name in names])
    network.theta.normal_(generator=torch.Generator().manual_seed(0))
    X, y, weight = data(n=2)
    network.propagate(X, y, weight, LOSSES["log_loss"])
    expected = autograd(network, X, y, weight, LOSSES["log_loss"], [None] * 5)
    torch.testing.assert_close(network.gradient, expected, rtol=0, atol=1e-10)


def test_extreme_inputs_give_a_finite_gradient():
    network = make(SIZES[3], "relu")
    X, y, weight = data()
    X[:-1] *= 1e6
    network.propagate(X, y, weight, LOSSES["log_loss"])
    assert torch.isfinite(network.gradient).all()


def test_a_stack_computes_what_its_networks_compute_separately():
    stack = make(SIZES[3], n_networks=4)
    X, y, weight = data(stack=(4,))
    Z = stack.propagate(X, y, weight, LOSSES["log_loss"]).clone()
    for k in range(4):
        separate = make(SIZES[3])
        separate.theta.copy_(stack.theta[k])
        found = separate.propagate(X[k], y[k], weight[k], LOSSES["log_loss"])
        torch.testing.assert_close(found, Z[k])
        torch.testing.assert_close(separate.gradient, stack.gradient[k])


def test_a_stack_may_share_examples_of_two_axes():
    stack = make(SIZES[3], n_networks=4)
    X, y, weight = data()
    expanded = stack.propagate(X.expand(4, 6, 7), y, weight, LOSSES["log_loss"]).clone()
    gradient = stack.gradient.clone()
    torch.testing.assert_close(stack.propagate(X, y, weight, LOSSES["log_loss"]), expanded)
    torch.testing.assert_close(stack.gradient, gradient)


def test_dropout_keeps_the_expected_activation():
    network = make((5, 20000, 1), "sigmoid", rates=[0.3])
    X, y, weight = data(m=1)
    network.propagate(X, y, weight, LOSSES["log_loss"], [torch.Generator().manual_seed(9)])
    cache = network._cache(1)
    assert set(cache.D[1].unique().tolist()) == {0.0, 1 / 0.7}
    assert cache.A[1].mean().item() == pytest.approx(cache.G[1].mean().item(), rel=0.02)


def test_dropout_is_off_outside_of_training():
    with_dropout, without = make(SIZES[3], rates=[0.5, 0.5]), make(SIZES[3])
    X, *_ = data()
    torch.testing.assert_close(with_dropout.raw_predict(X), without.raw_predict(X), rtol=0, atol=0)


def test_predictions_of_many_examples_do_not_depend_on_the_chunks():
    network = make((5, 700, 1))
    X, *_ = data(m=2000)
    one_by_one = torch.cat(
        [network.raw_predict(X[:, i : i + 1]) for i in range(0, 2000, 97)], dim=1
    )
    torch.testing.assert_close(network.raw_predict(X)[:, ::97], one_by_one)


def test_permuting_hidden_units_changes_nothing():
    network = make(SIZES[2])
    X, *_ = data()
    before, order = network.raw_predict(X), torch.tensor([2, 0, 3, 1])
    network.Wb[1].copy_(network.Wb[1][order].clone())
    network.W[2].copy_(network.W[2][:, order].clone())
    torch.testing.assert_close(network.raw_predict(X), before)


def test_parameters_are_views_of_one_flat_tensor():
    network = make(SIZES[3])
    network.theta.zero_()
    assert all((W == 0).all() for W in network.W[1:] + network.b[1:])
    network.W[2].fill_(1)
    assert network.theta.sum().item() == network.W[2].numel()
    assert network.n_parameters == 5 * 4 + 4 + 4 * 3 + 3 + 3 * 1 + 1


@pytest.mark.parametrize("n_layers", SIZES)
def test_module_gives_the_probabilities(n_layers):
    network = make(SIZES[n_layers], "silu")
    X, *_ = data()
    P = network.to_module()(X[:-1].T)
    assert P.shape == (7,)
    torch.testing.assert_close(P, torch.sigmoid(network.raw_predict(X))[0])


def test_each_network_is_initialised_by_its_own_generator():
    stack = Network((4, 3, 1), [ACTIVATIONS["relu"]], n_networks=2)
    initialize(stack, "auto", [torch.Generator().manual_seed(k) for k in (5, 6)])
    for k in (0, 1):
        separate = Network((4, 3, 1), [ACTIVATIONS["relu"]])
        initialize(separate, "auto", [torch.Generator().manual_seed(5 + k)])
        torch.testing.assert_close(separate.theta, stack.theta[k], rtol=0, atol=0)
