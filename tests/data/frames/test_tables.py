"""Data frames with categories, read into numbers and codes."""

import numpy as np
import pandas as pd
import pytest

from skdnn.data.frames import find_kinds, read_columns, select_categories

COLOURS = ["red", "blue", None, "red", "green", "blue"]
WIDTHS = [1.5, np.nan, 3.0, -1.0, 0.0, 2.0]


def pandas_frame(dtype):
    return pd.DataFrame({"colour": pd.Series(COLOURS, dtype=dtype), "width": WIDTHS})


def polars_frame(dtype):
    pl = pytest.importorskip("polars")
    colours = pl.Series(COLOURS, dtype=pl.String)
    dtype = pl.Enum(["red", "blue", "green"]) if dtype == "Enum" else getattr(pl, dtype)
    return pl.DataFrame({"colour": colours.cast(dtype), "width": WIDTHS})


def arrow_table(is_dictionary):
    pa = pytest.importorskip("pyarrow")
    colours = pa.array(COLOURS)
    colours = colours.dictionary_encode() if is_dictionary else colours
    return pa.table({"colour": colours, "width": pa.array(WIDTHS, from_pandas=True)})


def frequent_categories(table, weight):
    """Return the frequent categories of each column of a Table."""
    pairs = zip(table.counts(weight), table.categories, strict=True)
    n_rows = np.count_nonzero(weight)
    return [select_categories(counts[:-1], categories, n_rows)[0] for counts, categories in pairs]


FRAMES = {
    "pandas category": lambda: pandas_frame("category"),
    "pandas object": lambda: pandas_frame(object),
    "pandas string": lambda: pandas_frame("string"),
    "pandas str": lambda: pandas_frame(str).where(lambda frame: frame != "None"),
    "pandas on arrow": lambda: pandas_frame("category").convert_dtypes(dtype_backend="pyarrow"),
    "pandas string on arrow": lambda: pandas_frame("string[pyarrow]"),
    "polars String": lambda: polars_frame("String"),
    "polars Categorical": lambda: polars_frame("Categorical"),
    "polars Enum": lambda: polars_frame("Enum"),
    "arrow string": lambda: arrow_table(False),
    "arrow dictionary": lambda: arrow_table(True),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_the_table_does_not_depend_on_the_library_and_dtype(kind):
    frame = FRAMES[kind]()
    kinds = find_kinds(frame, "from_dtype")
    assert kinds == ["category", "number"]
    table = read_columns(frame, kinds)
    categories = frequent_categories(table, np.ones(6))
    assert [list(column) for column in categories] == [["blue", "green", "red", None]]
    table = table.recoded(categories)
    assert table.codes[:, 0].tolist() == [2, 0, 3, 2, 1, 0]
    np.testing.assert_array_equal(table.numbers[:, 0], WIDTHS)


BOOLEANS = {
    "numpy": lambda: pd.Series([True, False, True]),
    "nullable": lambda: pd.Series([True, False, True], dtype="boolean"),
    "arrow": lambda: pd.Series([True, False, True], dtype="bool[pyarrow]"),
    "objects": lambda: pd.Series([True, False, None], dtype=object).fillna("?"),
}


@pytest.mark.parametrize("kind", BOOLEANS)
def test_booleans_are_categories(kind):
    frame = pd.DataFrame({"flag": BOOLEANS[kind]()})
    assert find_kinds(frame, "from_dtype") == ["category"]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_objects_that_are_all_numbers_are_numbers(missing):
    frame = pd.DataFrame({"width": pd.Series([1, 2.5, missing], dtype=object), "kind": list("aba")})
    kinds = find_kinds(frame, "from_dtype")
    assert kinds == ["number", "category"]
    np.testing.assert_array_equal(read_columns(frame, kinds).numbers[:, 0], [1, 2.5, np.nan])


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ((0,), ["category", "number"]),
        ((-1,), ["number", "category"]),
        (("width",), ["number", "category"]),
        ((False, True), ["number", "category"]),
        (("colour", "width"), ["category", "category"]),
    ],
)
def test_columns_of_categories_are_chosen_by_name_index_or_mask(chosen, expected):
    assert find_kinds(pandas_frame(object), chosen) == expected


def test_kinds_are_none_if_all_columns_hold_numbers():
    frame = pandas_frame(object)
    assert find_kinds(frame, None) is None
    assert find_kinds(frame, ()) is None
    assert find_kinds(frame[["width"]], "from_dtype") is None
    assert find_kinds(np.eye(3), "from_dtype") is None


def test_rare_and_unseen_categories_have_the_same_code():
    frame = pd.DataFrame({"letter": list("a" * 60 + "b" * 36 + "cdef")})
    table = read_columns(frame, ["category"])
    categories = frequent_categories(table, np.ones(100))
    assert list(categories[0]) == ["a", "b"]
    unseen = read_columns(pd.DataFrame({"letter": ["b", "f", "z", None]}), ["category"])
    assert unseen.recoded(categories).codes[:, 0].tolist() == [1, 2, 2, 2]


def test_rows_of_weight_zero_add_no_category():
    frame = pd.DataFrame({"letter": list("ab" * 20)})
    weight = np.array([1.0, 0.0] * 20)
    table = read_columns(frame, ["category"])
    assert list(frequent_categories(table, weight)[0]) == ["a"]


def test_at_most_254_categories_are_frequent():
    names = np.repeat([f"name {k}" for k in range(1000)], 6)
    names = np.concatenate([names, np.repeat([f"often {k}" for k in range(200)], 9)])
    table = read_columns(pd.DataFrame({"name": names}), ["category"])
    (categories,) = frequent_categories(table, np.ones(len(names)))
    assert len(categories) == 254
    assert {f"often {k}" for k in range(200)} <= set(categories)
    assert table.recoded([categories]).codes.dtype == np.uint8


def test_categories_of_different_types_are_distinct():
    frame = pd.DataFrame({"mixed": pd.Series([1, "1", 2.5, (3, 4)] * 10, dtype=object)})
    (categories,) = frequent_categories(read_columns(frame, ["category"]), np.ones(40))
    assert len(categories) == 4


def test_a_table_is_indexed_by_rows():
    table = read_columns(pandas_frame(object), ["category", "number"])
    assert table.shape == (6, 2)
    part = table[np.array([4, 0])]
    assert len(part) == 2
    np.testing.assert_array_equal(part.numbers[:, 0], [0.0, 1.5])
    np.testing.assert_array_equal(part.codes, table.codes[[4, 0]])


def test_columns_of_an_array_are_categories_if_chosen():
    array = np.array([["red", 1.0], ["blue", 2.0], ["red", 3.0]], dtype=object)
    table = read_columns(array, find_kinds(array, (0,)))
    np.testing.assert_array_equal(table.numbers[:, 0], [1.0, 2.0, 3.0])
    codes = read_columns(np.array([[3.0], [np.nan], [1.0]]), ["category"])
    assert [list(column) for column in frequent_categories(codes, np.ones(3))] == [[1.0, 3.0, None]]
