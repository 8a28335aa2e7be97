"""Activation functions and their derivatives, built-in and custom."""

import numpy as np
import pytest
import reference
import torch
from scipy.integrate import quad

from skdnn.network import ACTIVATIONS, get_activation

# PyTorch defines other gains for them than 1 / sqrt(E[g(z)²]).
CUSTOMARY_GAINS = {"sigmoid", "tanh"}
Z = torch.tensor([-30.0, -3.0, -0.5, -1e-3, 0.0, 1e-3, 0.7, 2.0, 30.0], dtype=torch.float64)


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
def test_values_and_derivatives_equal_the_reference(name):
    activation = get_activation(name)
    g, g_prime = reference.ACTIVATIONS[name]
    A = activation.forward(Z, torch.empty_like(Z))
    dZ = activation.backward(torch.full_like(Z, 3.0), Z, A, torch.empty_like(Z))
    np.testing.assert_allclose(A, [g(z) for z in Z.tolist()], rtol=1e-12, atol=1e-15)
    away_from_kink = Z != 0
    expected = np.array([3 * g_prime(z) for z in Z.tolist()])
    np.testing.assert_allclose(
        dZ[away_from_kink], expected[away_from_kink.numpy()], rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
def test_derivative_equals_finite_differences(name):
    activation, h = ACTIVATIONS[name], 1e-6
    z = torch.tensor([-2.0, -0.3, 0.4, 1.5], dtype=torch.float64)
    A = activation.forward(z, torch.empty_like(z))
    above = activation.forward(z + h, torch.empty_like(z))
    below = activation.forward(z - h, torch.empty_like(z))
    dZ = activation.backward(torch.ones_like(z), z, A, torch.empty_like(z))
    np.testing.assert_allclose(dZ, (above - below) / (2 * h), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
def test_module_computes_the_same_function(name):
    activation = ACTIVATIONS[name]
    np.testing.assert_allclose(
        activation.module()(Z), activation.forward(Z, torch.empty_like(Z)), rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
def test_extreme_inputs_give_finite_derivatives(name):
    activation = ACTIVATIONS[name]
    z = torch.tensor([-1e30, -1e4, 1e4, 1e30])
    A = activation.forward(z, torch.empty_like(z))
    dZ = activation.backward(torch.ones_like(z), z, A, torch.empty_like(z))
    assert torch.isfinite(A).all()
    assert torch.isfinite(dZ).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", reference.ACTIVATIONS)
def test_kernels_equal_the_formulas(name, dtype):
    g = ACTIVATIONS[name]
    z = torch.linspace(-9, 9, 401, dtype=dtype)
    out = torch.empty_like(z) if g.reads_Z else z.clone()  # A may overwrite Z
    A = g.forward(z if g.reads_Z else out, out)
    digits = 1e-5 if dtype is torch.float32 else 1e-10
    tolerances = {"rtol": digits, "atol": digits / 10}
    torch.testing.assert_close(A, g.function(z), **tolerances)
    dA = torch.linspace(1, 2, 401, dtype=dtype)
    expected = dA * g.derivative(z)
    torch.testing.assert_close(g.backward(dA, z, A, torch.empty_like(z)), expected, **tolerances)
    torch.testing.assert_close(g.backward(dA, z, A, dA), expected, **tolerances)  # in place


def test_the_reference_has_every_activation():
    assert set(reference.ACTIVATIONS) == {activation.name for activation in ACTIVATIONS.values()}


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
def test_gain_keeps_the_second_moment_of_a_normal_input(name):
    g = reference.ACTIVATIONS[name][0]
    if name in CUSTOMARY_GAINS:
        expected = torch.nn.init.calculate_gain(name) ** 2
    else:
        halves = [
            quad(lambda z: g(z) ** 2 * reference.normal_density(z), *limits)[0]
            for limits in ((-20, 0), (0, 20))  # separately, for a kink at 0
        ]
        expected = 1 / sum(halves)
    assert ACTIVATIONS[name].gain == pytest.approx(expected, rel=2e-3)


def test_scikit_learns_names_are_synonyms():
    assert ACTIVATIONS["logistic"] is ACTIVATIONS["sigmoid"]
    assert ACTIVATIONS["linear"] is ACTIVATIONS["identity"]


@pytest.mark.parametrize(
    ("own", "same_as"),
    [
        (torch.tanh, "tanh"),
        (torch.nn.SiLU, "silu"),
        (torch.nn.LeakyReLU(0.01), "leaky_relu"),
        (lambda Z: Z / (1 + torch.exp(-Z)), "silu"),
    ],
)
def test_the_derivative_of_a_custom_activation_is_computed_by_torch(own, same_as):
    z = torch.linspace(-3, 3, 12, dtype=torch.float64).reshape(3, 4)
    dA = torch.arange(12.0, dtype=torch.float64).reshape(3, 4)
    results = []
    for activation in (get_activation(own), ACTIVATIONS[same_as]):
        A = activation.forward(z, torch.empty_like(z))
        results.append((A, activation.backward(dA, z, A, torch.empty_like(z))))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-12)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-10)


def test_a_custom_activation_may_use_all_units_of_a_row():
    softmax = get_activation(lambda Z: torch.softmax(Z, dim=-1))
    rows = torch.tensor([[0.1, -0.4, 0.9]], dtype=torch.float64, requires_grad=True)
    dA = torch.tensor([[1.0], [2.0], [-1.0]], dtype=torch.float64)
    torch.softmax(rows, dim=-1).backward(dA.T)
    dZ = softmax.backward(dA, rows.detach().T, None, torch.empty(3, 1, dtype=torch.float64))
    np.testing.assert_allclose(dZ.T, rows.grad, rtol=1e-12)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("rleu", "activation must be one of .*got 'rleu'"),
        (torch.nn.PReLU, "no parameters of its own.*PReLU"),
        (lambda Z: Z.sum(-1), r"shape and dtype of its input, \(2, 3\)"),
        (lambda Z: Z.float(), "shape and dtype of its input"),
        (lambda Z: [1.0, 2.0], "differentiable function of a tensor"),
        (lambda Z: Z.numpy(), "differentiable function of a tensor"),
        (lambda Z: Z.no_such_method(), "raised: .*no_such_method"),
    ],
)
def test_an_invalid_activation_raises_an_error(bad, message):
    with pytest.raises(ValueError, match=message):
        get_activation(bad)
