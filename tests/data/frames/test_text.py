"""Messages about text columns that hold numbers, dates or durations, with code to convert them."""

import re

import numpy as np
import pandas as pd
import pytest

from skdnn.data.frames import find_kinds, read_columns
from skdnn.data.frames._text import text_warnings

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

# Texts, and the numbers that they stand for.
NUMBERS = {
    "plain": (["12", "-1e3", " 3.5 ", "+.5", "7."], [12, -1000, 3.5, 0.5, 7]),
    "few distinct values": (["0", "1"] * 10, [0, 1] * 10),
    "thousands": (["12,345", "1,234,567.5", "-999"], [12345, 1234567.5, -999]),
    "thousands alone": (["12,345", "1,500"], [12345, 1500]),
    "thousands and points": (["1.234,5", "12,75"], [1234.5, 12.75]),
    "decimal commas": (["3,5", "0,125", "-12,75"], [3.5, 0.125, -12.75]),
    "blanks": (["1 234", "1\u202f234\u202f567", "56"], [1234, 1234567, 56]),
    "apostrophes": (["1'234", "56"], [1234, 56]),
    "currency": (["$12", "$1,200.50", "-$3"], [12, 1200.5, -3]),
    "euros": (["3,50 €", "12,00 €"], [3.5, 12]),
    "percent": (["12%", "3.5 %"], [12, 3.5]),
    "years": (["1999", "2024"], [1999, 2024]),
    "nan": (["nan", "1.5", "2", "3", "-4"], [np.nan, 1.5, 2, 3, -4]),
}
DATES = {
    "days": ["2020-01-31", "1999-12-01"],
    "days among blanks": [" 2020-01-31", "1999-12-01"],
    "times": ["2020-01-31 12:00:00", "1999-12-01 00:00:01"],
    "times with T": ["2020-01-31T12:00:00", "1999-12-01T00:00"],
    "fractions": ["2020-01-31 12:00:00.250", "1999-12-01 00:00:01.000001"],
    "fractions of some": ["2020-01-31 12:00:00", "1999-12-01 00:00:01.5"],
    "days and times": ["2020-01-31", "1999-12-01 12:30:00"],
    "in UTC": ["2020-01-31 12:00:00Z", "1999-12-01T00:00:01Z"],
    "zones": ["2020-01-31 12:00:00+01:00", "2020-06-30 12:00:00+02:00"],
    "zones and fractions": ["2020-01-31 12:00:00.5+0100", "2020-06-30 12:00:00-05:30"],
    "slashes": ["2020/01/31", "1999/12/01"],
    "months": ["2020-01", "1999-12"],
    "no separators": ["20200131", "19991201"],
}
DURATIONS = {
    "days": ["1 days 02:30:00", "-1 days +23:00:00", "0 days 00:00:00.5"],
    "clock": ["12:30:00", "1:00:00.25"],
}
LIBRARIES = {
    "pandas": lambda frame: frame,
    "pandas objects": lambda frame: frame.astype(object),
    "pandas string": lambda frame: frame.astype("string"),
    "pandas on arrow": lambda frame: frame.astype("string[pyarrow]"),
    "polars": pl.from_pandas,
    "arrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
}


def warned(X, passed=None, weight=None):
    """Return the messages for a frame's columns, by their index."""
    table = read_columns(X, find_kinds(X, "from_dtype"))
    counts = [found[:-1] for found in table.counts(np.ones(len(X)) if weight is None else weight)]
    passed = X if passed is None else passed
    return text_warnings(X, passed, table.is_categorical, table.categories, counts)


def column(values, dtype=None):
    return pd.DataFrame({"x": pd.Series(values, dtype=dtype)})


def converted(X, message):
    """Return the numbers of column 'x' after running the line of code in a message."""
    scope = {"X": X.copy() if isinstance(X, pd.DataFrame) else X, "pd": pd, "pl": pl, "pa": pa}
    exec(re.search(r"Convert it: (.*?\))\. If", message).group(1), scope)
    X = scope["X"]
    return read_columns(X, find_kinds(X, "from_dtype"))[:, 0]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_reported_and_the_line_converts_them(name, library):
    texts, numbers = NUMBERS[name]
    X = LIBRARIES[library](column([*texts, None]))
    message = warned(X)[0]
    assert message.startswith("Column 'x' reads as numbers, ")
    np.testing.assert_allclose(converted(X, message), [*numbers, np.nan])


