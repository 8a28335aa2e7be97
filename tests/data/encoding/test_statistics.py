"""Moments: compared with NumPy, with missing values, outliers and extreme numbers, in parts."""

import numpy as np
import pytest
import torch
from scipy import sparse

from skdnn.data.encoding import WeightedColumns
from skdnn.processes import SingleProcess

RNG = np.random.default_rng(0)
X = RNG.normal(2.0, 3.0, size=(300, 3))
WEIGHT = RNG.integers(0, 3, size=300).astype(float)
CONTAINERS = {"array": np.asarray, "sparse": sparse.csr_array, "tensor": torch.from_numpy}


def moments(data, weight, bounded=False):
    return WeightedColumns(data, weight).moments(bounded)


def numpy_moments(data, weight):
    """Return means, deviations and weights of the values, column by column."""
    columns = []
    for column in data.T:
        rows = np.repeat(column, weight.astype(int))
        rows = rows[~np.isnan(rows)]
        columns.append((rows.mean(), rows.std(), len(rows)))
    return np.transpose(columns)


def with_missing():
    data = X.copy()
    data[RNG.random(X.shape) < 0.3] = np.nan
    return data


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("container", CONTAINERS)
def test_moments_are_those_of_numpy(container, bounded):
    found = moments(CONTAINERS[container](X), WEIGHT, bounded)
    np.testing.assert_allclose(np.stack([*vars(found).values()]), numpy_moments(X, WEIGHT))


@pytest.mark.parametrize("container", ["array", "tensor"])
def test_missing_values_do_not_count(container):
    data = with_missing()
    found = moments(CONTAINERS[container](data), WEIGHT)
    np.testing.assert_allclose(np.stack([*vars(found).values()]), numpy_moments(data, WEIGHT))


@pytest.mark.parametrize("size", [1e3, 1e155, 1e300])
@pytest.mark.parametrize("container", CONTAINERS)
def test_outliers_are_clipped_to_the_fences(container, size):
    data = X.copy()
    data[[5, 70, 200], 0] = np.array([1, -1, 1]) * size
    first, third = np.quantile(X[:, 0], [0.25, 0.75], method="inverted_cdf")
    reach = 5 * (third - first)
    expected = np.clip(data, first - reach, third + reach)
    found = moments(CONTAINERS[container](data), np.ones(300), bounded=True)
    np.testing.assert_allclose(found.mean, expected.mean(axis=0), rtol=0.02)
    np.testing.assert_allclose(found.deviation, expected.std(axis=0), rtol=0.02)
    assert moments(data, np.ones(300)).deviation[0] > 0.05 * size


def test_the_fences_of_a_column_of_mostly_one_value_are_those_of_the_other_values():
    data = np.zeros((300, 1))
    data[:30, 0] = RNG.normal(5.0, 1.0, size=30)
    without = moments(data, np.ones(300), bounded=True)
    np.testing.assert_allclose(without.deviation, data.std(axis=0))
    data[0] = 1e6
    with_outlier = moments(data, np.ones(300), bounded=True)
    np.testing.assert_allclose(with_outlier.deviation, without.deviation, rtol=0.2)


def test_outliers_in_rows_of_weight_zero_do_not_count():
    data, weight = X.copy(), np.ones(300)
    data[9], weight[9] = 1e200, 0.0
    found, expected = moments(data, weight, bounded=True), moments(X[weight > 0], np.ones(299))
    np.testing.assert_allclose(found.mean, expected.mean)
    np.testing.assert_allclose(found.deviation, expected.deviation)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e155, 1e300])
@pytest.mark.parametrize("bounded", [False, True])
def test_deviations_of_numbers_whose_squares_under_or_overflow_are_right(scale, bounded):
    with np.errstate(all="raise", under="ignore"):
        found = moments(scale * X, np.ones(300), bounded)
    np.testing.assert_allclose(found.mean, scale * X.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.deviation, scale * X.std(axis=0), rtol=1e-9)


def test_the_sum_of_moments_is_that_of_all_rows():
    data = with_missing()
    parts = [moments(data[rows], WEIGHT[rows]) for rows in (slice(0, 7), slice(7, 300))]
    whole = moments(data, WEIGHT)
    for name, value in vars(parts[0] + parts[1]).items():
        np.testing.assert_allclose(value, getattr(whole, name), rtol=1e-12)


