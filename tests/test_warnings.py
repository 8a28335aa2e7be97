"""Warnings point to the line of the user's code, and name the column in question."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skdnn import DeepBinaryClassifier, DeepRegressor

M = 100
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"width": RNG.normal(size=M), "kind": ["a", "b"] * (M // 2)})
Y = FRAME["width"] > 0
IDS = FRAME.assign(name=[f"row {i}" for i in range(M)])
SHORT = DeepBinaryClassifier(2, 4, max_iter=2, tol=0.0, random_state=0)
CALLS = {
    "fit": lambda: SHORT.fit(FRAME, Y),
    "a pipeline": lambda: make_pipeline(FunctionTransformer(), SHORT).fit(FRAME, Y),
    "a search": lambda: cross_val_score(SHORT, FRAME, Y, cv=2),
    "partial_fit": lambda: DeepBinaryClassifier().partial_fit(IDS, Y, classes=[False, True]),
    "predict": lambda: fitted.predict_proba(FRAME.assign(kind="c")),
}
fitted = DeepBinaryClassifier(n_units=4, random_state=0).fit(FRAME, Y)


@pytest.mark.parametrize("name", CALLS)
def test_a_warning_points_to_the_calling_line(name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CALLS[name]()
    assert caught
    here = CALLS[name].__code__.co_firstlineno
    assert {(warning.filename, warning.lineno) for warning in caught} == {(__file__, here)}


def test_a_column_with_only_rare_categories_is_warned_of():
    with pytest.warns(UserWarning, match="Column 'name' has almost only rare categories, which"):
        clf = DeepBinaryClassifier(n_units=4, max_iter=2).fit(IDS, Y)
    assert [len(categories) for categories in clf.categories_] == [2, 0]


def test_a_column_with_almost_only_unseen_categories_is_warned_of():
    for category in ("c", None):
        with pytest.warns(UserWarning, match="Column 'kind' has almost only .* unseen in fit"):
            fitted.predict(FRAME.assign(kind=category))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predict(FRAME.assign(kind=["c"] * 50 + ["a"] * 50))
        fitted.predict(FRAME.assign(kind="c")[:10])  # too few rows for a warning


def test_rare_categories_in_rows_of_weight_zero_are_not_warned_of():
    weight = np.repeat([1.0, 0.0], M // 2)
    names = ["a", "b"] * (M // 4) + [f"row {i}" for i in range(M // 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        DeepBinaryClassifier(max_iter=2).fit(FRAME.assign(name=names), Y, sample_weight=weight)


# -- numbers and dates stored as text ---------------------------------------------------------

INCOMES = FRAME.assign(income=[f"{10_000 + 37 * i:,}" for i in range(M - 1)] + ["n/a"])
DAYS = FRAME.assign(day=[f"2020-0{1 + i % 9}-1{i % 7}" for i in range(M)])


def messages(call, ignored=ConvergenceWarning):
    """Return the messages of the warnings of a call, without one category."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(warning.message) for warning in caught if warning.category is not ignored]


def test_numbers_stored_as_text_are_warned_of_with_the_code_that_converts_them():
    (message,) = messages(lambda: SHORT.fit(INCOMES, Y))
    assert message == (
        "Column 'income' reads as numbers, except 'n/a', but holds text and is learned as "
        "categories. Convert it: X['income'] = pd.to_numeric(X['income'].str.replace(',', ''), "
        "errors='coerce'). If categories are meant, give it a categorical dtype, or name all "
        "columns of categories in categorical_features."
    )


def test_dates_stored_as_text_are_warned_of():
    (message,) = messages(lambda: SHORT.fit(DAYS, Y))
    assert "Column 'day' reads as dates, but" in message
    assert "X['day'] = pd.to_datetime(X['day'], errors='coerce')" in message


