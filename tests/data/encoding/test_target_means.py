"""Target encoding: compared with scikit-learn's TargetEncoder, and fold by fold by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.preprocessing import TargetEncoder

from skdnn.data.encoding import (
    Encoder,
    TargetMeans,
    WeightedColumns,
    assign_folds,
    columns_with_rare_categories,
    fit_encoder,
    out_of_fold_means,
)
from skdnn.data.frames import find_kinds, read_columns, select_categories

RNG = np.random.default_rng(0)
NAMES = pd.DataFrame(
    {
        "town": [f"t{k}" for k in RNG.integers(0, 60, 300)],
        "colour": RNG.choice(["red", "blue", None], 300),
        "street": [f"s{k}" for k in RNG.integers(0, 200, 300)],
        "width": RNG.normal(size=300),
    }
)
LABELS, NUMBERS = RNG.integers(0, 2, 300).astype(float), RNG.normal(5, 3, (300, 2))
ONES = np.ones(300)


def table(frame=NAMES, weight=ONES, min_fraction=0.0):
    raw = read_columns(frame, find_kinds(NAMES, "from_dtype"))
    pairs, n_rows = zip(raw.counts(weight), raw.categories, strict=True), np.count_nonzero(weight)
    chosen = [select_categories(n[:-1], found, n_rows, min_fraction) for n, found in pairs]
    categories, n_frequent = zip(*chosen, strict=True)
    return raw.recoded(list(categories), np.array(n_frequent))


def target_means(X, y, weight):
    return vars(TargetMeans.fit(WeightedColumns(X, weight, y)))


def look_up(X, means):
    """Return the target means of each row."""
    of_columns = np.split(means["category_mean"], np.cumsum(means["n_means"])[:-1])
    pairs = zip(means["mean_column"], of_columns, strict=True)
    return np.hstack([of_column[X.codes[:, j]] for j, of_column in pairs])


def test_columns_with_rare_categories_have_target_means():
    assert columns_with_rare_categories(table()).tolist() == [0, 2]
    assert columns_with_rare_categories(table(min_fraction=1.0)).tolist() == []
    assert columns_with_rare_categories(np.zeros((3, 2))).tolist() == []


def test_rare_categories_must_be_repeated_in_enough_rows():
    frame = NAMES.assign(street=np.arange(300).astype(str))
    assert columns_with_rare_categories(table(frame)).tolist() == [0]
    frame.loc[:5, "street"] = "twice"  # frequent by now
    frame.loc[6:9, "street"] = "again"
    assert columns_with_rare_categories(table(frame, min_fraction=0.01)).tolist() == [0, 2]
    assert columns_with_rare_categories(table(frame, min_fraction=0.02)).tolist() == [0]


@pytest.mark.parametrize("y", [LABELS, NUMBERS[:, 0], NUMBERS], ids=["labels", "numbers", "two"])
def test_target_means_are_those_of_target_encoder(y):
    X = table()
    got = look_up(X, target_means(X, y, ONES)).reshape(300, 2, -1)
    for k, one in enumerate(y.reshape(300, -1).T):
        kind = "binary" if y is LABELS else "continuous"
        peer = TargetEncoder(smooth=10.0, target_type=kind).fit(NAMES[["town", "street"]], one)
        expected = peer.transform(NAMES[["town", "street"]])
        np.testing.assert_allclose(got[..., k], expected, rtol=1e-12)


def test_neither_rows_of_weight_zero_nor_the_unit_of_weights_matter():
    weight = RNG.integers(0, 3, 300).astype(float)
    X, y = table(weight=weight), np.where(weight > 0, LABELS, np.nan_to_num(np.inf))
    means, kept = target_means(X, y, weight), weight > 0
    expected = target_means(X[kept], y[kept], 1e-6 * weight[kept])
    assert means["n_means"].tolist() == expected["n_means"].tolist()
    np.testing.assert_allclose(means["category_mean"], expected["category_mean"], rtol=1e-9)


def test_a_row_of_high_weight_dominates_the_mean_of_its_category():
    X, weight = table(), ONES.copy()
    weight[0] = 100
    light = target_means(X, LABELS, ONES)["category_mean"]
    heavy = target_means(X, LABELS, weight)["category_mean"]
    code = X.codes[0, 0]
    assert abs(heavy[code, 0] - LABELS[0]) < 0.1 < abs(light[code, 0] - LABELS[0])


def test_out_of_fold_means_are_those_of_the_other_folds():
    X, fold = table(), assign_folds(300, seed=0)
    got = out_of_fold_means(WeightedColumns(X, ONES, NUMBERS), fold)
    mean = NUMBERS.mean(axis=0)
    for i in range(0, 300, 7):
        expected = []
        for name in ("town", "street"):
            others = (NAMES[name] == NAMES[name][i]).to_numpy() & (fold != fold[i])
            expected += list((NUMBERS[others].sum(axis=0) + 10 * mean) / (others.sum() + 10))
        np.testing.assert_allclose(got[i], expected, rtol=1e-12)


def test_folds_are_even_and_keep_groups_together():
    fold = assign_folds(103, seed=1)
    assert np.ptp(np.bincount(fold)) <= 1
    groups = np.repeat([7, 3, 9, 4, 11, 5, 40], 5)
    fold = assign_folds(35, seed=1, groups=groups)
    assert (np.ptp(fold.reshape(7, 5), axis=1) == 0).all()
    assert set(fold) == set(range(5))


def test_the_encoder_standardises_target_means_like_numbers():
    X = table()
    encoder = fit_encoder(WeightedColumns(X, ONES, LABELS), True)
    means = look_up(X, encoder.state)
    expected = (means - means.mean(axis=0)) / means.std(axis=0)
    np.testing.assert_allclose(encoder.apply(X, torch.float64)[:, 1:3], expected, atol=1e-12)
    of_others = out_of_fold_means(WeightedColumns(X, ONES, LABELS), assign_folds(300, seed=0))
    from_other_folds = table()
    object.__setattr__(from_other_folds, "means", of_others)
    encoder = fit_encoder(WeightedColumns(from_other_folds, ONES, LABELS), True)
    expected = (of_others - of_others.mean(axis=0)) / of_others.std(axis=0)
    encoded = encoder.apply(from_other_folds, torch.float64)
    np.testing.assert_allclose(encoded[:, 1:3], expected, atol=1e-12)


def test_an_unknown_category_has_the_mean_of_all_rows_and_the_column_of_rare_ones():
    encoder = fit_encoder(WeightedColumns(table(), ONES, LABELS), False)
    raw = read_columns(
        pd.DataFrame({"town": ["nowhere"], "colour": ["red"], "street": ["s0"], "width": [0.0]}),
        find_kinds(NAMES, "from_dtype"),
    )
    encoded = encoder.apply(raw.recoded(table().categories), torch.float64)[0]
    np.testing.assert_allclose(encoded[1], LABELS.mean())
    n_towns = encoder.state["n_categories"][0]
    assert n_towns == encoder.state["n_frequent"][0] + 1
    assert encoded[3 : 3 + n_towns].tolist() == [0] * (n_towns - 1) + [1]


def test_the_module_encodes_target_means_as_the_encoder_does():
    X = table()
    encoder = fit_encoder(WeightedColumns(X, ONES, NUMBERS), "smooth_clip", "piecewise_linear")
    tensor = torch.empty(300, 4, dtype=torch.float64)
    tensor[:, 3] = torch.from_numpy(X.numbers[:, 0])
    tensor[:, :3] = torch.from_numpy(X.codes.astype(float))
    expected = encoder.apply(X, torch.float64)
    torch.testing.assert_close(encoder.to_module(torch.float64)(tensor), expected)


def test_an_encoder_can_be_made_without_target_means():
    X = table(min_fraction=1.0)
    encoder = fit_encoder(WeightedColumns(X, ONES))
    state = {name: value for name, value in encoder.state.items() if "mean" not in name}
    again = Encoder.from_state(state)
    assert torch.equal(again.apply(X, torch.float64), encoder.apply(X, torch.float64))
