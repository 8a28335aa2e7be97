"""Real numbers as y: accepted containers, means and deviations, merging into the last layer."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from sklearn.exceptions import DataConversionWarning

from skdnn.data.encoding import WeightedColumns
from skdnn.data.targets import RealNumbers, normalized_numbers

NUMBERS = [-1.0, 0.5, 3.0]
SAME = [
    NUMBERS,
    tuple(NUMBERS),
    np.array(NUMBERS, dtype=np.float16),
    np.array(NUMBERS, dtype=object),
    [Decimal("-1"), Decimal("0.5"), 3],
    [Fraction(-1), Fraction(1, 2), np.int8(3)],
    torch.tensor(NUMBERS),
    torch.tensor(NUMBERS, dtype=torch.bfloat16),
    torch.tensor(NUMBERS, requires_grad=True),
    pd.Series(NUMBERS, index=[7, 7, 7]),
    pd.Series(NUMBERS, dtype="Float64"),
    pd.Series(NUMBERS, dtype="float32[pyarrow]"),
    pa.array(NUMBERS),
    np.ma.array(NUMBERS, mask=False),
]


@pytest.mark.parametrize("y", SAME, ids=[type(y).__name__ + str(k) for k, y in enumerate(SAME)])
def test_numbers_of_any_container_become_float64(y):
    numbers = normalized_numbers(y)
    assert numbers.dtype == np.float64
    assert numbers.tolist() == NUMBERS


@pytest.mark.parametrize(
    "y",
    [
        np.array([[1, 2], [3, 4]]),
        pd.DataFrame({"a": [1, 3], "b": [2.0, 4.0]}),
        pd.DataFrame({"a": pd.Series([1, 3], dtype="Int64"), "b": [Decimal(2), Decimal(4)]}),
        pa.table({"a": [1, 3], "b": [2.0, 4.0]}),
        torch.tensor([[1, 2], [3, 4]]),
    ],
    ids=["array", "pandas", "nullable", "arrow", "tensor"],
)
def test_several_numbers_a_row_are_accepted(y):
    assert normalized_numbers(y).tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize("y", [[[1], [2]], pd.DataFrame({"a": [1, 2]}), np.array([[1.0], [2.0]])])
def test_a_single_column_is_accepted_with_a_warning(y):
    with pytest.warns(DataConversionWarning):
        assert normalized_numbers(y).tolist() == [1.0, 2.0]


def test_booleans_are_0_and_1():
    assert normalized_numbers([True, False]).tolist() == [1.0, 0.0]


BAD = [
    (["1", "2"], r"y must hold real numbers, got '1' \(str\)"),
    ([1, "two"], r"y must hold real numbers, got 'two' \(str\)"),
    (pd.Series(["1.5", 2.0], dtype=object), r"y must hold real numbers, got '1.5' \(str\)"),
    (pd.Series(["a", "b"], dtype="category"), r"y must hold real numbers, got 'a' \(str\)"),
    (pd.date_range("2020-01-01", periods=2), "got dates: give days since one of them"),
    (np.array([1, 2], dtype="m8[s]"), "y must hold real numbers, got durations"),
    ([1.0, None], "Input y contains NaN: 1 of 2 numbers are missing. Leave their rows out"),
    ([1.0, np.nan], "Input y contains NaN"),
    (pd.Series([1, None], dtype="Int64"), "Input y contains NaN"),
    (np.ma.array([1.0, 2.0], mask=[0, 1]), "Input y contains NaN"),
    ([1.0, np.inf], "Input y contains infinity"),
    ([1.0, 10**400], "y must hold numbers that a float can hold"),
    ([1j, 2], "Complex data not supported"),
    ([[1, 2], [3]], "y must hold one number for each row"),
    (torch.empty(2, device="meta"), "y must hold one number for each row"),
    ({"a": [1, 2]}, r"y must hold one number for each row, got .*\(dict\)"),
    ((k for k in range(2)), r"y must hold one number for each row, got .*\(generator\)"),
]


@pytest.mark.parametrize(("y", "message"), BAD, ids=[str(k) for k in range(len(BAD))])
def test_anything_but_finite_numbers_is_an_error(y, message):
    with pytest.raises(ValueError, match=message):
        normalized_numbers(y)


def test_polars_containers():
    pl = pytest.importorskip("polars")
    assert normalized_numbers(pl.Series(NUMBERS)).tolist() == NUMBERS
    frame = pl.DataFrame({"a": [1, 3], "b": [2.0, 4.0]})
    assert normalized_numbers(frame).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    with pytest.raises(ValueError, match="y must hold real numbers, got dates"):
        normalized_numbers(pl.Series([pd.Timestamp("2020-01-01")]))
    with pytest.raises(TypeError, match=r"y must hold its rows in memory.*pass y\.collect\(\)"):
        normalized_numbers(pl.LazyFrame({"a": [1, 2]}))


# -- means and deviations -----------------------------------------------------------------------


def test_means_and_deviations_are_weighted():
    rng = np.random.default_rng(0)
    y, weight = rng.normal(3.0, 5.0, size=(50, 2)), rng.integers(0, 4, size=50).astype(float)
    target = RealNumbers.learn(y).updated(WeightedColumns(y, weight))
    repeated = np.repeat(y, weight.astype(int), axis=0)
    np.testing.assert_allclose(target.mean, repeated.mean(axis=0))
    np.testing.assert_allclose(target.deviation, repeated.std(axis=0))
    np.testing.assert_allclose(target.restored(target.standardized(y)), y)


def test_updating_in_parts_gives_the_moments_of_all_rows():
    y, weight = np.random.default_rng(0).normal(size=90), np.ones(90)
    target = RealNumbers.learn(y)
    for rows in np.split(np.arange(90), 3):
        target = target.updated(WeightedColumns(y[rows], weight[rows]))
    at_once = RealNumbers.learn(y).updated(WeightedColumns(y, weight))
    np.testing.assert_allclose(target.mean, at_once.mean)
    np.testing.assert_allclose(target.deviation, at_once.deviation)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e300, 1e-300, 3])
def test_a_constant_is_exact_and_standardised_to_zero(constant):
    y = np.full(10, constant)
    target = RealNumbers.learn(y).updated(WeightedColumns(y, np.linspace(0, 1, 10)))
    assert target.mean.tolist() == [constant]
    assert target.deviation.tolist() == [0.0]
    assert target.standardized(y).tolist() == [0.0] * 10


def test_large_numbers_that_vary_are_not_constant():
    y = 1.7e15 + np.arange(100_000.0) % 7
    target = RealNumbers.learn(y).updated(WeightedColumns(y, np.ones(len(y))))
    assert target.deviation.item() == pytest.approx(2.0, rel=1e-3)
    assert target.mean.item() == pytest.approx(1.7e15 + 3, abs=0.5)


def test_distances_that_overflow_are_an_error():
    y = np.array([-1.7e308, 1.7e308])
    with pytest.raises(ValueError, match="y must hold numbers whose distances a float can hold"):
        RealNumbers.learn(y).updated(WeightedColumns(y, np.ones(2)))


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_numbers_of_any_size_are_standardised(scale):
    y = scale * np.array([1.0, 2.0, 3.0])
    target = RealNumbers.learn(y).updated(WeightedColumns(y, np.ones(3)))
    np.testing.assert_allclose(target.standardized(y), [-np.sqrt(1.5), 0, np.sqrt(1.5)], atol=1e-12)


@pytest.mark.parametrize("n_networks", [None, 3])
def test_a_merged_layer_predicts_in_the_units_of_y(n_networks):
    rng = np.random.default_rng(0)
    y = rng.normal([5.0, -100.0], [2.0, 30.0], size=(40, 2))
    target = RealNumbers.learn(y).updated(WeightedColumns(y, np.ones(40)))
    stack = () if n_networks is None else (n_networks,)
    A, W, b = rng.normal(size=(7, 4)), rng.normal(size=(*stack, 4, 2)), rng.normal(size=(*stack, 2))
    merged = target.merge(W, b)
    expected = target.restored(A @ W + b[..., None, :])
    np.testing.assert_allclose(A @ merged[0] + merged[1][..., None, :], expected)
    for unmerged, before in zip(target.unmerge(*merged), (W, b), strict=True):
        np.testing.assert_allclose(unmerged, before)


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([1.0, 2.0], False),
        ([2000.0, 2001.0], False),
        ([1e6, 1e6 + 1], True),
        ([1e35, -1e35], True),
        ([1e-35, 0.0], True),
        ([5.0, 5.0], False),
        ([0.1, 0.1], True),
        ([0.0, 0.0], False),
    ],
)
def test_numbers_too_close_or_extreme_for_float32_need_float64(y, expected):
    y = np.array(y)
    assert RealNumbers.learn(y).updated(WeightedColumns(y, np.ones(2))).needs_float64 == expected


@pytest.mark.parametrize(("y", "n_outputs"), [(np.arange(4.0), 1), (np.ones((4, 3)), 3)])
def test_a_row_is_enough_to_learn_the_number_of_outputs(y, n_outputs):
    assert RealNumbers.learn(RealNumbers.distinct(y)).n_outputs == n_outputs
    assert RealNumbers.learn(y).total_weights(y, np.array([1.0, 0.0, 2.0, 4.0])).tolist() == [7]
