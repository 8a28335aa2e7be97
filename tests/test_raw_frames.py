"""Raw data frames: categories, missing values and unseen categories, in fit and prediction."""

import pickle

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skdnn import Checkpoint, DeepBinaryClassifier

QUICK = {"n_units": 8, "max_iter": 6, "batch_size": 32, "random_state": 0}
RNG = np.random.default_rng(0)
M = 240


def make_frame():
    """Return a data frame with columns of every kind, and labels that depend on them."""
    frame = pd.DataFrame(
        {
            "height": RNG.normal(size=M),
            "colour": pd.Categorical(RNG.choice(["red", "green", "blue"], M)),
            "petals": RNG.integers(3, 9, size=M),
            "is_outlier": RNG.random(M) < 0.5,
            "name": RNG.choice(["rose", "lily"], M),
        }
    )
    y = (frame["height"] + (frame["colour"] == "red") + frame["is_outlier"] > 0.8).to_numpy()
    frame.loc[RNG.random(M) < 0.2, "height"] = np.nan
    frame.loc[RNG.random(M) < 0.2, "colour"] = None
    return frame, np.where(y, "flower", "none")


FRAME, Y = make_frame()


def fit(frame=FRAME, **parameters):
    return DeepBinaryClassifier(**{**QUICK, **parameters}).fit(frame, Y)


def test_fit_learns_from_a_raw_data_frame():
    clf = DeepBinaryClassifier(random_state=0).fit(FRAME[:160], Y[:160])
    assert roc_auc_score(Y[160:] == "none", clf.predict_proba(FRAME[160:])[:, 1]) > 0.85
    assert clf.is_categorical_.tolist() == [False, True, False, True, True]
    assert [list(categories) for categories in clf.categories_] == [
        ["blue", "green", "red", None], [False, True], ["lily", "rose"],
    ]  # fmt: skip
    assert clf.n_features_in_ == 5
    assert clf.layer_sizes_[0] == 2 + 1 + 4 + 2 + 2 == len(clf.coefs_[0])


def test_fit_equals_a_pipeline_with_one_hot_encoding_and_scaling():
    frame = FRAME.drop(columns="height")
    prepare = make_column_transformer(
        (StandardScaler(), ["petals"]),
        (OneHotEncoder(sparse_output=False), ["colour", "is_outlier", "name"]),
    )
    inside = fit(frame, standardize=True, early_stopping=False)
    outside = make_pipeline(prepare, DeepBinaryClassifier(**QUICK, dtype="float32"))
    outside[-1].set_params(standardize=False, early_stopping=False)
    outside.fit(frame.astype({"colour": object}), Y)
    np.testing.assert_allclose(
        inside.predict_proba(frame),
        outside.predict_proba(frame.astype({"colour": object})),
        rtol=1e-4,
    )


def test_predict_accepts_unseen_categories_and_missing_values():
    clf = fit()
    unseen = FRAME[:3].astype({"colour": object, "name": object})
    unseen.loc[:, "colour"] = ["violet", None, 7]
    unseen.loc[:, "name"] = None
    unseen["petals"] = pd.array([3, pd.NA, 4], dtype="Int64")
    assert np.isfinite(clf.predict_proba(unseen)).all()


def test_column_names_and_numbers_are_checked_in_predict():
    clf = fit()
    with pytest.raises(ValueError, match="feature names should match"):
        clf.predict(FRAME.rename(columns={"name": "kind"}))
    with pytest.raises(ValueError, match="must hold numbers in column 'petals', got 'many'"):
        clf.predict(FRAME.assign(petals="many"))


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ([5.0, 7.0], "X must hold text in column 'name', as in fit, got numbers such as 5.0"),
        (pd.array([5, None], dtype="Int64"), "got numbers such as 5"),
        (pd.Categorical([5, 7]), "got numbers such as 5"),
        (pd.array([None, 5], dtype=object), "got numbers such as 5"),
        ([True, False], "got numbers such as True"),
        (pd.date_range("2020-01-01", periods=2), "got dates such as"),
        (pd.timedelta_range("1h", periods=2), "got durations such as"),
    ],
    ids=lambda value: str(getattr(value, "dtype", type(value))),
)
def test_numbers_in_a_text_column_raise(now, message):
    clf = fit()
    with pytest.raises(ValueError, match=message):
        clf.predict(FRAME[:2].assign(name=now))
    for X in (FRAME[:2].assign(name=None), FRAME[:2].assign(name=np.nan)):
        assert np.isfinite(clf.predict_proba(X)).all()
    mixed = FRAME[:2].assign(name=np.array(["rose", 7], dtype=object))
    assert np.isfinite(clf.predict_proba(mixed)).all()


