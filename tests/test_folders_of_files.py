"""Several files as one: different columns and types, in any order of the files."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from skdnn import DeepBinaryClassifier
from skdnn.data.streaming import open_source

N = 20
Y = np.arange(N) % 2
X = np.random.default_rng(0).normal(size=N)
SMALL = {"n_layers": 1, "max_iter": 1, "random_state": 0, "early_stopping": False}
START = dt.datetime(2020, 1, 1)
ZONED = START.replace(tzinfo=dt.timezone.utc)


def fit(X, y="y", **parameters):
    return DeepBinaryClassifier(**SMALL, **parameters).fit(X, y)


def written(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture(params=[("1", "2"), ("2", "1")], ids=["in order", "reversed"])
def write_both(tmp_path, request):
    """Return a function that writes two files to a folder, in both orders."""

    def write_both(first, second):
        for name, columns in zip(request.param, (first, second), strict=True):
            written(tmp_path / "d" / f"{name}.parquet", **{"x": X, **columns, "y": Y})
        return tmp_path / "d"

    return write_both


def repeated(values, type_=None):
    return pa.array([values[k % len(values)] for k in range(N)], type_)


COLUMNS = {
    "integers, fractions": (repeated(range(7)), repeated([0.5, 1.25, None])),
    "integers, larger ones": (repeated(range(7), pa.int32()), repeated([2**40, 3, 2**41])),
    "signed, unsigned": (repeated([-1, 1], pa.int8()), repeated([2**32 - 1, 0], pa.uint32())),
    "half, double": (pa.array(X.astype(np.float16)), repeated([1e10, 1 / 3])),
    "decimals": (repeated([Decimal("0.10"), Decimal("1.25")]), repeated([Decimal("123.4567")])),
    "decimals, fractions": (repeated([Decimal("0.10")] * 3 + [Decimal("0.25")]), repeated([0.1])),
    "decimals, integers": (repeated([Decimal("0.10"), None]), repeated([3, 4, 2**40])),
    "missing, numbers": (pa.nulls(N), repeated([1, 2, 3])),
    "missing, dates": (pa.nulls(N), repeated([START.date(), None])),
    "missing, text": (pa.nulls(N), repeated(["a", "b"])),
    "missing, booleans": (pa.nulls(N), repeated([True, False])),
    "days, instants": (repeated([START.date()]), repeated([START, START + dt.timedelta(hours=7)])),
    "seconds, nanoseconds": (
        repeated([START, None], pa.timestamp("s")),
        repeated([START, START + dt.timedelta(microseconds=1)], pa.timestamp("ns")),
    ),
    "with a zone, without": (
        repeated([ZONED, None], pa.timestamp("us", "Asia/Tokyo")),
        repeated([START + dt.timedelta(hours=7)], pa.timestamp("ms")),
    ),
    "durations": (
        repeated([dt.timedelta(1)], pa.duration("s")),
        repeated([dt.timedelta(seconds=1)], pa.duration("us")),
    ),
    "times": (repeated([dt.time(1)], pa.time32("ms")), repeated([dt.time(2, 3)], pa.time64("us"))),
    "text of both kinds": (repeated("ab"), repeated("bc", pa.large_string())),
    # As `to_arrow` of polars with the newest `compat_level` returns, and PyArrow writes.
    "views of text": (repeated("ab", pa.string_view()), repeated("bc", pa.string_view())),
    "views of text, text": (repeated("ab", pa.string_view()), repeated("bc", pa.large_string())),
    "views of bytes, bytes": (
        repeated([b"a", b"b"], pa.binary_view()),
        repeated([b"b", None], pa.binary()),
    ),
    "categories, text": (repeated("ab").dictionary_encode(), repeated(["b", "c", None])),
    "categories": (repeated("ab").dictionary_encode(), repeated(["c", None]).dictionary_encode()),
}


@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS)
def test_a_column_of_two_types_equals_all_values_in_memory(write_both, columns):
    first, second = columns
    clf = fit(write_both({"c": first}, {"c": second}))
    values = pd.Series([*first.to_pylist(), *second.to_pylist()], dtype=object)
    frame = pd.DataFrame({"x": np.tile(X, 2), "c": values})
    other = fit(frame, np.tile(Y, 2))
    assert clf.column_kinds_ == other.column_kinds_
    for name, array in clf.input_encoding_.items():
        np.testing.assert_allclose(array, other.input_encoding_[name], rtol=1e-9, atol=1e-12)
    assert [list(found) for found in clf.categories_ or []] == [
        list(found) for found in other.categories_ or []
    ]


def test_the_order_of_columns_does_not_depend_on_the_order_of_files(write_both):
    clf = fit(write_both({"a": X, "c": Y}, {"b": X, "a": X, "late": X}))
    assert clf.feature_names_in_.tolist() == ["x", "b", "a", "late", "c"]
    with_missing = clf.input_encoding_["indicator_column"]
    assert with_missing.tolist() == [1, 3, 4]


@pytest.mark.parametrize(
    ("first", "second", "types"),
    [
        (repeated([1, 2]), repeated(["a", "b"]), ("int64", "string")),
        (repeated([1.0]), repeated([True]), ("double", "bool")),
        (repeated([START]), repeated([1]), (r"timestamp\[us\]", "int64")),
        (repeated([dt.time(1)]), repeated([dt.timedelta(1)]), (r"time64\[us\]", r"duration\[us\]")),
    ],
)
def test_incompatible_types_are_reported_with_their_files(write_both, first, second, types):
    folder = write_both({"c": first}, {"c": second})
    with pytest.raises(ValueError, match="Column 'c' of X has types that cannot") as e:
        fit(folder)
    path_of = {pq.read_schema(path).field("c").type: path for path in folder.iterdir()}
    for type_ in (first.type, second.type):
        assert f"{type_} in {str(path_of[type_])!r}" in str(e.value)


@pytest.mark.parametrize(
    ("first", "second"), [([2**53 + 1], [0.5]), (pa.array([2**63], pa.uint64()), [1])]
)
def test_a_conversion_that_loses_digits_is_an_error(write_both, first, second):
    columns = [{"c": repeated(values, getattr(values, "type", None))} for values in (first, second)]
    folder = write_both(*columns)
    message = r"Column 'c' of X in '.*parquet' cannot be converted to .*: Integer"
    with pytest.raises(ValueError, match=message):
        fit(folder)


@pytest.mark.parametrize("kind", ["parquet", "ipc", "csv"])
def test_values_that_do_not_fit_the_schema_of_a_dataset_are_an_error(tmp_path, kind):
    for name, values in (("1", [1, 2]), ("2", [0.5, 1.5])):
        table = pa.table({"x": repeated([1, 2]), "c": repeated(values), "y": Y})
        options = {
            "basename_template": name + ".{i}",
            "existing_data_behavior": "overwrite_or_ignore",
        }
        ds.write_dataset(table, tmp_path, format=kind, **options)
    messages = {
        "parquet": r"Column 'c' of X in '.*2\.0' cannot be converted to int64, its type in",
        "ipc": r"X cannot be read from '.*2\.0': Float value 0\.50* was truncated .* int64",
        "csv": r"X cannot be read from '.*2\.0': .*column #1.*int64: invalid value '0\.5'",
    }
    with pytest.raises(ValueError, match=messages[kind]):
        fit(ds.dataset(tmp_path, format=kind))


def test_duplicate_column_names_are_an_error(write_both, tmp_path):
    folder = write_both({}, {"more": X, "x2": X})
    table = pa.table([X, X, Y], names=["x", "x", "y"])
    pq.write_table(table, folder / "0.parquet")
    with pytest.raises(ValueError, match="got 'x', which is the name of several"):
        fit(folder)


def test_files_without_rows_do_not_change_the_result(write_both):
    empty = {"c": pa.array([], pa.float64())}
    folder = write_both({"c": repeated([1, 2])}, {"c": repeated([3, 4])})
    before = fit(folder)
    for name in ("0.parquet", "1.5.parquet", "9.parquet"):
        written(folder / name, **empty)
    clf = fit(folder)
    np.testing.assert_array_equal(clf.coefs_[0], before.coefs_[0])
    assert clf.t_ == 2 * N


@pytest.mark.parametrize("which", ["0.parquet", "3.parquet"])
@pytest.mark.parametrize("content", ["", "hello, hello"])
def test_a_file_of_another_format_is_an_error(write_both, which, content):
    folder = write_both({}, {})
    (folder / which).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"cannot be read: .*{which}"):
        fit(folder)


def test_a_damaged_file_is_an_error(write_both):
    folder = write_both({}, {})
    path = folder / "2.parquet"
    content = bytearray(path.read_bytes())
    content[4:40] = bytes(36)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"X cannot be read from '.*2\.parquet': "):
        fit(folder)


def test_the_index_of_any_file_is_not_a_feature(tmp_path):
    frame = pd.DataFrame({"x": X, "y": Y})
    for k, part in enumerate([frame, frame[::-1], frame.rename_axis("id")]):
        part.to_parquet(tmp_path / f"{k}.parquet")
    assert fit(tmp_path).feature_names_in_.tolist() == ["x"]


# Partitioned folders


def test_a_partition_column_that_some_files_contain_as_well(tmp_path):
    written(tmp_path / "year=2020" / "1.parquet", x=X, y=Y, year=np.full(N, 2020))
    written(tmp_path / "year=2021" / "1.parquet", x=X, y=Y)
    written(tmp_path / "year=__HIVE_DEFAULT_PARTITION__" / "1.parquet", x=X, y=Y)
    assert open_source(tmp_path).column("year").to_pylist() == [
        year for year in (2020, 2021, None) for _ in range(N)
    ]
    clf = fit(tmp_path)
    assert clf.feature_names_in_.tolist() == ["x", "year"]
    assert clf.input_encoding_["center"][1] == 2020.5


def test_a_column_of_the_file_takes_precedence_over_the_folder_name(tmp_path):
    """Polars also writes the column into the files, with its type."""
    days = [START.date() + dt.timedelta(k) for k in range(2)]
    for day in days:
        written(tmp_path / f"day={day}" / "1.parquet", x=X, y=Y, day=repeated([day]))
    assert fit(tmp_path).column_kinds_ == ["number", "date"]


def test_a_partition_column_of_another_type_is_an_error(tmp_path):
    written(tmp_path / "day=2020-01-01" / "1.parquet", x=X, y=Y, day=repeated([START.date()]))
    written(tmp_path / "day=2020-01-02" / "1.parquet", x=X, y=Y)
    with pytest.raises(ValueError, match=r"Column 'day' .*string in 'names of folders'"):
        fit(tmp_path)


# Lists of paths


@pytest.mark.parametrize("as_given", [list, tuple])
def test_a_list_of_paths_equals_a_folder(write_both, tmp_path, as_given):
    folder = write_both({"c": repeated([1])}, {"c": repeated([0.5, 3.0])})
    first, second = sorted(folder.iterdir())
    paths = as_given([first, str(second)])
    clf, other = fit(paths), fit(folder)
    np.testing.assert_array_equal(clf.coefs_[0], other.coefs_[0])
    np.testing.assert_array_equal(clf.predict_proba(paths), other.predict_proba(folder))
    assert clf.score(paths, "y") == other.score(folder, "y")
    clf.write_predictions(paths, tmp_path / "out.parquet", keep=["c"])
    out = pq.read_table(tmp_path / "out.parquet")
    assert out["c"].to_pylist() == open_source(folder).column("c").to_pylist()
    assert out["prediction"].to_pylist() == other.predict(folder).tolist()


def test_a_list_may_contain_folders_and_repeated_files(tmp_path):
    for year in (2020, 2021):
        written(tmp_path / f"year={year}" / "1.parquet", x=X, y=Y)
    paths = [tmp_path / "year=2020", *[tmp_path / "year=2021" / "1.parquet"] * 2]
    years = open_source(paths).column("year").to_pylist()
    assert years == [2020] * N + [2021] * 2 * N


def test_invalid_lists_of_paths_are_errors(tmp_path):
    path = written(tmp_path / "1.parquet", x=X, y=Y)
    with pytest.raises(ValueError, match="X must be a list of at least one path, got an empty"):
        fit([])
    with pytest.raises(ValueError, match=r"'.*2\.parquet' does not exist"):
        fit([path, tmp_path / "2.parquet"])
    for paths in (["a", "b"], [tmp_path / "2.parquet"]):
        for method in (fit, fit([path]).predict):
            with pytest.raises(ValueError, match=r"paths of files that exist. Expected 2D array"):
                method(paths)
    with pytest.raises(ValueError, match="y must hold one label"):
        fit([path, 3])
    with pytest.raises(ValueError, match="X_val must hold its rows in memory"):
        DeepBinaryClassifier(**SMALL).fit([path], "y", X_val=[path], y_val="y")
    with pytest.raises(TypeError, match="X must hold its rows in memory for partial_fit"):
        DeepBinaryClassifier(**SMALL).partial_fit([path], "y", classes=[0, 1])


def test_lists_of_text_are_rows_not_paths():
    rows = [["a", "b"], ["c", "d"]] * 10
    clf = fit(rows, [0, 1] * 10, categorical_features=[0, 1])
    assert clf.predict(rows).shape == (20,)
