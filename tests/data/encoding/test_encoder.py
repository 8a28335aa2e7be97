"""The Encoder: standardising, clipping, missing indicators, bins and one-hot columns."""

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.preprocessing import OneHotEncoder, RobustScaler, StandardScaler

from skdnn import DeepRegressor
from skdnn.data.encoding import (
    Block,
    BlockModule,
    Encoder,
    OneHot,
    Standardize,
    WeightedColumns,
    _encoder,
    fit_encoder,
    identity_encoder,
)
from skdnn.data.frames import find_kinds, read_columns, select_categories

RNG = np.random.default_rng(0)
X = RNG.normal(3.0, 2.0, size=(50, 4)) * (RNG.random((50, 4)) < 0.6)
ONES = np.ones(50)
CONTAINERS = [np.asarray, sparse.csr_array, torch.from_numpy]
DOUBLE = torch.float64


def with_missing():
    data = X.copy()
    data[RNG.random(X.shape) < 0.3] = np.nan
    data[:, 3] = X[:, 3]
    return data


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("convert", CONTAINERS)
def test_means_and_scales_are_those_of_standard_scaler(convert, dtype, weighted):
    weight = RNG.integers(0, 4, size=50).astype(float) if weighted else ONES
    data = X.astype(dtype)
    ours = fit_encoder(WeightedColumns(convert(data), weight))
    theirs = StandardScaler().fit(data.astype(np.float64), sample_weight=weight)
    np.testing.assert_allclose(ours.block(Standardize).center, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(ours.block(Standardize).scale, theirs.scale_, rtol=1e-12)


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
def test_missing_values_do_not_count(convert):
    data = with_missing()
    ours, theirs = fit_encoder(WeightedColumns(convert(data), ONES)), StandardScaler().fit(data)
    np.testing.assert_allclose(ours.block(Standardize).center, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(ours.block(Standardize).scale, theirs.scale_, rtol=1e-12)


@pytest.mark.parametrize("convert", CONTAINERS)
def test_robust_centers_and_scales_are_those_of_robust_scaler(convert):
    data = RNG.exponential(size=(101, 3))  # quartiles of 101 values need no interpolation
    ours = fit_encoder(WeightedColumns(convert(data), np.ones(101)), "robust")
    theirs = RobustScaler().fit(data)
    np.testing.assert_allclose(ours.block(Standardize).center, theirs.center_, rtol=1e-12)
    np.testing.assert_allclose(ours.block(Standardize).scale, theirs.scale_, rtol=1e-12)


def test_robust_scale_is_half_the_range_if_most_values_are_the_same():
    data = np.zeros((50, 1))
    data[0], data[1] = -4, 6
    assert fit_encoder(WeightedColumns(data, ONES), "robust").block(Standardize).scale == 5


@pytest.mark.parametrize("standardize", [True, "robust", "smooth_clip"])
def test_integer_weights_count_as_repetitions(standardize):
    data, weight = with_missing(), RNG.integers(0, 4, size=50)
    options = {"standardize": standardize, "numeric_embedding": "piecewise_linear"}
    weighted = fit_encoder(WeightedColumns(data, weight.astype(float)), **options)
    repeated = fit_encoder(
        WeightedColumns(data.repeat(weight, axis=0), np.ones(weight.sum())), **options
    )
    torch.testing.assert_close(weighted.apply(data, DOUBLE), repeated.apply(data, DOUBLE))


@pytest.mark.parametrize("options", [{}, {"numeric_embedding": "piecewise_linear"}])
def test_the_result_does_not_depend_on_the_chunk_size(monkeypatch, options):
    data = with_missing()
    whole = fit_encoder(WeightedColumns(data, ONES), **options)
    monkeypatch.setattr("skdnn.data.frames._arrays.CHUNK_SIZE", 12)
    chunked = fit_encoder(WeightedColumns(data, ONES), **options)
    torch.testing.assert_close(whole.apply(data, DOUBLE), chunked.apply(data, DOUBLE))


def test_smooth_clip_bounds_outliers_and_keeps_the_order():
    data = np.concatenate([RNG.normal(size=49), [1e9]])[:, None]
    encoder = fit_encoder(WeightedColumns(data, ONES), "robust")
    Z = encoder.apply(data, DOUBLE)[:, 0].numpy()
    learned = encoder.block(Standardize)
    z = ((data - learned.center) * learned.inverse_scale)[:, 0]
    np.testing.assert_allclose(Z, z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-12)
    assert Z[-1] == pytest.approx(3)
    assert (np.argsort(Z) == np.argsort(data[:, 0])).all()


@pytest.mark.parametrize("standardize", [True, False, "smooth_clip", "robust"])
def test_a_missing_number_is_zero_with_a_missing_indicator(standardize):
    data = with_missing()
    encoder = fit_encoder(WeightedColumns(data, ONES), standardize)
    assert encoder.state["indicator_column"].tolist() == [0, 1, 2]
    encoded = encoder.apply(data, DOUBLE).numpy()
    numbers, indicators = encoded[:, :4], encoded[:, 4:]
    np.testing.assert_array_equal(indicators, np.isnan(data[:, :3]))
    assert (numbers[np.isnan(data)] == 0).all()


def test_missing_values_in_rows_of_weight_zero_have_no_indicator():
    data, weight = X.copy(), ONES.copy()
    data[7, 1], weight[7] = np.nan, 0
    encoder = fit_encoder(WeightedColumns(data, weight))
    assert encoder.state["indicator_column"].size == 0
    assert encoder.apply(data, DOUBLE)[7, 1] == 0


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, 1e9 + 0.1])
def test_a_constant_feature_is_always_encoded_as_zero(constant):
    data = np.column_stack([np.full(1000, constant), RNG.normal(size=1000)])
    encoder = fit_encoder(WeightedColumns(data, np.ones(1000)))
    assert encoder.state["inverse_scale"][0] == 0
    unseen = encoder.apply(np.array([[constant + 5, 0.0]]), DOUBLE)
    assert unseen[0, 0] == 0
    W, _ = encoder.block(Standardize).merge(np.ones((2, 1)), np.zeros(1))
    assert W[0] == 0