def days(text):
    """Return the days since 1970 in UTC of one date, which pandas reads."""
    text = text.strip().replace("/", "-")
    text = re.sub(r"(?<=[+-]\d\d)(?=\d\d$)", ":", text) if ":" in text else text
    text = f"{text}-01" if len(text) == 7 else text
    when = pd.Timestamp(text)
    when = when.tz_convert(None) if when.tzinfo else when
    return (when - pd.Timestamp("1970-01-01")) / pd.Timedelta("1D")


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", DATES)
def test_dates_are_reported_and_the_line_converts_them(name, library):
    X = LIBRARIES[library](column([*DATES[name], None]))
    message = warned(X)[0]
    assert message.startswith("Column 'x' reads as dates, ")
    np.testing.assert_allclose(
        converted(X, message), [*map(days, DATES[name]), np.nan], rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", DURATIONS)
def test_durations_are_reported_and_the_line_converts_them(name, library):
    X = LIBRARIES[library](column([*DURATIONS[name], None]))
    message = warned(X)[0]
    assert message.startswith("Column 'x' reads as durations, ")
    expected = [pd.Timedelta(text) / pd.Timedelta("1D") for text in DURATIONS[name]]
    np.testing.assert_allclose(converted(X, message), [*expected, np.nan])


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1.5, -2, 1e300]).to_frame("x"),
        pd.DataFrame({"x": pd.date_range("2020-01-31", periods=3)}),
        pd.DataFrame({"x": pd.date_range("2020-01-31 12:00", periods=3, freq="7s", tz="UTC")}),
        pd.DataFrame({"x": pd.date_range("2020-03-28", periods=3, tz="Europe/Berlin")}),
        pd.DataFrame(
            {"x": pd.to_datetime(["2020-01-31 12:00:00.123456789", "2021-01-01 00:00:00.5"])}
        ),
        pd.DataFrame({"x": pd.period_range("2020-01", periods=3, freq="M")}),
        pd.DataFrame({"x": pd.timedelta_range("-30h", periods=3, freq="7h")}),
    ],
    ids=lambda frame: str(frame["x"].dtype),
)
def test_dates_and_numbers_in_a_csv_file_of_pandas_are_reported(values, tmp_path):
    values.to_csv(tmp_path / "x.csv", index=False)
    X = pd.read_csv(tmp_path / "x.csv", dtype=str)
    expected = read_columns(values, find_kinds(values, "from_dtype"))[:, 0]
    np.testing.assert_allclose(converted(X, warned(X)[0]), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "values",
    [
        ["01234", "90210", "10001"],  # postcodes
        ["007", "012"],
        ["4012345678901234", "4012345678901235"],  # more digits than a float holds
        ["True", "False"],
        ["a", "b", "1"],
        ["n/a", "?", ""],
        ["1.2.3", "1.2.4"],
        ["12-34", "56-78"],
        ["2020-13-01", "2020-02-40"],
        ["12 kg", "13 kg"],
        ["Infinity", "inf"],
        ["12:30", "13:45"],
        ["one", None],
        [None, None],
    ],
    ids=str,
)
def test_other_text_is_not_reported(values):
    assert warned(column(values * 10, object)) == {}


@pytest.mark.parametrize(
    "frame",
    [
        column(["1", "2"], "category"),
        pl.DataFrame({"x": pl.Series(["1", "2"], dtype=pl.Categorical)}),
        pl.DataFrame({"x": pl.Series(["1", "2"], dtype=pl.Enum(["1", "2"]))}),
        pa.table({"x": pa.array(["1", "2"]).dictionary_encode()}),
        column(["1", "2"], "category").convert_dtypes(dtype_backend="pyarrow"),
        pd.DataFrame({"x": [True, False]}),
        column([True, False, None, True], object),
    ],
    ids=lambda frame: type(frame).__module__,
)
def test_columns_of_a_categorical_dtype_and_booleans_are_not_reported(frame):
    assert warned(frame) == {}


def test_a_column_is_reported_if_nine_of_ten_rows_are_numbers():
    assert "except 'x', but" in warned(column(["1"] * 90 + ["x"] * 10))[0]
    assert warned(column(["1"] * 89 + ["x"] * 11)) == {}
    texts = column(["1", "x"] * 10)
    assert warned(texts) == {}
    assert "except" not in warned(texts, weight=np.array([1, 0] * 10))[0]


def test_text_for_missing_values_does_not_count_but_is_shown():
    message = warned(column(["1", "N/A", "?", " ", "none"] * 10))[0]
    assert "numbers, except 'N/A', '?', ' ', but" in message


@pytest.mark.parametrize("values", [[1.5, 2, "n/a"] * 9, [1, "2", "3,000"] * 9])
def test_objects_of_numbers_and_text_are_numbers(values):
    X = column(values, object)
    expected = [{"n/a": np.nan, "3,000": 3000.0}.get(value, value) for value in values]
    np.testing.assert_array_equal(converted(X, warned(X)[0]), np.array(expected, dtype=float))


def test_objects_of_dates_and_text_are_dates():
    X = column([pd.Timestamp("2020-01-31")] * 20 + ["?"], object)
    np.testing.assert_array_equal(converted(X, warned(X)[0]), [18292] * 20 + [np.nan])


def test_a_sample_of_very_many_distinct_values_is_read():
    assert 0 in warned(column(["?"] * 9 + [str(i) for i in range(30_000)]))
    assert "except '?'" in warned(column([str(i) for i in range(30_000)] + ["?"] * 9))[0]
    assert warned(column([f"{i}x" for i in range(30_000)])) == {}


def test_messages_have_the_index_and_the_name_of_the_column():
    X = pd.DataFrame({"a": ["u", "v"], 3: ["1", "2"], "c": [1.0, 2.0], ("b", "c"): ["5", "7"]})
    found = warned(X)
    assert list(found) == [1, 3]
    assert found[1].startswith("Column 3 reads as numbers")
    assert "X[3] = pd.to_numeric(X[3], errors='coerce')" in found[1]


def test_the_line_for_a_file_converts_before_writing():
    X = pa.table({"x": ["1", "2"]})
    message = warned(X, passed="data.parquet")[0]
    assert "frame['x'] = pd.to_numeric(frame['x'], errors='coerce'), before the file" in message
