"""Columns of one numeric dtype are read together, as if they were read one by one."""

import numpy as np
import pandas as pd
import pytest

from skdnn.data.frames import _reading, find_kinds, read_columns

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

M = 6
MISSING = [1.5, np.nan, 3.0, -1.0, 0.0, 2.0]
SERIES = {
    "float64": pd.Series(MISSING),
    "float32": pd.Series(MISSING, dtype="float32"),
    "float16": pd.Series(MISSING, dtype="float16"),
    "int8": pd.Series(range(M), dtype="int8"),
    "int64": pd.Series([2**53 + 1, 2**60 + 1, -(2**62) - 1, 0, 1, 2]),
    "uint64": pd.Series([2**64 - 1, 0, 1, 2, 3, 2**63], dtype="uint64"),
    "Int64": pd.Series([1, None, 2**53 + 1, 4, 5, 6], dtype="Int64"),
    "Int8": pd.Series([1, None, 3, 4, 5, 6], dtype="Int8"),
    "Float32": pd.Series([1.5, None, 3, 4, 5, 6], dtype="Float32"),
    "on arrow": pd.Series([1.5, None, 3, 4, 5, 6], dtype="double[pyarrow]"),
    "large": pd.Series([1e300, -1e300, 1e39, 0, 1, 2]),
    "sparse": pd.Series(pd.arrays.SparseArray([0, 0, 1.5, 0, 2, 0])),
    "boolean": pd.Series([True, False] * 3),
    "text": pd.Series(list("abcabc")),
    "date": pd.Series(pd.date_range("2020-01-01", periods=M)),
    "objects": pd.Series([1, 2.5, None, 4, 5, 6], dtype=object),
    "infinite": pd.Series([1, np.inf, 3, 4, 5, 6.0]),
    "negative infinite": pd.Series([1, 2, -np.inf, 4, 5, 6.0]),
}
LIBRARIES = {
    "pandas": lambda frame: frame,
    "pandas, no row": lambda frame: frame[:0],
    "pandas, one row": lambda frame: frame[:1],
    "pandas, one name for all": lambda frame: frame.set_axis(["x"] * frame.shape[1], axis=1),
    "polars": pl.from_pandas,
    "arrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "arrow in parts": lambda frame: pa.concat_tables(
        [pa.Table.from_pandas(part, preserve_index=False) for part in (frame[:2], frame[2:])]
    ),
    "array": lambda frame: frame.to_numpy(),
}


def random_frames():
    """Yield frames of up to 9 columns, some of the same dtype."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        names = rng.choice(list(SERIES), size=rng.integers(1, 10))
        frame = pd.concat([SERIES[name] for name in names], axis=1)
        yield frame.set_axis([f"{name} {j}" for j, name in enumerate(names)], axis=1)


def read(frame):
    """Return the kinds and values of a frame, or the error."""
    try:
        kinds = find_kinds(frame, "from_dtype")
        X = read_columns(frame, kinds)
    except (TypeError, ValueError) as error:
        return type(error), str(error)
    if isinstance(X, np.ndarray):
        return kinds, X, X.dtype
    return kinds, X.numbers, X.numbers.dtype, X.codes, list(map(list, X.categories))


@pytest.mark.parametrize("library", LIBRARIES)
def test_reading_in_blocks_equals_reading_column_by_column(library, monkeypatch):
    n_errors = 0
    for frame in random_frames():
        try:
            frame = LIBRARIES[library](frame)
        except Exception:
            continue  # the library has no column of such a dtype
        found = read(frame)
        with monkeypatch.context() as context:
            context.setattr(_reading, "_MOST_ROWS_OF_BLOCKS", -1)
            expected = read(frame)
        np.testing.assert_equal(found, expected)
        n_errors += isinstance(found[0], type)
    assert n_errors > 0 or library in ("pandas, no row", "pandas, one row")


@pytest.mark.parametrize("library", ["pandas", "polars", "arrow", "array"])
def test_columns_of_several_dtypes_keep_their_order(library):
    numbers = np.arange(24.0).reshape(4, 6)
    frame = pd.DataFrame(numbers, columns=list("abcdef"))
    frame = frame.astype({"b": "int8", "d": "float32", "e": "int8"})
    frame.insert(2, "text", list("xyxy"))
    X = read_columns(LIBRARIES[library](frame), ["number"] * 2 + ["category"] + ["number"] * 4)
    np.testing.assert_array_equal(X.numbers, numbers)


def test_the_error_names_the_first_column_with_infinity():
    frame = pd.DataFrame({"a": [1, 2], "b": [1.0, np.inf], "c": [np.inf, 2.0], "d": [1.0, 2.0]})
    with pytest.raises(ValueError, match="infinity in column 'b'"):
        read_columns(frame, None)


def test_columns_of_numbers_in_a_wide_frame_are_not_read_one_by_one(monkeypatch):
    """Only the text column is read separately."""
    frame = pd.DataFrame(np.eye(3, 300)).assign(text=list("aba"))
    single = []
    columns_of = _reading.columns_of
    monkeypatch.setattr(
        _reading,
        "columns_of",
        lambda X, indices=None: single.append(indices) or columns_of(X, indices),
    )
    read_columns(frame, find_kinds(frame, "from_dtype"))
    assert single == [[300], [300]]
