"""Rows on their way to the network: standardised, dense or sparse, of any dtype and layout."""

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.preprocessing import StandardScaler

from skdnn.data import (
    Standardizer,
    fit_standardizer,
    identity_standardizer,
    make_rows,
    tensor_chunks,
)

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
X = RNG.normal(3.0, 2.0, size=(50, 4)) * (RNG.random((50, 4)) < 0.6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_array, torch.from_numpy])
def test_means_and_scales_are_those_of_standard_scaler(convert, dtype, weighted):
    weight = RNG.integers(0, 4, size=50).astype(float) if weighted else np.ones(50)
    data = X.astype(dtype)
    ours = fit_standardizer(convert(data), weight)
    theirs = StandardScaler().fit(data.astype(np.float64), sample_weight=weight)
    np.testing.assert_allclose(ours.mean, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(ours.scale, theirs.scale_, rtol=1e-12)


def test_statistics_do_not_depend_on_the_chunks(monkeypatch):
    whole = fit_standardizer(X, np.ones(50))
    monkeypatch.setattr("skdnn.data._chunks.CHUNK_SIZE", 12)
    chunked = fit_standardizer(X, np.ones(50))
    np.testing.assert_allclose(whole.apply(X), chunked.apply(X), rtol=1e-12)


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, 1e9 + 0.1])
def test_a_constant_feature_becomes_zero_and_stays_silent(constant):
    data = np.column_stack([np.full(1000, constant), RNG.normal(size=1000)])
    standardizer = fit_standardizer(data, np.ones(1000))
    assert standardizer.inverse_scale[0] == 0
    unseen = standardizer.apply(np.array([[constant + 5, 0.0]]))
    assert unseen[0, 0] == 0
    W, _ = standardizer.fold(np.ones((2, 1)), np.zeros(1))
    assert W[0] == 0


def test_a_large_mean_loses_no_digits():
    data = 1e8 + RNG.normal(size=(1000, 1))
    standardized = fit_standardizer(data, np.ones(1000)).apply(data)
    assert abs(standardized.mean()) < 1e-7
    assert standardized.std() == pytest.approx(1, rel=1e-7)


def test_folding_moves_standardising_into_the_first_layer_and_back():
    standardizer = fit_standardizer(X, np.ones(50))
    W, b = RNG.normal(size=(4, 3)), RNG.normal(size=3)
    raw_W, raw_b = standardizer.fold(W, b)
    np.testing.assert_allclose(X @ raw_W + raw_b, standardizer.apply(X) @ W + b, rtol=1e-12)
    for got, expected in zip(standardizer.unfold(raw_W, raw_b), (W, b), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_folding_is_refused_where_float32_would_lose_it():
    standardizer = Standardizer(np.array([1e6]), np.array([1.0]))
    assert not standardizer.folds_exactly(np.float32)
    assert standardizer.folds_exactly(np.float64)


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
def test_rows_come_out_the_same_from_every_layout(layout):
    data, standardizer = layouts()[layout], fit_standardizer(X, np.ones(50))
    index = np.array([7, 3, 40])
    rows = make_rows(data, index, standardizer, torch.float64, CPU)
    expected = torch.from_numpy(standardizer.apply(X[index]))
    torch.testing.assert_close(rows[0:3], expected, rtol=1e-12, atol=1e-12)
    taken = rows.take(torch.tensor([[2, 0], [1, 1]]))
    torch.testing.assert_close(taken, expected[[2, 0, 1, 1]].reshape(2, 2, 4))


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "uint8", "int64", "bool"]
)
def test_rows_come_out_the_same_from_every_dtype(dtype):
    data = (10 * X).astype(dtype)
    rows = make_rows(data, np.arange(50), identity_standardizer(4), torch.float32, CPU)
    assert rows[0:50].dtype == torch.float32
    np.testing.assert_array_equal(rows[0:50].numpy(), data.astype(np.float32))


@pytest.mark.parametrize("layout", layouts())
def test_chunks_of_any_layout_are_the_rows_in_order(layout, monkeypatch):
    monkeypatch.setattr("skdnn.data._chunks.CHUNK_SIZE", 28)
    chunks = list(tensor_chunks(layouts()[layout], None, torch.float64, CPU))
    assert [len(chunk) for chunk in chunks] == [7] * 7 + [1]
    np.testing.assert_allclose(torch.cat(chunks), X, rtol=1e-15)


def test_data_is_only_read():
    data = X.copy()
    rows = make_rows(data, np.arange(50), identity_standardizer(4), torch.float64, CPU)
    rows[0:50].zero_()
    np.testing.assert_array_equal(data, X)
