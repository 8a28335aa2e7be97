"""The learning rate over time, and when to stop."""

import math

import numpy as np
import pytest

from skdnn.training import SCHEDULES, Stopping


@pytest.mark.parametrize("name", SCHEDULES)
def test_factor_stays_between_zero_and_one(name):
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


def follow(costs, **options):
    """Feed a sequence of costs of one network until it stops; return the Stopping."""
    stopping = Stopping(1, **{"tol": 1e-3, "n_iter_no_change": 3, "keep_best": True, **options})
    for epoch, cost in enumerate(costs, start=1):
        stopping.update(epoch, np.array([cost]))
        if not stopping.running.any():
            break
    return stopping


def test_stops_after_that_many_epochs_without_improvement():
    assert follow([1.0, 0.5, 0.6, 0.6, 0.6, 0.1]).n_iter == 5


def test_an_improvement_starts_the_count_again():
    assert follow([1.0, 0.5, 0.6, 0.6, 0.4, 0.6, 0.6, 0.6, 0.1]).n_iter == 8


def test_improvement_must_exceed_tol_but_the_best_is_kept_all_the_same():
    stopping = follow([1.0, 0.9999, 0.9998, 0.9997, 0.1])
    assert stopping.n_iter == 4
    assert stopping.best == pytest.approx(0.9997)
    assert stopping.best_iter == 4


def test_the_best_epoch_or_the_last_one_is_kept():
    costs = [1.0, 0.5, 0.6, 0.7, 0.8]
    assert follow(costs).best_iter == 2
    assert follow(costs, keep_best=False).best_iter == 5


def test_networks_stop_by_themselves():
    stopping = Stopping(2, tol=0.0, n_iter_no_change=2, keep_best=True)
    curves = np.array([[3.0, 1.0], [2.0, 1.5], [1.0, 1.5], [0.5, 0.1], [0.6, 0.1], [0.6, 0.1]])
    kept = np.array([stopping.update(e, costs) for e, costs in enumerate(curves, start=1)])
    np.testing.assert_array_equal(stopping.n_iter, [6, 3])
    np.testing.assert_array_equal(stopping.best_iter, [4, 1])
    np.testing.assert_array_equal(stopping.best, [0.5, 1.0])
    assert not kept[3, 1]  # a lower cost after the end comes too late