@pytest.mark.parametrize("to", ["polars", "arrow", "array"])
def test_numbers_in_a_text_column_raise_in_any_library(to):
    frame = FRAME[["height", "name"]]
    wrong = frame.assign(name=np.arange(M) % 2)
    change = {
        "polars": lambda X: pytest.importorskip("polars").from_pandas(X),
        "arrow": lambda X: pytest.importorskip("pyarrow").Table.from_pandas(X),
        "array": lambda X: X.to_numpy(dtype=object),
    }[to]
    clf = fit(change(frame), categorical_features=[1] if to == "array" else "from_dtype")
    column = 1 if to == "array" else "'name'"
    with pytest.raises(ValueError, match=f"must hold text in column {column}, as in fit, got num"):
        clf.predict(change(wrong))


def test_numbers_in_a_text_column_of_rare_categories_raise(tmp_path):
    frame = FRAME[["height"]].assign(income=[f"{10_000 + i:,}" for i in range(M)])
    frame.assign(y=Y).to_parquet(tmp_path / "x.parquet")
    number = frame.assign(income=np.arange(10_000.0, 10_000 + M))
    number.to_parquet(tmp_path / "number.parquet")
    clf = DeepBinaryClassifier(**QUICK)
    for X, y in ((frame, Y), (tmp_path / "x.parquet", "y")):
        with pytest.warns(UserWarning, match="'income' reads as numbers"):
            clf.fit(X, y)
        for wrong in (number, tmp_path / "number.parquet"):
            with pytest.raises(ValueError, match="must hold text in column 'income', as in fit"):
                clf.predict(wrong)
    with (
        pytest.warns(UserWarning, match="'income' reads as numbers"),
        pytest.raises(ValueError, match=r"X_val and y_val .* must hold text in column 'income'"),
    ):
        clf.fit(frame, Y, X_val=number, y_val=Y)
    clf.partial_fit(frame, Y)
    with pytest.raises(ValueError, match="must hold text in column 'income'"):
        clf.partial_fit(number, Y)
    with pytest.raises(ValueError, match="must hold text in column 'income'"):
        clf.set_params(warm_start=True).fit(number, Y)


@pytest.mark.parametrize("values", [[3, 4, 5], [3.0, 4.0, 5.5], [True, False, True]], ids=str)
def test_numeric_categories_accept_numbers_of_any_dtype(values):
    column = np.resize(values, M)
    array = np.column_stack([column, FRAME["petals"]])
    chosen = fit(pd.DataFrame(array, columns=["a", "b"]), categorical_features=["a"])
    typed = fit(pd.DataFrame({"a": pd.Categorical(column), "b": FRAME["petals"]}))
    expected = chosen.predict_proba(pd.DataFrame(array, columns=["a", "b"]))
    for clf in (chosen, typed):
        for dtype in (None, float, "Float64", "float32", object, "category"):
            X = pd.DataFrame({"a": pd.Series(column, dtype=dtype), "b": FRAME["petals"]})
            np.testing.assert_array_equal(clf.predict_proba(X), expected)
        with pytest.raises(ValueError, match="hold numbers in column 'a', as in fit, got text"):
            clf.predict(X.assign(a="rose"))
        assert np.isfinite(clf.predict_proba(X[:5].assign(a=None))).all()


def test_text_in_a_column_of_numbers_or_dates_raises():
    frame = pd.DataFrame({"day": pd.date_range("2020-01-01", periods=M), "long": FRAME["height"]})
    clf = fit(frame)
    with pytest.raises(ValueError, match="must hold dates in column 'day', as in fit, got text or"):
        clf.predict(frame.astype({"day": str}))
    with pytest.raises(ValueError, match="must hold numbers in column 'long', got 'n/a'"):
        clf.predict(frame.assign(long="n/a"))
    missing = frame.assign(day=pd.Series([None] * M, dtype="string"), long=None)
    assert np.isfinite(clf.predict_proba(missing)).all()


def test_partial_fit_learns_the_kind_of_a_column_from_a_later_chunk():
    clf = DeepBinaryClassifier(**QUICK)
    missing = FRAME[["height"]].assign(name=pd.Series([None] * M, dtype=object))
    clf.partial_fit(missing, Y, classes=["flower", "none"])
    clf.partial_fit(FRAME[["height", "name"]], Y)
    with pytest.raises(ValueError, match="must hold text in column 'name'"):
        clf.partial_fit(missing.assign(name=5), Y)


