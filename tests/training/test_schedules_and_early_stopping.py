"""Learning rate schedules and early stopping."""

import math

import numpy as np
import pytest
import torch

from skdnn.training import SCHEDULES, EarlyStopping, TrainingConfig
from skdnn.training._schedules import Rate


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_are_between_zero_and_one(name):
    factors = [SCHEDULES[name](epoch, 40) for epoch in np.linspace(0, 40, 401)]
    assert min(factors) >= 0
    assert max(factors) <= 1


def test_factors_at_known_points():
    assert SCHEDULES["constant"](17.5, 40) == 1
    assert SCHEDULES["inverse_scaling"](8, 40) == pytest.approx(1 / 3)
    assert SCHEDULES["cosine"](10, 40) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert SCHEDULES["cosine"](40, 40) == pytest.approx(0, abs=1e-15)
    assert SCHEDULES["warmup_cosine"](0, 40) == 0
    assert SCHEDULES["warmup_cosine"](1, 40) == pytest.approx(0.5)
    assert SCHEDULES["warmup_cosine"](2, 40) == pytest.approx(1)
    assert SCHEDULES["warmup_cosine"](40, 40) == pytest.approx(0, abs=1e-15)


class Halving:
    """A schedule that records its calls, and cannot be hashed."""

    __hash__ = None

    def __init__(self):
        self.calls = []

    def __call__(self, epoch, max_iter):
        self.calls.append((epoch, max_iter))
        return 0.5**epoch

    def __eq__(self, other):
        return isinstance(other, Halving)


def inverse_power(epoch, max_iter):
    return 2**max_iter / (2**max_iter + epoch)  # 2**70 does not fit into 64 bits


# For six networks: rate, schedule, its factor at epoch 2.5 computed by hand, max_iter.
EACH = [
    (0.1, "constant", 1, 40),
    (0.2, "inverse_scaling", 1 / math.sqrt(3.5), 40),
    (0.3, "cosine", (1 + math.cos(math.pi / 4)) / 2, 10),
    (0.4, Halving(), 0.5**2.5, 7),
    (0.5, inverse_power, 1, 70),
    (0.6, "constant", 1, 40),
]
EPOCH = 2.5


def rate_of(config, n_networks=None):
    """Return the Rate of a network, or of a stack."""
    return Rate(config, torch.zeros(*([n_networks] if n_networks else []), 3, dtype=torch.float64))


RATES, SCHEDULES_OF_EACH, FACTORS, EPOCHS = zip(*EACH, strict=True)
OF_EACH = TrainingConfig(learning_rate=RATES, schedule=SCHEDULES_OF_EACH, max_iter=EPOCHS)
EXPECTED = torch.tensor([RATES, FACTORS], dtype=torch.float64).prod(0).unsqueeze(-1)


def test_networks_of_a_stack_may_have_different_schedules():
    rate = rate_of(OF_EACH, 6)
    torch.testing.assert_close(rate.at(EPOCH), EXPECTED, rtol=1e-15, atol=0)
    for epoch in (0, 1 / 3, 7):
        for now, (start, schedule, _, max_iter) in zip(rate.at(epoch), EACH, strict=True):
            one = TrainingConfig(learning_rate=start, schedule=schedule, max_iter=max_iter)
            assert now.item() == rate_of(one).at(epoch)


@pytest.mark.parametrize("members", [[0, 1, 2, 3, 4, 5], [4, 2], [0, 5], [1], 0, 3])
def test_a_part_of_a_stack_keeps_its_rates(members):
    n = len(members) if isinstance(members, list) else None
    twice = OF_EACH.part([5, 4, 3, 2, 1, 0]).part(_reversed(members))
    for part in (OF_EACH.part(members), twice):
        now = torch.as_tensor(rate_of(part, n).at(EPOCH), dtype=torch.float64)
        torch.testing.assert_close(now, EXPECTED[members].reshape(now.shape), rtol=1e-15, atol=0)


def _reversed(members):
    return [5 - k for k in members] if isinstance(members, list) else 5 - members


@pytest.mark.parametrize("rates", [0.1, (0.1, 0.1, 0.1), (0.1, 0.2, 0.3)])
@pytest.mark.parametrize("schedule", ["cosine", ("cosine",) * 3])
@pytest.mark.parametrize("max_iter", [10, (10, 20, 30)])
def test_rates_schedules_and_max_iter_may_differ_independently(rates, schedule, max_iter):
    config = TrainingConfig(learning_rate=rates, schedule=schedule, max_iter=max_iter)
    now = torch.as_tensor(rate_of(config, 3).at(5), dtype=torch.float64).expand(3, 1)[:, 0]
    expected = np.multiply(rates, (1 + np.cos(np.pi * 5 / np.array(max_iter))) / 2)
    np.testing.assert_allclose(now, np.broadcast_to(expected, 3), rtol=1e-14)


