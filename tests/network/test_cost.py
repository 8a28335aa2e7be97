"""The cost from the logit: values, derivatives, extremes."""

import numpy as np
import pytest
import reference
import torch

from skdnn.network import LOSSES, cost

LOGITS = [-700.0, -30.0, -1.5, 0.0, 0.3, 30.0, 700.0]


def rows(*values, dtype=torch.float64):
    return [torch.tensor(v, dtype=dtype).reshape(1, -1) for v in values]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_loss_and_derivative_are_the_formulas_at_any_logit(loss, label):
    Z, y = rows(LOGITS, [label] * len(LOGITS))
    value, derivative = reference.LOSSES[loss]
    np.testing.assert_allclose(
        LOSSES[loss].value(Z, y)[0], [value(z, label) for z in LOGITS], rtol=1e-12
    )
    np.testing.assert_allclose(
        LOSSES[loss].derivative(Z, y, torch.empty_like(Z))[0],
        [derivative(z, label) for z in LOGITS],
        rtol=1e-12,
        atol=1e-300,
    )


def test_confident_and_wrong_costs_its_logit_and_not_infinity():
    Z, y, weight = rows([1e4], [0.0], [1.0], dtype=torch.float32)
    assert cost(LOSSES["log_loss"], Z, y, weight).item() == pytest.approx(1e4)


@pytest.mark.parametrize("loss", LOSSES)
def test_cost_is_the_weighted_mean(loss):
    Z, y, weight = rows([0.2, -1.0, 3.0], [1.0, 1.0, 0.0], [2.0, 0.0, 1.0])
    repeated = rows([0.2, 0.2, 3.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0])
    expected = pytest.approx(cost(LOSSES[loss], *repeated).item())
    assert cost(LOSSES[loss], Z, y, weight).item() == expected
    assert cost(LOSSES[loss], Z, y, 7 * weight).item() == expected


def test_soft_zero_weights_do_not_turn_a_huge_loss_into_nan():
    Z, y, weight = rows([1e30, 0.0], [0.0, 1.0], [0.0, 1.0], dtype=torch.float32)
    assert cost(LOSSES["log_loss"], Z, y, weight).item() == pytest.approx(np.log(2))


def test_squared_error_forgets_to_learn_from_a_sure_mistake():
    Z, y = rows([-40.0], [1.0])
    squared = LOSSES["squared_error"].derivative(Z, y, torch.empty_like(Z)).item()
    entropy = LOSSES["log_loss"].derivative(Z, y, torch.empty_like(Z)).item()
    assert abs(squared) < 1e-16
    assert entropy == pytest.approx(-1)
