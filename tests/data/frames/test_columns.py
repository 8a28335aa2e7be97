"""The same values are read as the same numbers or categories from every library."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from skdnn.data.frames import find_kinds, read_columns
from skdnn.processes import SingleProcess

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

# Seconds since 1970 of some points in time, one of them missing, one before 1970.
SECONDS = np.array([1.6e9, np.nan, 86_400.5, -3.25])
DATETIMES = [
    None if np.isnan(s) else dt.datetime(1970, 1, 1) + dt.timedelta(seconds=s) for s in SECONDS
]
EAST = dt.timezone(dt.timedelta(hours=5, minutes=30))
AWARE = [d and d.replace(tzinfo=dt.timezone.utc).astimezone(EAST) for d in DATETIMES]
DAYS = [d and d.date() for d in DATETIMES]
DURATIONS = [None if np.isnan(s) else dt.timedelta(seconds=s) for s in SECONDS]
TIMES = [None, dt.time(12), dt.time(0, 0, 1, 500_000), dt.time(0)]


def arrow(values, type_=None):
    return pa.table({"x": pa.array(values, type_)})


def on_arrow(values, type_):
    array = pa.array(values, type_)
    return pd.DataFrame({"x": pd.Series(array, dtype=pd.ArrowDtype(array.type))})


def pandas(values, dtype=None):
    return pd.DataFrame({"x": pd.Series(values, dtype=dtype)})


def polars(values, dtype=None):
    return pl.DataFrame({"x": pl.Series(values, dtype=dtype)})


def units(make, name, units, values):
    return {f"{make.__name__} {name}[{unit}]": make(values, f"{name}[{unit}]") for unit in units}


DATES = {
    **units(pandas, "datetime64", ("ns", "us", "ms"), DATETIMES),
    "pandas zoned": pandas(AWARE, "datetime64[us, Asia/Kolkata]"),
    "pandas objects": pandas(DATETIMES, object),
    "pandas zoned objects": pandas(AWARE, object),
    "pandas on arrow": on_arrow(DATETIMES, pa.timestamp("ns")),
    "pandas zoned on arrow": on_arrow(AWARE, pa.timestamp("us", "Asia/Kolkata")),
    **{f"polars [{unit}]": polars(DATETIMES, pl.Datetime(unit)) for unit in ("ns", "us", "ms")},
    "polars zoned": polars(AWARE, pl.Datetime("us", "Asia/Kolkata")),
    "polars objects": polars(DATETIMES, pl.Object),
    **{f"arrow [{unit}]": arrow(DATETIMES, pa.timestamp(unit)) for unit in ("ns", "us", "ms")},
    "arrow zoned": arrow(AWARE, pa.timestamp("us", "Asia/Kolkata")),
    "array": np.array(DATETIMES, dtype="datetime64[ns]")[:, None],
    "array of objects": np.array(DATETIMES, dtype=object)[:, None],
}


def numbers(frame):
    kinds = find_kinds(frame, "from_dtype")
    return kinds, read_columns(frame, kinds)


@pytest.mark.parametrize("frame", DATES.values(), ids=DATES)
def test_a_date_is_the_same_number_in_every_library_and_unit(frame):
    kinds, X = numbers(frame)
    assert kinds == ["date"]
    np.testing.assert_array_equal(X[:, 0], SECONDS / 86_400)


DAY_FRAMES = {
    "pandas objects": pandas(DAYS, object),
    "pandas periods": pandas([d and pd.Period(d, "D") for d in DAYS], "period[D]"),
    "pandas on arrow": on_arrow(DAYS, pa.date32()),
    "polars": polars(DAYS, pl.Date),
    "arrow 32": arrow(DAYS, pa.date32()),
    "arrow 64": arrow(DAYS, pa.date64()),
}


@pytest.mark.parametrize("frame", DAY_FRAMES.values(), ids=DAY_FRAMES)
def test_a_date_without_time_is_midnight(frame):
    kinds, X = numbers(frame)
    assert kinds == ["date"]
    np.testing.assert_array_equal(X[:, 0], np.floor(SECONDS / 86_400))


DURATION_FRAMES = {
    **units(pandas, "timedelta64", ("ns", "us", "ms"), DURATIONS),
    "pandas objects": pandas(DURATIONS, object),
    "pandas on arrow": on_arrow(DURATIONS, pa.duration("us")),
    "polars": polars(DURATIONS, pl.Duration("ms")),
    "arrow": arrow(DURATIONS, pa.duration("ns")),
}


@pytest.mark.parametrize("frame", DURATION_FRAMES.values(), ids=DURATION_FRAMES)
def test_a_duration_is_the_same_number_in_every_library_and_unit(frame):
    kinds, X = numbers(frame)
    assert kinds == ["duration"]
    np.testing.assert_array_equal(X[:, 0], SECONDS / 86_400)


@pytest.mark.parametrize(
    "frame",
    [pandas(TIMES, object), polars(TIMES, pl.Time), arrow(TIMES), on_arrow(TIMES, pa.time64("us"))],
    ids=["pandas", "polars", "arrow", "pandas on arrow"],
)
def test_a_time_of_day_is_a_duration(frame):
    kinds, X = numbers(frame)
    assert kinds == ["duration"]
    np.testing.assert_array_equal(X[:, 0], [np.nan, 0.5, 1.5 / 86_400, 0])


def test_a_time_of_day_may_have_nanoseconds():
    table = arrow([None, 1500], pa.time64("ns"))
    np.testing.assert_allclose(numbers(table)[1][:, 0], [np.nan, 1.5e-6 / 86_400], rtol=1e-12)


@pytest.mark.parametrize(("unit", "a_second"), [("s", 1), ("ms", 1000)])
def test_a_time_of_day_may_have_32_bits(unit, a_second):
    table = arrow([None, 43_200 * a_second], pa.time32(unit))
    np.testing.assert_array_equal(numbers(table)[1][:, 0], [np.nan, 0.5])


def test_objects_are_read_like_the_dtype_of_their_values():
    lengths = np.array([3, 4, 5], dtype="timedelta64[h]")
    kinds, X = numbers(pandas(list(lengths), object))
    assert kinds == ["duration"]
    np.testing.assert_allclose(X[:, 0], [3 / 24, 4 / 24, 5 / 24])
    periods = pd.period_range("2020-01-01", periods=3, freq="D")
    days = numbers(pandas(periods))[1]
    np.testing.assert_array_equal(numbers(pandas(list(periods), object))[1], days)


@pytest.mark.parametrize("other", [5, dt.timedelta(1), "text"])
def test_a_column_of_dates_and_other_values_in_an_array_is_an_error(other):
    array = np.array([[dt.date(2020, 1, 1)], [other]], dtype=object)
    with pytest.raises(ValueError, match="one kind of values in column 0"):
        read_columns(array, None)


DECIMALS = [Decimal("1.5"), None, Decimal("-3"), Decimal("NaN")]
NUMBERS = {
    "decimals": pandas(DECIMALS, object),
    "decimals of polars": polars([*DECIMALS[:3], None], pl.Decimal(10, 2)),
    "decimals of arrow": arrow([*DECIMALS[:3], None], pa.decimal128(10, 2)),
    "decimals on arrow": on_arrow([*DECIMALS[:3], None], pa.decimal128(10, 2)),
    "fractions": pandas([Fraction(3, 2), None, -3, np.nan], object),
    "objects of pandas": pandas([1.5, pd.NA, np.int8(-3), pd.NaT], object),
    "nullable": pandas([1.5, None, -3, None], "Float64"),
    "nullable float32": pandas([1.5, None, -3, None], "Float32"),
    "objects of polars": polars([1.5, None, -3, None], pl.Object),
    "an array of objects": np.array([[1.5], [None], [-3], [pd.NA]], dtype=object),
}


@pytest.mark.parametrize("frame", NUMBERS.values(), ids=NUMBERS)
def test_decimals_fractions_and_nullable_dtypes_are_numbers(frame):
    kinds, X = numbers(frame)
    assert kinds is None
    np.testing.assert_array_equal(X[:, 0], [1.5, np.nan, -3, np.nan])


def test_integers_of_128_bits_are_numbers():
    frame = polars([2**100, None, -1], pl.Int128)
    np.testing.assert_array_equal(numbers(frame)[1][:, 0], [2.0**100, np.nan, -1])


BESIDE = {
    "nothing": {},
    "floats": {"z": [0.5, 1.5, 2.5, 3.5]},
    "category": {"z": ["a", "b", "a", "b"]},
    "missing": {"z": [None, 1.0, None, 2.0]},
}
COLUMNS = {
    "dates": DATETIMES,
    "decimals": [*DECIMALS[:3], None],
    "booleans": [True, False, None, True],
    "text": ["a", "b", None, "a"],
    "integers": [3, 1, None, 2],
}


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("name", COLUMNS)
def test_reading_a_column_does_not_depend_on_other_columns(name, beside, library):
    alone = pd.DataFrame({"x": COLUMNS[name]})
    frame = library({"x": COLUMNS[name], **BESIDE[beside]})
    kinds = (find_kinds(frame, "from_dtype") or ["number"])[0]
    assert [kinds] == (find_kinds(alone, "from_dtype") or ["number"])
    read, expected = (read_columns(f, find_kinds(f, "from_dtype")) for f in (frame, alone))
    if kinds == "category":
        same = [
            [table.categories[0][code] for code in table.codes[:, 0]] for table in (read, expected)
        ]
        assert same[0] == same[1]
    else:
        first = getattr(read, "numbers", read)[:, 0]
        np.testing.assert_array_equal(first, expected[:, 0])


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize(
    "values",
    [[[1], [2, 3]], [{"a": 1}, {"a": 2}], [b"1", [2]], [np.ones(2), np.ones(2)], [{1}, {2}]],
    ids=str,
)
def test_values_that_are_neither_numbers_nor_categories_are_an_error_that_names_the_column(
    values, library
):
    try:
        frame = library({"good": [1.0, 2.0], "odd one": values})
    except Exception:
        pytest.skip("no such column in this library")
    with pytest.raises(TypeError, match="numbers, dates or categories in column 'odd one'"):
        find_kinds(frame, "from_dtype")


def test_text_and_too_large_integers_in_an_array_are_an_error_that_names_the_column():
    array = np.array([[1.0, 2.0], [3.0, "many"]], dtype=object)
    with pytest.raises(ValueError, match="must hold numbers in column 1, got 'many': could not"):
        read_columns(array, None)
    array[1, 1] = 10**400
    with pytest.raises(ValueError, match=r"in column 1, got 1000.*\.\.\.: int too large"):
        read_columns(array, None)


@pytest.mark.parametrize("outlier", [np.inf, Decimal("Infinity"), -np.inf])
def test_infinity_is_an_error_that_names_the_column(outlier):
    frame = pd.DataFrame({"a": [1.0, 2.0], "far": pd.Series([outlier, 1.0], dtype=object)})
    with pytest.raises(ValueError, match="Input X contains infinity in column 'far'"):
        read_columns(frame, None)


@pytest.mark.parametrize(
    ("kind", "values", "found"),
    [
        ("date", [1.0, 2.0], "numbers"),
        ("number", [dt.date(2020, 1, 1)] * 2, "dates"),
        ("duration", [dt.date(2020, 1, 1)] * 2, "dates"),
        ("date", [dt.timedelta(1)] * 2, "durations"),
    ],
)
def test_another_kind_of_values_than_in_fit_is_an_error(kind, values, found):
    with pytest.raises(ValueError, match=rf"in column 'x', as in fit, got {found}"):
        read_columns(pandas(values), [kind])


@pytest.mark.parametrize("kind", ["number", "date", "duration"])
@pytest.mark.parametrize("dtype", [object, float, "datetime64[us]"])
def test_a_column_without_values_is_of_any_kind(kind, dtype):
    assert np.isnan(read_columns(pandas([None, None], dtype), [kind])).all()


def test_an_all_missing_column_of_objects_in_a_frame_is_categorical():
    assert find_kinds(pandas([None, np.nan], object), "from_dtype") == ["category"]
    assert find_kinds(arrow([None, None]), "from_dtype") == ["category"]
    assert find_kinds(np.array([[None], [None]], dtype=object), "from_dtype") is None


def test_columns_may_have_any_name():
    frame = pd.DataFrame({"column_names": [1.0], "iloc": ["a"], "columns": [2.0], "dtype": [True]})
    assert find_kinds(frame, "from_dtype") == ["number", "category", "number", "category"]


def test_columns_of_a_multi_index_are_chosen_by_tuples():
    frame = pd.DataFrame({("a", "k"): [1, 2], ("b", "k"): [1, 2]})
    assert find_kinds(frame, (("b", "k"),)) == ["number", "category"]


@pytest.mark.parametrize(
    ("here", "there", "kind"),
    [
        ([1, 2], "number", None),
        ([1, 2], "date", ["category"]),
        ([None, None], "duration", ["duration"]),
        (["a", None], "number", ["category"]),
        ([None, None], None, ["category"]),
    ],
)
def test_the_kind_of_a_column_is_that_of_all_processes(here, there, kind):
    class Two(SingleProcess):
        def allgather(self, value):
            return [value, [there]]

    assert find_kinds(pandas(here, object), "from_dtype", Two()) == kind