def test_a_schedule_of_several_networks_is_called_once():
    ours, other = Halving(), Halving()  # equal, but not the same
    config = TrainingConfig(schedule=(ours,) * 4 + (other,), max_iter=(3, 3, 5, 3, 3))
    rate_of(config, 5).at(1.5)
    assert ours.calls == [(1.5, 3), (1.5, 5)]
    assert other.calls == [(1.5, 3)]
    rate_of(config.part([0, 1, 3]), 3).at(2.0)
    rate_of(config.part(3)).at(2.5)
    assert ours.calls[2:] == [(2.0, 3), (2.5, 3)]
    assert len(other.calls) == 1


def follow(costs, **options):
    """Update an EarlyStopping with costs of one network until it stops, and return it."""
    stopping = EarlyStopping(
        1, **{"tol": 1e-3, "n_iter_no_change": 3, "keep_best": True, **options}
    )
    for epoch, cost in enumerate(costs, start=1):
        stopping.update(epoch, np.array([cost]))
        if not stopping.running.any():
            break
    return stopping


def test_stops_after_n_iter_no_change_epochs_without_improvement():
    assert follow([1.0, 0.5, 0.6, 0.6, 0.6, 0.1]).n_iter == 5


def test_an_improvement_resets_the_count():
    assert follow([1.0, 0.5, 0.6, 0.6, 0.4, 0.6, 0.6, 0.6, 0.1]).n_iter == 8


def test_an_improvement_must_exceed_tol_but_the_best_weights_are_kept_anyway():
    stopping = follow([1.0, 0.9999, 0.9998, 0.9997, 0.1])
    assert stopping.n_iter == 4
    assert stopping.best == pytest.approx(0.9997)
    assert stopping.best_iter == 4


def test_the_best_epoch_or_the_last_one_is_kept():
    costs = [1.0, 0.5, 0.6, 0.7, 0.8]
    assert follow(costs).best_iter == 2
    assert follow(costs, keep_best=False).best_iter == 5


def test_networks_stop_independently():
    stopping = EarlyStopping(2, tol=0.0, n_iter_no_change=2, keep_best=True)
    curves = np.array([[3.0, 1.0], [2.0, 1.5], [1.0, 1.5], [0.5, 0.1], [0.6, 0.1], [0.6, 0.1]])
    kept = np.array([stopping.update(e, costs) for e, costs in enumerate(curves, start=1)])
    np.testing.assert_array_equal(stopping.n_iter, [6, 3])
    np.testing.assert_array_equal(stopping.best_iter, [4, 1])
    np.testing.assert_array_equal(stopping.best, [0.5, 1.0])
    assert not kept[3, 1]  # a lower cost after the end does not count


# Costs of four networks, which end after 8, 4, 5 and 2 epochs; two of them still improve.
CURVES = np.transpose(
    [
        [5.0, 4.0, 3.0, 3.5, 2.0, 1.0, 1.5, 1.0],
        [5.0, 4.0, 3.0, 2.0, 1.0, 0.0, 0.0, 0.0],
        [5.0, 4.5, 4.0, 3.8, 3.6, 1.0, 0.0, 0.0],
        [5.0, 4.0, 3.0, 3.0, 3.0, 0.0, 0.0, 0.0],
    ]
)
OPTIONS = {
    "tol": np.array([0.0, 0.0, 0.3, 0.0]),
    "n_iter_no_change": np.array([2, 3, 2, 1]),
    "max_iter": np.array([9, 4, 9, 2]),
}


@pytest.mark.parametrize("keep_best", [True, False])
def test_networks_of_a_stack_may_have_different_criteria(keep_best):
    stopping = EarlyStopping(4, keep_best=keep_best, **OPTIONS)
    singles = [
        EarlyStopping(1, keep_best=keep_best, **{name: value[k] for name, value in OPTIONS.items()})
        for k in range(4)
    ]
    for epoch, costs in enumerate(CURVES, start=1):
        trained = np.concatenate([one.is_active(epoch) for one in singles])
        np.testing.assert_array_equal(stopping.is_active(epoch), trained)
        kept = [one.update(epoch, costs[[k]])[0] for k, one in enumerate(singles)]
        np.testing.assert_array_equal(stopping.update(epoch, costs), kept)
        for name in ("best", "best_iter", "n_iter", "running", "without_improvement"):
            expected = np.concatenate([getattr(one, name) for one in singles])
            np.testing.assert_array_equal(getattr(stopping, name), expected)
    assert stopping.n_iter.tolist() == [8, 4, 5, 2]
    assert stopping.running.tolist() == [False, True, False, True]


def test_a_network_is_not_trained_after_max_iter_epochs():
    stopping = EarlyStopping(
        2, tol=0.0, n_iter_no_change=2, keep_best=True, max_iter=np.array([2, 4])
    )
    falling = np.arange(9.0, 0.0, -1.0)
    trained = []
    for epoch, cost in enumerate(falling, start=1):
        trained.append(stopping.is_active(epoch).tolist())
        stopping.update(epoch, np.array([cost, cost]))
    assert trained == [[True, True]] * 2 + [[False, True]] * 2 + [[False, False]] * 5
    assert stopping.running.all()
    assert stopping.n_iter.tolist() == stopping.best_iter.tolist() == [2, 4]
    assert stopping.best.tolist() == [8, 6]