def test_outliers_in_later_rows_are_clipped_to_ten_known_deviations():
    known, later = moments(X, np.ones(300)), X[:50].copy()
    later[3, 0] = 1e9
    found = WeightedColumns(later, np.ones(50)).moments_near(known)
    expected = np.clip(later[:, 0], None, known.mean[0] + 10 * known.deviation[0])
    np.testing.assert_allclose(found.mean[0], expected.mean(), rtol=1e-9)
    np.testing.assert_allclose(found.deviation[0], expected.std(), rtol=1e-9)


@pytest.mark.parametrize("bounded", [False, True])
def test_the_result_does_not_depend_on_the_chunk_size(monkeypatch, bounded):
    data = with_missing()
    data[4, 1] = 1e9
    whole = moments(data, WEIGHT, bounded)
    monkeypatch.setattr("skdnn.data.frames._arrays.CHUNK_SIZE", 12)
    for name, value in vars(moments(data, WEIGHT, bounded)).items():
        np.testing.assert_allclose(value, getattr(whole, name), rtol=1e-12)


class WithOthers(SingleProcess):
    """A communicator whose other processes have given objects."""

    def __init__(self, *others):
        self.others = others

    def allgather(self, value):
        return [*self.others, value]


def test_limits_and_the_first_row_are_those_of_all_processes():
    none, others = X[:0], (np.array([-50.0, 0, 0]), np.array([0, 0, 50.0]))
    columns = WeightedColumns(X, WEIGHT, processes=WithOthers(none))
    np.testing.assert_array_equal(columns.first_row(), X[np.flatnonzero(WEIGHT)[0]])
    low, high = WeightedColumns(X, WEIGHT, processes=WithOthers(others)).limits()
    counted = X[WEIGHT > 0]
    np.testing.assert_array_equal(low, [-50, *counted[:, 1:].min(axis=0)])
    np.testing.assert_array_equal(high, [*counted[:, :2].max(axis=0), 50])


COLUMNS_OF_FEW_NUMBERS = np.column_stack([
    RNG.integers(0, 2, size=300),
    np.where(np.arange(300) == 299, -5.0, 3.0),  # the second number is in the last row alone
    np.sort(RNG.integers(0, 3, size=300)),
    np.full(300, 7.0),
    np.sort(-RNG.integers(0, 2, size=300)),
    X[:, 0],
]).astype(float)  # fmt: skip


def half_ranges_and_variances(data, weight):
    """Return what `two_valued` does, by NumPy's unique and var, column by column."""
    columns = []
    for column in data.T:
        rows = np.repeat(column, weight.astype(int))
        rows = rows[~np.isnan(rows)]
        if len(np.unique(rows)) > 2:
            columns.append((np.nan, 1.0))
        else:
            half_range = np.ptp(rows) / 2
            columns.append((half_range, rows.var() / (half_range**2 or 1)))
    return np.transpose(columns)


@pytest.mark.parametrize("chunk_size", [12, 2**18])
@pytest.mark.parametrize("container", CONTAINERS)
def test_columns_of_two_numbers_are_found_in_all_chunks(monkeypatch, container, chunk_size):
    monkeypatch.setattr("skdnn.data.frames._arrays.CHUNK_SIZE", chunk_size)
    weight = np.maximum(WEIGHT, np.arange(300) == 299)
    columns = WeightedColumns(CONTAINERS[container](COLUMNS_OF_FEW_NUMBERS), weight)
    expected = half_ranges_and_variances(COLUMNS_OF_FEW_NUMBERS, weight)
    np.testing.assert_allclose(np.stack(columns.two_valued), expected)


def test_neither_missing_values_nor_rows_of_weight_zero_are_a_third_number():
    data, weight = COLUMNS_OF_FEW_NUMBERS.copy(), np.ones(300)
    data[RNG.random(data.shape) < 0.3] = np.nan
    data[0], weight[0] = 0.5, 0.0
    found = np.stack(WeightedColumns(data, weight).two_valued)
    np.testing.assert_allclose(found, half_ranges_and_variances(data, weight))


def test_columns_of_two_numbers_are_those_of_the_rows_of_all_processes():
    class Recorder(SingleProcess):
        def allgather(self, value):
            self.sent = value
            return [value]

    first, other = slice(0, 120), slice(120, 300)
    rows = WeightedColumns(COLUMNS_OF_FEW_NUMBERS[first], WEIGHT[first], processes=Recorder())
    assert len(rows.two_valued) == 2
    others = WithOthers(rows.processes.sent)
    rows = WeightedColumns(COLUMNS_OF_FEW_NUMBERS[other], WEIGHT[other], processes=others)
    expected = half_ranges_and_variances(COLUMNS_OF_FEW_NUMBERS, WEIGHT)
    np.testing.assert_allclose(np.stack(rows.two_valued), expected)
