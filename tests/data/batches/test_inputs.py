"""Encoded rows for the network, from X of any dtype and memory layout, dense or sparse."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from skdnn.data.batches import RowsOfEachNetwork, TableRows, make_rows, network_inputs
from skdnn.data.encoding import WeightedColumns, fit_encoder, identity_encoder
from skdnn.data.frames import Table, read_columns

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
X = RNG.normal(3.0, 2.0, size=(50, 4)) * (RNG.random((50, 4)) < 0.6)


def layouts():
    """Return X in every layout that NumPy users have."""
    padded = np.empty((100, 8))
    padded[::2, ::2] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    return {
        "contiguous": X,
        "fortran": np.asfortranarray(X),
        "strided": padded[::2, ::2],
        "reversed": X[::-1, ::-1].copy()[::-1, ::-1],
        "big endian": X.astype(">f8"),
        "read only": read_only,
        "longdouble": X.astype(np.longdouble),
        "sparse": sparse.csr_array(X),
    }


@pytest.mark.parametrize("layout", layouts())
def test_rows_do_not_depend_on_the_memory_layout(layout):
    data, encoder = layouts()[layout], fit_encoder(WeightedColumns(X, np.ones(50)))
    index = np.array([7, 3, 40])
    rows = make_rows(data, index, encoder, torch.float64, CPU)
    expected = encoder.apply(X[index], torch.float64)
    expected = torch.cat([expected, torch.ones(3, 1, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(rows[0:3], expected, rtol=1e-12, atol=1e-12)
    taken = rows.take(torch.tensor([[2, 0], [1, 1]]))
    torch.testing.assert_close(taken, expected[[2, 0, 1, 1]].reshape(2, 2, 5))


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "uint8", "int64", "bool"]
)
def test_rows_do_not_depend_on_the_dtype(dtype):
    data = (10 * X).astype(dtype)
    rows = make_rows(data, np.arange(50), identity_encoder(4), torch.float32, CPU)
    assert rows[0:50].dtype == torch.float32
    np.testing.assert_array_equal(rows[0:50][:, :-1].numpy(), data.astype(np.float32))
    assert (rows[0:50][:, -1] == 1).all()


@pytest.mark.parametrize("layout", layouts())
@pytest.mark.parametrize("is_merged", [False, True])
def test_inputs_do_not_depend_on_the_layout_and_missing_values_are_centres(layout, is_merged):
    data, encoder = layouts()[layout], fit_encoder(WeightedColumns(X, np.ones(50)))
    inputs = network_inputs(data, encoder, torch.float64, CPU, is_merged)
    expected = X if is_merged else (X - X.mean(axis=0)) / X.std(axis=0)
    np.testing.assert_allclose(inputs, expected, rtol=1e-12, atol=1e-12)
    with_missing = X.copy()
    with_missing[3, 1] = np.nan
    filled = network_inputs(with_missing, encoder, torch.float64, CPU, is_merged)
    centre = X[:, 1].mean() if is_merged else 0
    assert filled[3, 1].item() == pytest.approx(centre, rel=1e-12)
    assert torch.equal(filled[4:], inputs[4:])


def table(n_others):
    """Return a Table with missing numbers and with codes up to n_others beyond its categories."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(50, 3)).astype(np.float32)
    numbers[::5, 1] = np.nan
    codes = rng.integers(0, np.array([3, 2]) + n_others, size=(50, 2)).astype(np.uint8)
    is_categorical = np.array([False, True, False, True, False])
    categories = [np.array(list("abc")), np.array(list("xy"))]
    return Table(numbers, codes, categories, is_categorical, n_frequent=np.array([3, 2]))


@pytest.mark.parametrize("n_others_in_fit", [0, 1])
@pytest.mark.parametrize("embedding", [None, "piecewise_linear"])
@pytest.mark.parametrize("most_numbers", [0, 2**25])
def test_large_and_small_tables_give_the_same_rows(
    most_numbers, embedding, n_others_in_fit, monkeypatch
):
    encoder = fit_encoder(
        WeightedColumns(table(n_others_in_fit), np.ones(50)), "smooth_clip", embedding
    )
    index, options = np.array([7, 3, 40, 8]), (encoder, torch.float32, CPU)
    small = make_rows(table(1), index, *options)
    monkeypatch.setattr("skdnn.data.batches._inputs._TABLE_WORTH_EXPANDING", 0)
    monkeypatch.setattr("skdnn.data.batches._inputs._NUMBERS_WORTH_KEEPING", most_numbers)
    large = make_rows(table(1), index, *options)
    assert isinstance(large, TableRows)
    assert large.shape == small.shape
    assert torch.equal(large[1:4], small[1:4])
    order = torch.tensor([[2, 0], [1, 1]])
    assert torch.equal(large.take(order), small.take(order))
    out = torch.full((2, 2, large.shape[1]), np.nan)
    assert large.take(order, out=out) is out
    assert torch.equal(out, small.take(order))


def test_rows_are_a_copy_of_the_data():
    data = X.copy()
    rows = make_rows(data, np.arange(50), identity_encoder(4), torch.float64, CPU)
    rows[0:50].zero_()
    np.testing.assert_array_equal(data, X)


def test_dense_rows_are_equal_if_numbers_dtype_and_device_are():
    index, identity = np.arange(50), identity_encoder(4)

    def rows(data=X, index=index, encoder=identity, dtype=torch.float64):
        return make_rows(data, index, encoder, dtype, CPU)

    one, other = X.copy(), X.copy()
    other[7, 2] += 1e-12
    assert rows().equals(rows(one))
    assert rows(X[::-1]).equals(rows(index=index[::-1]))
    assert not rows().equals(rows(other))
    assert not rows().equals(rows(index=index[:-1]))
    assert not rows().equals(rows(encoder=fit_encoder(WeightedColumns(X, np.ones(50)))))
    assert not rows(X.round()).equals(rows(X.round(), dtype=torch.float32))
    elsewhere = rows()
    elsewhere.device = torch.device("meta")  # of the rows that are returned
    assert not rows().equals(elsewhere)
    assert not elsewhere.equals(rows())


@pytest.mark.parametrize("numeric_embedding", [None, "piecewise_linear"])
@pytest.mark.parametrize("is_expanded", [True, False])
def test_networks_share_all_columns_but_their_target_means(
    monkeypatch, numeric_embedding, is_expanded
):
    if not is_expanded:
        monkeypatch.setattr("skdnn.data.batches._inputs._TABLE_WORTH_EXPANDING", 0)
    table = read_columns(
        pd.DataFrame({"x": X[:, 0], "c": list("abcde") * 10}), ["number", "category"]
    )
    table = table.recoded(table.categories, n_frequent=np.array([2]))
    encoder = fit_encoder(WeightedColumns(table, np.ones(50), X[:, 1]), True, numeric_embedding)
    index, means = np.array([7, 3, 40]), RNG.normal(size=(2, 3, 1))
    rows = RowsOfEachNetwork(table, index, means, encoder, torch.float64, CPU)
    expected = [
        encoder.apply(replace(table[index], means=of_network), torch.float64)
        for of_network in means
    ]
    ones = torch.ones(6, 1, dtype=torch.float64)
    expected = torch.cat([torch.cat(expected), ones], dim=1)
    assert rows.shape == expected.shape
    torch.testing.assert_close(rows[0:6], expected)
    order = torch.tensor([[2, 0], [3, 5]])
    torch.testing.assert_close(rows.take(order), expected[order])
    torch.testing.assert_close(
        rows.take(order, out=torch.empty(2, 2, rows.shape[1]).double()), expected[order]
    )
