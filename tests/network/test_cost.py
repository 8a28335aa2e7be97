"""Losses, their derivatives, the cost and the scores, also at extreme values."""

import numpy as np
import pytest
import reference
import torch
from sklearn.metrics import r2_score

from skdnn.network import LINEAR, LINEAR_LOSSES, LOSSES, SIGMOID, cost, quantile_loss

LOGITS = [-700.0, -30.0, -1.5, 0.0, 0.3, 30.0, 700.0]


def rows(*values, dtype=torch.float64):
    return [torch.tensor(v, dtype=dtype).reshape(1, -1) for v in values]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_losses_and_derivatives_equal_the_reference_at_any_logit(loss, label):
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


def test_the_log_loss_of_a_confident_error_is_finite():
    Z, y, weight = rows([1e4], [0.0], [1.0], dtype=torch.float32)
    assert cost(LOSSES["log_loss"], Z, y, weight).item() == pytest.approx(1e4)


@pytest.mark.parametrize("loss", LOSSES)
def test_cost_is_the_weighted_mean(loss):
    Z, y, weight = rows([0.2, -1.0, 3.0], [1.0, 1.0, 0.0], [2.0, 0.0, 1.0])
    repeated = rows([0.2, 0.2, 3.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0])
    expected = pytest.approx(cost(LOSSES[loss], *repeated).item())
    assert cost(LOSSES[loss], Z, y, weight).item() == expected
    assert cost(LOSSES[loss], Z, y, 7 * weight).item() == expected


def test_a_huge_loss_of_weight_zero_does_not_give_nan():
    Z, y, weight = rows([1e30, 0.0], [0.0, 1.0], [0.0, 1.0], dtype=torch.float32)
    assert cost(LOSSES["log_loss"], Z, y, weight).item() == pytest.approx(np.log(2))


def test_the_squared_error_has_no_gradient_at_a_confident_error():
    Z, y = rows([-40.0], [1.0])
    squared = LOSSES["squared_error"].derivative(Z, y, torch.empty_like(Z)).item()
    entropy = LOSSES["log_loss"].derivative(Z, y, torch.empty_like(Z)).item()
    assert abs(squared) < 1e-16
    assert entropy == pytest.approx(-1)


@pytest.mark.parametrize("name", LINEAR_LOSSES)
@pytest.mark.parametrize("number", [-2.0, 0.0, 1e6])
def test_regression_losses_equal_the_reference(name, number):
    Z, y = rows([-1e3, -2.0, 0.0, 0.5, 1e6], [number] * 5)
    loss = quantile_loss(0.3) if name == "quantile" else LINEAR_LOSSES[name]
    value, derivative = reference.LINEAR_LOSSES[name]
    predictions = Z[0].tolist()
    np.testing.assert_allclose(loss.value(Z, y)[0], [value(z, number) for z in predictions])
    np.testing.assert_allclose(
        loss.derivative(Z, y, torch.empty_like(Z))[0], [derivative(z, number) for z in predictions]
    )


@pytest.mark.parametrize(
    ("output", "name"),
    [(SIGMOID, name) for name in LOSSES] + [(LINEAR, name) for name in LINEAR_LOSSES],
)
def test_the_best_constant_has_a_lower_cost_than_its_neighbours(output, name):
    rng = np.random.default_rng(0)
    loss = quantile_loss(0.2) if name == "quantile" else output.losses[name]
    numbers = rng.normal(size=(2, 31)) if output is LINEAR else rng.integers(2, size=(2, 31))
    y, weight = torch.from_numpy(numbers).double(), torch.from_numpy(rng.random((1, 31)))
    Z = loss.constant(y, weight)

    def costs(Z):
        return torch.stack(
            [cost(loss, z.expand(1, 31), row[None], weight) for z, row in zip(Z, y, strict=True)]
        )

    assert (costs(Z) < costs(Z + 0.1)).all()
    assert (costs(Z) < costs(Z - 0.1)).all()


@pytest.mark.parametrize("loss", [*LOSSES.values(), *LINEAR_LOSSES.values()])
def test_the_best_constant_depends_on_the_sample_weights_of_each_network(loss):
    y = torch.tensor([[0.0, 1.0, 1.0, 0.0]]).double()
    weight = torch.arange(12.0).reshape(3, 1, 4).double()
    found = loss.constant(y, weight)
    for constant, its_weight in zip(found, weight, strict=True):
        torch.testing.assert_close(constant, loss.constant(y, its_weight))


@pytest.mark.parametrize("q", [0.01, 0.25, 0.5, 0.9])
def test_the_best_constant_of_the_quantile_loss_equals_the_quantile_of_numpy(q):
    numbers, repeats = np.array([3.0, -1.0, 7.0, 2.0, 2.5]), np.array([2, 1, 3, 0, 4])
    y, weight = rows(numbers, repeats.astype(float))
    expected = np.quantile(np.repeat(numbers, repeats), q, method="inverted_cdf")
    assert quantile_loss(q).constant(y, weight).item() == expected


@pytest.mark.parametrize("weighted", [False, True])
def test_r2_equals_that_of_scikit_learn(weighted):
    rng = np.random.default_rng(0)
    y, predicted = rng.normal(size=(2, 40, 3))
    y[:, 2], predicted[:, 2] = 5.0, [5.0] * 40  # a constant, predicted
    weight = rng.random(40) if weighted else np.ones(40)
    tensors = [torch.from_numpy(np.atleast_2d(array.T)) for array in (predicted, y, weight)]
    expected = r2_score(y, predicted, sample_weight=weight)
    assert LINEAR.score(*tensors).item() == pytest.approx(expected)
    padded = [torch.cat([array, torch.full_like(array[:, :1], k)], dim=1) for k, array in
              zip((9.0, 7.0, 0.0), tensors, strict=True)]  # fmt: skip
    stack = [torch.stack([array, array.roll(3, dims=1)]) for array in padded]
    assert LINEAR.score(*stack).tolist() == pytest.approx([expected] * 2)


@pytest.mark.parametrize("constant", [5.0, 0.1234567, -1e30])
def test_r2_of_a_constant_target_is_1_or_0(constant):
    y = torch.full((1, 9), constant, dtype=torch.float32)
    weight = torch.linspace(0, 1, 9).reshape(1, 9)
    assert LINEAR.score(y, y, weight).item() == 1
    assert LINEAR.score(1.01 * y, y, weight).item() == 0
