"""The first layer by tables against the product of weights and encoded inputs."""

import numpy as np
import pytest
import torch

from skdnn import DeepBinaryClassifier
from skdnn.data.encoding import FirstLayer, WeightedColumns, fit_encoder
from skdnn.data.frames import read_columns

RNG = np.random.default_rng(0)
N = 200


def numbers():
    """Columns of many and of few numbers, of frequent zeros, a constant and missing values."""
    X = RNG.exponential(size=(N, 5)) * np.array([1.0, 1e-3, 1e6, 1.0, 1.0])
    X[:, 1] = RNG.integers(4, size=N)
    X[: N // 2, 2] = 0
    X[:, 3] = 7
    X[::5, 4] = np.nan
    return X


def table(names):
    kinds = ["number"] * 5 + ["category"] * names.shape[1]
    X = read_columns(np.column_stack([numbers().astype(object), names]), kinds)
    categories = [sorted(set(column)) for column in names.T]
    return X.recoded(categories, n_frequent=np.array([len(c) - 1 for c in categories]))


def layouts():
    names = RNG.choice(np.array(list("abcdef"), dtype=object), size=(N, 2))
    rare = RNG.integers(40, size=(N, 1)).astype(str).astype(object)
    return {"numbers": numbers(), "table": table(names), "target means": table(rare)}


@pytest.mark.parametrize("stack", [(), (3,)])
@pytest.mark.parametrize("standardize", [True, "smooth_clip"])
@pytest.mark.parametrize("layout", ["numbers", "table", "target means"])
def test_tables_give_the_product_of_weights_and_encoded_inputs(layout, standardize, stack):
    X = layouts()[layout]
    y = RNG.integers(2, size=N).astype(float)
    encoder = fit_encoder(WeightedColumns(X, np.ones(N), y), standardize, "piecewise_linear")
    generator = torch.Generator().manual_seed(0)
    shape = *stack, 4, encoder.n_outputs
    W = torch.randn(shape, dtype=torch.float64, generator=generator)
    b = torch.randn((*stack, 4, 1), dtype=torch.float64, generator=generator)
    expected = W @ encoder.apply(X, torch.float64).mT + b
    found = FirstLayer(encoder, W, b).raw_predict(X)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_numbers_outside_of_the_bins_and_on_their_edges_are_looked_up_as_they_are_encoded():
    X = RNG.normal(size=(N, 2))
    encoder = fit_encoder(WeightedColumns(X, np.ones(N)), "smooth_clip", "piecewise_linear")
    edges = np.sort(X, axis=0)
    rows = np.vstack([edges, edges[:1] - 1e9, edges[-1:] + 1e9, edges[:1] - 1e300])
    W, b = torch.ones((1, encoder.n_outputs), dtype=torch.float64), torch.zeros(1, 1).double()
    expected = encoder.apply(rows, torch.float64).sum(dim=1)
    torch.testing.assert_close(FirstLayer(encoder, W, b).raw_predict(rows)[0], expected)


@pytest.mark.parametrize("n_networks", [1, 3])
def test_rows_predicted_together_are_those_predicted_one_by_one(n_networks):
    X = layouts()["numbers"]
    y = RNG.integers(2, size=N)
    model = DeepBinaryClassifier(
        n_networks=n_networks, numeric_embedding="piecewise_linear", max_iter=3, random_state=0
    )
    model.fit(X, y)
    one_by_one = [model.decision_function(row[None])[0] for row in X]
    np.testing.assert_allclose(model.decision_function(X), one_by_one, rtol=1e-5, atol=1e-5)
