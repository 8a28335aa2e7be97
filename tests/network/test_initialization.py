"""Initial weights: their size, symmetry and saturation."""

import numpy as np
import pytest
import torch

from skdnn.network import (
    ACTIVATIONS,
    LOSSES,
    Network,
    PeriodicEmbedding,
    initialize,
    is_saturated,
    is_symmetric,
)


def start(init_scale, sizes=(50, 40, 30, 1), activation="relu"):
    network = Network(sizes, [ACTIVATIONS[activation]] * (len(sizes) - 2))
    initialize(network, init_scale, [torch.Generator().manual_seed(0)])
    return network


def examples(n, m):
    """Return random [X; 1], an example a column."""
    X = torch.randn(n, m, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return torch.cat([X, torch.ones_like(X[:1])])


def test_a_number_is_the_standard_deviation_of_all_weights():
    network = start(0.01, sizes=(300, 200, 1))
    assert network.W[1].std().item() == pytest.approx(0.01, rel=0.02)
    assert abs(network.W[1].mean().item()) < 1e-4


@pytest.mark.parametrize(("activation", "gain"), [("relu", 2.0), ("tanh", 25 / 9), ("selu", 1.0)])
def test_auto_is_the_root_of_gain_over_inputs(activation, gain):
    network = start("auto", sizes=(500, 400, 1), activation=activation)
    assert network.W[1].std().item() == pytest.approx(np.sqrt(gain / 500), rel=0.02)
    assert network.W[2].std().item() == pytest.approx(np.sqrt(1 / 400), rel=0.1)


@pytest.mark.parametrize(("init_scale", "scale"), [("auto", np.sqrt(2 / 100)), (0.01, 0.01)])
def test_masked_inputs_have_weight_zero_and_do_not_count_as_inputs(init_scale, scale):
    network = Network((400, 300, 1), [ACTIVATIONS["relu"]], n_networks=2)
    mask = torch.ones((2, 1, 400), dtype=torch.float64)
    mask[1, :, 100:] = 0
    network.embedding = PeriodicEmbedding((), 100, 400, mask=mask)
    initialize(network, init_scale, [torch.Generator().manual_seed(k) for k in range(2)])
    assert (network.W[1][1, :, 100:] == 0).all()
    assert network.W[1][1, :, :100].std().item() == pytest.approx(scale, rel=0.02)
    expected = np.sqrt(2 / 400) if init_scale == "auto" else 0.01
    assert network.W[1][0].std().item() == pytest.approx(expected, rel=0.02)


def test_auto_is_a_small_number_for_a_photograph():
    assert start("auto", sizes=(7200, 20, 1)).W[1].std().item() == pytest.approx(0.017, abs=5e-4)


def test_biases_start_at_zero():
    assert all((b == 0).all() for b in start(1.0).b[1:])


def test_auto_keeps_the_variance_through_many_layers():
    network = start("auto", sizes=(100, *[100] * 10, 1))
    X = examples(100, 200)
    assert 0.2 < network.raw_predict(X).std().item() < 5
    small = start(0.01, sizes=(100, *[100] * 10, 1))
    assert small.raw_predict(X).std().item() < 1e-9


def test_zero_weights_are_symmetric_only_with_a_hidden_layer_of_several_units():
    assert is_symmetric(start(0.0))
    assert not is_symmetric(start(0.0, sizes=(50, 1)))
    assert not is_symmetric(start(0.0, sizes=(50, 1, 1)))
    assert not is_symmetric(start(0.01))


def test_huge_weights_saturate_the_output():
    X = examples(50, 20)
    assert is_saturated(start(1000.0), X)
    assert is_saturated(start(1000.0, activation="tanh"), X)
    assert not is_saturated(start("auto"), X)


def test_equal_units_stay_equal():
    network = start(0.0, sizes=(5, 4, 1), activation="tanh")
    network.W[1].fill_(0.1)
    network.W[2].fill_(0.2)
    X = examples(5, 30)
    y = (X[:1] > 0).double()
    for _ in range(50):
        network.propagate(X, y, torch.full_like(y, 1 / 30), LOSSES["log_loss"])
        network.theta.sub_(network.gradient)
    assert network.W[1].std(dim=0).max().item() == pytest.approx(0, abs=1e-12)
    assert not torch.allclose(network.W[1], torch.full_like(network.W[1], 0.1))