def test_categorical_features_none_names_and_indices():
    with pytest.raises(ValueError, match="to float"):
        fit(categorical_features=None)
    frame = FRAME[["height", "petals"]]
    clf = fit(frame, categorical_features=["petals"])
    assert list(clf.categories_[0]) == [3, 4, 5, 6, 7, 8]
    array = frame.to_numpy()
    same = fit(array, categorical_features=[1])
    np.testing.assert_array_equal(same.predict_proba(array), clf.predict_proba(frame))
    with pytest.raises(ValueError, match=r"1 features, but .* expecting 2"):
        same.predict(array[:, :1])


def test_lists_of_rows_may_hold_categories():
    rows = FRAME[["name", "petals"]].to_numpy().tolist()
    clf = fit(rows, categorical_features=[0])
    frame = FRAME[["name", "petals"]]
    np.testing.assert_array_equal(clf.predict(rows), fit(frame).predict(frame))


def test_sparse_data_with_categorical_features_raises():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(ValueError, match="X must be dense where categorical_features"):
        fit(sparse.csr_array(np.ones((M, 2))), categorical_features=[0])


@pytest.mark.parametrize("options", [{}, {"numeric_embedding": "piecewise_linear"}])
def test_to_module_takes_category_codes(options):
    clf = fit(**options)
    X = FRAME[["height", "colour", "petals", "is_outlier", "name"]].copy()
    for name, categories in zip(["colour", "is_outlier", "name"], clf.categories_, strict=True):
        code = {category: k for k, category in enumerate(categories)}
        X[name] = [
            code[None if pd.isna(category) else category] for category in X[name].astype(object)
        ]
    tensor = torch.from_numpy(X.to_numpy(dtype=np.float64))
    P = clf.to_module()(tensor).detach()
    np.testing.assert_allclose(P, clf.predict_proba(FRAME)[:, 1], rtol=1e-5)
    exported = torch.export.export(clf.to_module(), (tensor,))
    np.testing.assert_allclose(exported.module()(tensor).detach(), P, rtol=1e-6)


def test_pickle_and_clone_with_data_frames():
    clf = fit(n_networks=2, early_stopping=False)
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(FRAME), clf.predict_proba(FRAME))
    clone(clf).fit(FRAME, Y)


def test_searches_and_cross_validation_accept_data_frames():
    search = GridSearchCV(DeepBinaryClassifier(**QUICK), {"standardize": [True, "robust"]}, cv=2)
    assert search.fit(FRAME, Y).score(FRAME, Y) > 0.5
    P = cross_val_predict(DeepBinaryClassifier(**QUICK), FRAME, Y, method="predict_proba")
    assert P.shape == (M, 2)


@pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss"])
def test_scoring_of_held_out_rows_of_a_data_frame(scoring):
    clf = fit(early_stopping=True, scoring=scoring)
    assert len(clf.validation_scores_) == clf.n_iter_


def test_scoring_of_several_networks_on_a_data_frame():
    clf = fit(n_networks=5, scoring="roc_auc")
    assert np.isfinite(clf.oob_proba_).all()


def test_validation_set_may_be_a_data_frame():
    clf = DeepBinaryClassifier(**QUICK)
    clf.fit(FRAME[:160], Y[:160], X_val=FRAME[160:], y_val=Y[160:])
    assert len(clf.validation_loss_curve_) == clf.n_iter_


@pytest.mark.parametrize("kept", [0, 2**25])
def test_batches_of_a_large_table_are_encoded_on_demand(kept, monkeypatch):
    expected = fit(n_networks=2).predict_proba(FRAME)
    monkeypatch.setattr("skdnn.data.batches._inputs._TABLE_WORTH_EXPANDING", 0)
    monkeypatch.setattr("skdnn.data.batches._inputs._NUMBERS_WORTH_KEEPING", kept)
    np.testing.assert_allclose(fit(n_networks=2).predict_proba(FRAME), expected, rtol=1e-5)


def test_rows_of_weight_zero_add_no_categories_and_missing_values():
    weight = np.array([1.0] * 200 + [0.0] * 40)
    odd = FRAME.astype({"colour": object, "is_outlier": object}).copy()
    odd.loc[200:, "colour"] = "violet"
    odd.loc[200:, "is_outlier"] = "perhaps"
    odd["petals"] = odd["petals"].astype(float)
    odd.loc[200:, "petals"] = np.nan
    with_them = DeepBinaryClassifier(**QUICK).fit(odd, Y, sample_weight=weight)
    without = DeepBinaryClassifier(**QUICK).fit(odd[:200], Y[:200])
    np.testing.assert_allclose(
        with_them.predict_proba(FRAME), without.predict_proba(FRAME), rtol=1e-6
    )


