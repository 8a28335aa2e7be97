"""Bins of the piecewise-linear encoding: quantiles, frequent numbers, few distinct numbers."""

import numpy as np
import pytest
import torch

from skdnn.data.encoding import PiecewiseLinear, WeightedColumns, fit_encoder
from skdnn.data.encoding._piecewise_linear import bin_edges

RNG = np.random.default_rng(0)


def find_bins(X, weight):
    return fit_encoder(WeightedColumns(X, weight), False, "piecewise_linear").block(PiecewiseLinear)


def test_edges_of_many_distinct_numbers_are_quantiles():
    values = RNG.exponential(size=1601)
    expected = np.quantile(values, np.linspace(0, 1, 17), method="inverted_cdf")
    np.testing.assert_array_equal(bin_edges(values, np.ones(1601)), expected)


@pytest.mark.parametrize("n_distinct", [1, 2, 3, 17])
def test_few_distinct_numbers_are_the_edges(n_distinct):
    values = RNG.permutation(np.arange(100.0) % n_distinct)
    assert bin_edges(values, np.ones(100)).tolist() == list(range(n_distinct))
    columns = find_bins(values[:, None], np.ones(100)).bin_column
    assert len(columns) == (n_distinct - 1 if n_distinct > 2 else 0)


def test_a_frequent_number_is_an_edge_and_the_others_are_quantiles_of_the_rest():
    values = np.concatenate([np.zeros(960), RNG.exponential(size=40)])
    edges = bin_edges(values, np.ones(1000))
    assert edges[0] == 0
    assert len(edges) == 1 + 16
    rest = np.quantile(values[960:], np.linspace(0, 1, 16), method="inverted_cdf")
    np.testing.assert_array_equal(edges[1:], rest)


def test_integer_weights_count_as_repetitions():
    values = np.concatenate([np.zeros(50), RNG.normal(size=150)])
    weight = RNG.integers(0, 4, size=200)
    expected = bin_edges(np.repeat(values, weight), np.ones(weight.sum()))
    found = find_bins(values[:, None], weight.astype(float))
    np.testing.assert_array_equal(found.bin_start, expected[:-1])
    assert set(found.bin_column) == {0}


def test_the_scale_of_a_subnormal_width_is_finite():
    values = np.array([0.0, 5e-324, 1.0])
    assert np.isfinite(find_bins(values[:, None], np.ones(3)).bin_scale).all()


def test_a_bin_encodes_the_fraction_of_it_below_the_number():
    values = np.array([[0.0], [0.0], [1.0], [3.0]])
    fractions = fit_encoder(WeightedColumns(values, np.ones(4)), False, "piecewise_linear").apply(
        np.array([[-1.0], [0.5], [2.0], [9.0]]), torch.float64
    )
    assert fractions[:, 1:].tolist() == [[0, 0], [0.5, 0], [1, 0.5], [1, 1]]