@pytest.mark.parametrize("standardize", [True, "smooth_clip", "robust"])
def test_a_column_without_any_value_is_zero(standardize):
    data = np.column_stack([np.full(50, np.nan), X[:, 0]])
    encoder = fit_encoder(WeightedColumns(data, ONES), standardize, "piecewise_linear")
    assert (encoder.apply(data, DOUBLE)[:, 0] == 0).all()


def test_a_large_mean_loses_no_digits():
    data = 1e8 + RNG.normal(size=(1000, 1))
    standardized = fit_encoder(WeightedColumns(data, np.ones(1000))).apply(data, DOUBLE).numpy()
    assert abs(standardized.mean()) < 1e-7
    assert standardized.std() == pytest.approx(1, rel=1e-7)


def test_merge_moves_standardising_into_the_first_layer():
    encoder = fit_encoder(WeightedColumns(X, ONES))
    W, b = RNG.normal(size=(4, 3)), RNG.normal(size=3)
    merged_W, merged_b = encoder.block(Standardize).merge(W, b)
    expected = encoder.apply(X, DOUBLE).numpy() @ W + b
    np.testing.assert_allclose(X @ merged_W + merged_b, expected, rtol=1e-12)


def test_a_rescaled_layer_computes_the_same_after_an_update():
    earlier = fit_encoder(WeightedColumns(X, ONES))
    later = earlier.updated(1000 * X[:20] + 7, ONES[:20])
    W, b = RNG.normal(size=(2, 4, 3)), RNG.normal(size=(2, 3))
    rescaled_W, rescaled_b = later.block(Standardize).rescaled(W, b, earlier.block(Standardize))
    expected = earlier.apply(X, DOUBLE).numpy() @ W + b[:, None]
    got = later.apply(X, DOUBLE).numpy() @ rescaled_W + rescaled_b[:, None]
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_rescaling_keeps_the_weights_of_constant_clipped_and_unscaled_columns():
    W, b = RNG.normal(size=(4, 3)), RNG.normal(size=3)
    constant = fit_encoder(WeightedColumns(np.ones((50, 4)), ONES))
    clipped, unscaled = fit_encoder(WeightedColumns(X, ONES), "smooth_clip"), identity_encoder(4)
    for earlier in (constant, clipped, unscaled):
        later = earlier.updated(X + 3, ONES)
        found = later.block(Standardize).rescaled(W, b, earlier.block(Standardize))
        for got, expected in zip(found, (W, b), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_merges_exactly_is_false_if_precision_or_columns_would_be_lost():
    far = fit_encoder(WeightedColumns(1e6 + X[:, :1] / X[:, :1].std(), ONES))
    assert not far.merges_exactly(np.float32)
    assert far.merges_exactly(np.float64)
    assert not fit_encoder(WeightedColumns(X, ONES), "smooth_clip").merges_exactly(np.float64)
    assert not fit_encoder(WeightedColumns(with_missing(), ONES)).merges_exactly(np.float64)
    assert identity_encoder(4).merges_exactly(np.float32)


def test_bins_hold_equally_many_rows_and_are_encoded_linearly():
    data = RNG.exponential(size=(1601, 1))
    encoder = fit_encoder(WeightedColumns(data, np.ones(1601)), False, "piecewise_linear")
    edges = np.quantile(data[:, 0], np.linspace(0, 1, 17), method="inverted_cdf")
    np.testing.assert_allclose(encoder.state["bin_start"], edges[:-1], rtol=1e-12)
    fractions = encoder.apply(data, DOUBLE)[:, 1:].numpy()
    expected = [np.interp(data[:, 0], edges[k : k + 2], [0, 1]) for k in range(16)]
    np.testing.assert_allclose(fractions, np.transpose(expected), atol=1e-12)


FRAME = pd.DataFrame(
    {
        "colour": pd.Categorical(RNG.choice(["red", "green", None], 50)),
        "width": with_missing()[:, 0],
        "native": RNG.random(50) < 0.5,
    }
)


def table(frame=FRAME):
    return read_columns(frame, find_kinds(FRAME, "from_dtype"))


def recoded_table():
    raw = table()
    pairs = zip(raw.counts(ONES), raw.categories, strict=True)
    return raw.recoded([select_categories(n[:-1], found, len(raw))[0] for n, found in pairs])


def test_categories_are_encoded_as_by_one_hot_encoder():
    encoder = fit_encoder(WeightedColumns(recoded_table(), ONES), "smooth_clip")
    encoded = encoder.apply(recoded_table(), DOUBLE).numpy()
    categories = FRAME[["colour", "native"]].astype(object)
    expected = OneHotEncoder(sparse_output=False).fit_transform(categories)
    np.testing.assert_array_equal(encoded[:, 2:], expected)
    np.testing.assert_array_equal(encoded[:, 1], FRAME["width"].isna())


def test_an_encoder_can_be_made_from_its_attributes():
    encoder = fit_encoder(WeightedColumns(recoded_table(), ONES), "robust", "piecewise_linear")
    again = Encoder.from_state(encoder.state)
    torch.testing.assert_close(
        again.apply(recoded_table(), DOUBLE), encoder.apply(recoded_table(), DOUBLE)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_module_encodes_as_the_encoder_does(dtype):
    encoder = fit_encoder(WeightedColumns(recoded_table(), ONES), "smooth_clip", "piecewise_linear")
    tensor = torch.empty(50, 3, dtype=DOUBLE)
    tensor[:, 1] = torch.from_numpy(recoded_table().numbers[:, 0])
    tensor[:, [0, 2]] = torch.from_numpy(recoded_table().codes).double()
    got = encoder.to_module(dtype)(tensor)
    assert got.dtype == dtype
    torch.testing.assert_close(got, encoder.apply(recoded_table(), dtype))


class CyclicModule(BlockModule):
    def forward(self, numbers, codes, dtype):
        phase = (numbers[:, self.cycle_column] * self.frequency).nan_to_num(0.0)
        return torch.cat([phase.sin(), phase.cos()], dim=1).to(dtype)


@dataclass(frozen=True)
class Cyclic(Block):
    """Sine and cosine of each number, with the range of its column as the period."""

    module: ClassVar = CyclicModule
    cycle_column: np.ndarray = field(default_factory=partial(np.empty, 0, dtype=np.intp))
    frequency: np.ndarray = field(default_factory=partial(np.empty, 0))

    @classmethod
    def fit(cls, columns, options):
        low, high = columns.limits()
        varies = np.flatnonzero(low < high)
        return cls(varies, 2 * np.pi / (high - low)[varies])

    @property
    def numbers_of_outputs(self):
        return np.tile(self.cycle_column, 2)

    def updated(self, columns):
        """Add the columns that begin to vary."""
        new = Cyclic.fit(columns, None)
        is_new = ~np.isin(new.cycle_column, self.cycle_column)
        return Cyclic(
            np.append(self.cycle_column, new.cycle_column[is_new]),
            np.append(self.frequency, new.frequency[is_new]),
        )

    def positions_in(self, later):
        first = np.arange(len(self.cycle_column))
        return np.append(first, len(later.cycle_column) + first)


@pytest.fixture
def with_cyclic_block(monkeypatch):
    monkeypatch.setattr(_encoder, "BLOCKS", [*_encoder.BLOCKS[:-1], Cyclic, OneHot])


def expected_cycles(data):
    phase = 2 * np.pi * data / np.ptp(data, axis=0)
    return np.hstack([np.sin(phase), np.cos(phase)])


def test_a_new_block_needs_one_class_and_one_entry_in_the_list(with_cyclic_block):
    encoder = fit_encoder(WeightedColumns(X, ONES))
    encoded = encoder.apply(X, DOUBLE)
    assert encoder.outputs_of(Cyclic) == slice(4, 12)
    np.testing.assert_allclose(encoded[:, 4:], expected_cycles(X), atol=1e-12)
    assert not encoder.merges_exactly(np.float64)
    again = Encoder.from_state(encoder.state)
    assert torch.equal(again.apply(X, DOUBLE), encoded)
    module = encoder.to_module(DOUBLE)
    exported = torch.export.export(module, (torch.from_numpy(X),)).module()
    torch.testing.assert_close(exported(torch.from_numpy(X)), encoded)
    assert module.half()(torch.from_numpy(X).half()).dtype == torch.float16


def test_the_outputs_of_a_new_block_are_found_again_after_an_update(with_cyclic_block):
    constant = np.column_stack([X[:, 0], ONES, X[:, 1]])
    encoder = fit_encoder(WeightedColumns(constant, ONES))
    later = encoder.updated(X[:, :3], ONES)
    assert encoder.positions_in(later).tolist() == [0, 1, 2, 3, 4, 6, 7]
    assert later.n_outputs == 9


@pytest.mark.parametrize("n_networks", [1, 2])
def test_an_estimator_is_fitted_with_a_new_block(with_cyclic_block, n_networks):
    rows, y = np.tile(X, (8, 1)), np.random.default_rng(0).normal(size=400)
    options = {"n_units": 4, "max_iter": 3, "random_state": 0, "n_networks": n_networks}
    frame = pd.DataFrame(rows, columns=list("abcd")).assign(town=[f"t{k // 2}" for k in range(400)])
    reg = DeepRegressor(target_encoding=True, early_stopping=n_networks > 1, **options)
    reg.fit(frame, y)
    assert len(reg.input_encoding_["mean_column"])  # of rare towns
    assert reg.input_encoding_["cycle_column"].tolist() == [0, 1, 2, 3, 4]
    codes = frame.assign(town=[list(reg.categories_[0]).index(town) for town in frame["town"]])
    got = reg.to_module()(torch.from_numpy(codes.to_numpy())).detach().numpy().ravel()
    np.testing.assert_allclose(got, reg.predict(frame), rtol=1e-4, atol=1e-6)


def test_partial_fit_continues_with_a_new_block(with_cyclic_block):
    reg = DeepRegressor(n_units=4, max_iter=1, random_state=0)
    reg.partial_fit(np.column_stack([X[:, :2], ONES]), X[:, 3])
    assert reg.coefs_[0].shape[0] == 3 + 4
    before = reg.coefs_[0].copy()
    reg.partial_fit(X[:, :3], X[:, 3])  # the third column begins to vary
    assert reg.coefs_[0].shape[0] == 3 + 6
    np.testing.assert_allclose(reg.coefs_[0][[3, 4, 6, 7]], before[3:], atol=0.1)