def test_warm_start_keeps_categories_and_encoding():
    clf = fit(warm_start=True)
    categories, encoding = clf.categories_, clf.input_encoding_
    few = FRAME["colour"].isin(["red", "blue"])
    clf.fit(FRAME[few], Y[few])
    assert clf.categories_ is categories
    np.testing.assert_array_equal(clf.input_encoding_["center"], encoding["center"])
    assert clf.n_iter_ > 6


def test_partial_fit_adds_categories_and_missing_indicators():
    clf = DeepBinaryClassifier(**QUICK)
    clf.partial_fit(FRAME[:120].assign(height=1.0), Y[:120], classes=["flower", "none"])
    before, sizes = [list(categories) for categories in clf.categories_], clf.layer_sizes_
    clf.partial_fit(FRAME[120:].assign(name="orchid"), Y[120:])
    assert [list(categories) for categories in clf.categories_] == [
        *before[:2],
        [*before[2], "orchid"],
    ]
    assert clf.layer_sizes_ == (sizes[0] + 2, *sizes[1:])  # the orchid, and a flag for height
    assert np.isfinite(clf.predict_proba(FRAME)).all()


def test_new_fit_forgets_earlier_categories():
    clf = fit()
    clf.fit(FRAME[["petals"]].to_numpy(), Y)
    assert clf.categories_ is None
    assert clf.is_categorical_ is None
    assert clf.predict(np.ones((2, 1))).shape == (2,)


def test_checkpoint_of_a_data_frame_is_resumed_only_with_the_same_data(tmp_path):
    checkpoint = Checkpoint(tmp_path / "fit.ckpt", every_epochs=1)
    expected = fit(checkpoint=checkpoint)
    again = fit(checkpoint=checkpoint)
    np.testing.assert_array_equal(again.predict_proba(FRAME), expected.predict_proba(FRAME))
    with pytest.raises(ValueError, match="other parameters or data"):
        DeepBinaryClassifier(**QUICK, checkpoint=checkpoint).fit(FRAME.assign(name="rose"), Y)


def test_skops_saves_a_classifier_fitted_on_a_data_frame(tmp_path):
    skops = pytest.importorskip("skops.io")
    clf = fit()
    skops.dump(clf, tmp_path / "clf.skops")
    trusted = ["skdnn.classifier.DeepBinaryClassifier"]
    again = skops.load(tmp_path / "clf.skops", trusted=trusted)
    np.testing.assert_array_equal(again.predict_proba(FRAME), clf.predict_proba(FRAME))


DTYPES_OF_NUMBERS = {
    "float64": (["float64"], "float64"),
    "float32": (["float32"], "float32"),
    "both": (["float32", "float64"], "float64"),
    "nullable float64": (["Float64"], "float64"),
    "nullable float32": (["Float32"], "float32"),
    "int64": (["int64"], "float64"),
    "dates": (["datetime64[us]"], "float64"),
    "float32 and small integers with missing values": (["float32", "Int8"], "float32"),
    "none": ([], "float32"),
}


@pytest.mark.parametrize(("dtypes", "expected"), DTYPES_OF_NUMBERS.values(), ids=DTYPES_OF_NUMBERS)
def test_predictions_have_the_dtype_of_the_numeric_columns(dtypes, expected, tmp_path):
    # Values that float32 holds exactly: the dtype of the column counts, not its values.
    frame = pd.DataFrame({"colour": np.resize(["red", "green", "blue"], M)})
    for dtype in dtypes:
        frame[dtype] = pd.Series(np.arange(M) % 7).astype(dtype)
        if dtype[0] in "IF":
            frame[dtype] = frame[dtype].mask(frame.index < 2)
    path, written = tmp_path / "frame.parquet", tmp_path / "predictions.parquet"
    frame.to_parquet(path, index=False)
    clf = DeepBinaryClassifier(**QUICK).fit(frame, Y)
    assert clf.coefs_[0].dtype == "float32"
    pl = pytest.importorskip("polars")
    for X in (frame, frame[5:6], pl.read_parquet(path), pq.read_table(path), path):
        assert clf.decision_function(X).dtype == clf.predict_proba(X).dtype == expected
    for X in (frame, path):
        clf.write_predictions(X, written, method="decision_function")
        column = pd.read_parquet(written)["decision_function"]
        assert column.dtype == expected
        np.testing.assert_array_equal(column, clf.decision_function(X))