@pytest.mark.parametrize("estimator_class", [DeepBinaryClassifier, DeepRegressor])
@pytest.mark.parametrize("n_networks", [1, 5])
def test_text_is_warned_of_once_in_fit_and_not_in_predict(estimator_class, n_networks):
    model = estimator_class(2, 4, max_iter=2, n_networks=n_networks, random_state=0)
    X = INCOMES.assign(day=DAYS["day"])
    rows = {"X_val": X, "y_val": Y} if n_networks == 1 else {}
    found = messages(lambda: model.fit(X, Y, **rows))
    assert [message.split("'")[1] for message in found] == ["income", "day"]
    assert messages(lambda: (model.predict(X[:20]), model.score(X[:20], Y[:20]))) == []


def test_predict_does_not_repeat_a_warning_of_fit():
    assert len(messages(lambda: SHORT.fit(IDS, Y))) == 1
    assert messages(lambda: SHORT.predict(IDS)) == []


def test_a_failed_call_does_not_suppress_later_warnings(monkeypatch):
    clf = clone(SHORT).partial_fit(FRAME, Y, classes=[False, True])
    before = pickle.dumps(clf)
    rare = FRAME.assign(kind=[f"row {i}" for i in range(M)])
    with monkeypatch.context() as context:
        context.setattr("skdnn.estimator._estimator.make_plan", None)
        with pytest.raises(TypeError), pytest.warns(UserWarning, match="'kind'"):
            clf.partial_fit(rare, Y)
    assert pickle.dumps(clf) == before


def test_text_is_warned_of_once_per_fit_in_pipelines_and_searches():
    pipe = make_pipeline(FunctionTransformer(), clone(SHORT))
    assert len(messages(lambda: pipe.fit(DAYS, Y))) == 1
    assert len(messages(lambda: cross_val_score(pipe, DAYS, Y, cv=2))) == 2


def test_continued_training_warns_of_text_in_the_first_call_only():
    clf = DeepBinaryClassifier(n_units=4, random_state=0)
    assert len(messages(lambda: clf.partial_fit(INCOMES, Y, classes=[False, True]))) == 1
    assert messages(lambda: clf.partial_fit(INCOMES, Y)) == []
    clf = clone(SHORT).set_params(warm_start=True)
    assert len(messages(lambda: clf.fit(INCOMES, Y))) == 1
    assert messages(lambda: clf.fit(INCOMES, Y)) == []


@pytest.mark.parametrize(
    ("X", "parameters"),
    [
        (INCOMES.astype({"income": "category"}), {}),
        (INCOMES, {"categorical_features": ["income", "kind"]}),
        (INCOMES.to_numpy(), {"categorical_features": [1, 2]}),
    ],
    ids=["dtype", "names", "indices"],
)
def test_text_declared_as_categories_is_not_warned_of(X, parameters):
    found = messages(lambda: clone(SHORT).set_params(**parameters).fit(X, Y))
    assert not [message for message in found if "reads as" in message]


def test_text_in_rows_of_weight_zero_is_ignored():
    X = FRAME.assign(size=["1", "x"] * (M // 2))
    assert messages(lambda: SHORT.fit(X, Y)) == []
    weight = np.array([1.0, 0.0] * (M // 2))
    (message,) = messages(lambda: SHORT.fit(X, Y, sample_weight=weight))
    assert "'size' reads as numbers, but" in message


@pytest.mark.parametrize("library", ["polars", "pyarrow", "path", "dataset"])
def test_text_in_frames_of_other_libraries_and_files_is_warned_of(library, tmp_path):
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    dataset = pytest.importorskip("pyarrow.dataset")
    path = tmp_path / "x.parquet"
    INCOMES.assign(y=Y).to_parquet(path, row_group_size=30)
    X, y = {
        "polars": (pl.from_pandas(INCOMES), Y),
        "pyarrow": (pa.Table.from_pandas(INCOMES), Y),
        "path": (path, "y"),
        "dataset": (dataset.dataset(path), "y"),
    }[library]
    (message,) = messages(lambda: clone(SHORT).fit(X, y))
    assert "Column 'income' reads as numbers, except 'n/a', but holds text" in message
    line = {
        "polars": "X.with_columns(pl.col('income').str.replace_all('[,]', '').cast(pl.Float64",
        "pyarrow": "X.set_column(2, 'income', pa.array(pd.to_numeric(X['income'].to_pandas()",
    }
    assert line.get(library, "frame['income'] = pd.to_numeric(frame['income']") in message
