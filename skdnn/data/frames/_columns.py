"""One column: its kind, and its values as numbers or as categories.

How a column is read depends on its dtype alone, not on other columns. For a column of objects it
depends on the types of all values:

| values | kind |
|---|---|
| numbers, including decimals and fractions | number |
| dates | date: days since the beginning of 1970 in UTC, in whatever unit they are stored |
| durations and times of day | duration, in days |
| text, booleans, categories, or values of several kinds | category |

None, NaN, NaT and pandas' NA are missing values. Anything else, such as a list, is refused.
"""

import datetime as dt
import math
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from numbers import Complex, Real
from typing import Any

import numpy as np
import torch

NUMBER, DATE, DURATION, CATEGORY = "number", "date", "duration", "category"
_REFUSED = "refused"

# Kind by the beginning of a dtype's name in pandas, polars or PyArrow; the longest one counts. None
# means that the values decide. All other dtypes hold numbers.
_KIND_OF_DTYPE: dict[str, str | None] = {
    **dict.fromkeys(("date", "period", "timestamp"), DATE),
    **dict.fromkeys(("duration", "time"), DURATION),
    **dict.fromkeys(("binary", "bool", "cat", "dictionary", "enum", "fixed_size_binary"), CATEGORY),
    **dict.fromkeys(("interval", "large_binary", "large_string", "str"), CATEGORY),
    **dict.fromkeys(("null", "object"), None),
    **dict.fromkeys(("array", "complex", "fixed_size_list", "large_list", "list"), _REFUSED),
    **dict.fromkeys(("map", "month_day_nano_interval", "struct", "|v"), _REFUSED),
}
_NUMERIC_NAME = re.compile(r"(u?int(8|16|32|64)|float(16|32|64)?|halffloat|double)(\[pyarrow\])?")
_BEGINNINGS = sorted(_KIND_OF_DTYPE, key=len, reverse=True)
_KIND_OF_TYPE: tuple[tuple[tuple[type, ...], str], ...] = (
    ((bool, np.bool_), CATEGORY),
    ((dt.date, np.datetime64), DATE),
    ((dt.timedelta, dt.time, np.timedelta64), DURATION),  # NumPy's are integers, too
    ((Real, Decimal, torch.Tensor), NUMBER),
    ((Complex,), _REFUSED),
)
_SECONDS_PER_DAY = 86_400

# For so few values, Python's loop takes less time than a call of pandas or PyArrow.
_FEW_VALUES = 64


@dataclass(frozen=True)
class Column:
    """A column of a frame or of an array.

    Attributes
    ----------
    name : object
        The name in the frame; in an array the index of the column.
    values : Series of pandas or polars, array of PyArrow, or array of shape (m,)
    """

    name: Any
    values: Any

    def __str__(self) -> str:
        return f"column {self.name!r}"

    @property
    def dtype(self) -> Any:
        """The dtype of the library."""
        return self.values.dtype if hasattr(self.values, "dtype") else self.values.type

    def kind(self) -> str | None:
        """Return "number", "date", "duration" or "category".

        None if the dtype does not decide and all values are missing.

        Raises
        ------
        TypeError, ValueError
            If the column holds none of these.
        """
        name = str(self.dtype).lower()
        if name.startswith("complex"):
            raise ValueError(f"Complex data not supported, got {self.dtype} in {self}.")
        kind = _kind_of_name(name)
        found = {} if kind is None else {kind: self.dtype}
        if kind is None:
            types = {type(value) for value in self.objects() if not is_missing(value)}
            found = {kind_of_type(each): each.__name__ for each in types}
        if _REFUSED in found:
            raise TypeError(
                f"X must hold numbers, dates or categories in {self}: an argument must be a "
                f"string, a number, a date or a duration, not {found[_REFUSED]}."
            )
        return CATEGORY if len(found) > 1 else next(iter(found), None)

    def numbers(self) -> np.ndarray:
        """Return an array of numbers, NaN for missing values; dates and durations in days.

        Raises
        ------
        ValueError, TypeError
            If a value is not a number, or infinite.
        """
        values = self.array()
        if values.dtype.kind not in "biufmM":
            values = self._numbers_of_objects(values)
        if values.dtype.kind in "mM":
            return _days(values)
        if values.dtype.kind == "f" and np.isinf(values).any():
            raise ValueError(f"Input X contains infinity in {self}.")
        return values

    def _numbers_of_objects(self, objects: np.ndarray) -> np.ndarray:
        kinds = {kind_of_type(type(value)) for value in objects if not is_missing(value)}
        if len(kinds) > 1 and kinds & {DATE, DURATION}:
            raise ValueError(f"X must hold one kind of values in {self}, got {sorted(kinds)}.")
        numbers = []
        for value in objects:
            try:
                numbers.append(math.nan if is_missing(value) else _number(value))
            except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
                cure = "; if text is meant, name it in categorical_features"
                raise (TypeError if isinstance(error, TypeError) else ValueError)(
                    f"X must hold numbers in {self}, got {short_repr(value)}: {error}"
                    f"{cure if isinstance(value, str) else ''}"
                ) from error
        return np.array(numbers, dtype=np.float64)

    def categories(self) -> tuple[np.ndarray, list]:
        """Return the codes of the values, of shape (m,), and the list of categories.

        Missing values have the code -1.
        """
        values = self.values
        try:
            if len(values) <= _FEW_VALUES:
                return _codes_and_categories(self.objects())
            if hasattr(type(values), "factorize"):  # pandas
                codes, categories = values.factorize()
                return codes, categories.tolist()
            if hasattr(type(values), "dictionary_encode"):  # PyArrow
                if hasattr(values.type, "index_type"):  # its dictionary may have unused values
                    values = values.cast(values.type.value_type)
                values = values.combine_chunks() if hasattr(values, "combine_chunks") else values
                with suppress(NotImplementedError):  # some types cannot be encoded
                    encoded = values.dictionary_encode()
                    codes, categories = _codes_and_categories(encoded.dictionary.to_pylist())
                    indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
                    return np.append(codes, -1)[indices], categories
            return _codes_and_categories(self.objects())
        except TypeError as error:
            raise ValueError(f"X must hold categories in {self}, but {error}.") from error

    def objects(self) -> list:
        """Return the values as a list of Python objects."""
        if hasattr(self.values, "to_pylist"):
            return self.values.to_pylist()
        kind = getattr(self.dtype, "kind", "O")
        if isinstance(self.values, np.ndarray) and kind in "mM":  # nanoseconds would be integers
            return self.values.astype(f"{kind}8[us]").tolist()
        return self.values.tolist() if hasattr(self.values, "tolist") else self.values.to_list()

    def array(self) -> np.ndarray:
        """Return the values as a NumPy array, of objects if NumPy has no dtype for them."""
        values, name = self.values, str(self.dtype).lower()
        if hasattr(type(values), "factorize"):  # pandas
            if name.startswith("period"):
                return values.dt.to_timestamp().to_numpy()
            if getattr(values.dtype, "tz", None) is not None:
                return values.dt.tz_convert(None).to_numpy()
            if is_numeric(values.dtype):
                return array_of_numeric(values, values.dtype)
            return values.to_numpy()
        if name.startswith("dictionary"):  # PyArrow converts it to NumPy without missing values
            values = values.cast(values.type.value_type)
        if name in ("int128", "uint128"):  # polars does not convert these to arrays
            return object_array(self.objects())
        if hasattr(type(values), "get_chunks"):  # polars; np.asarray takes longer
            return values.to_numpy()
        if name.startswith(("time32", "time64")):  # PyArrow; Python's times have no nanoseconds
            unit = name.split("[")[1].rstrip("]")
            integers = values.cast(f"int{name[4:6]}")
            return np.array(integers.to_pylist(), dtype=f"timedelta64[{unit}]")
        return np.asarray(values)


def _codes_and_categories(objects: Iterable) -> tuple[np.ndarray, list]:
    """Return the codes of objects, -1 for missing ones, and the list of distinct objects."""
    position: dict[Any, int] = {}
    codes = [
        -1 if is_missing(value) else position.setdefault(value, len(position)) for value in objects
    ]
    return np.array(codes, dtype=np.intp), list(position)


def is_numeric(dtype: Any) -> bool:
    """Return whether a dtype of any library has NumPy's integers or floats, nullable or not."""
    return dtype.kind in "iuf" if isinstance(dtype, np.dtype) else _is_numeric_name(str(dtype))


@lru_cache
def _is_numeric_name(name: str) -> bool:
    return _NUMERIC_NAME.fullmatch(name.lower()) is not None


def array_of_numeric(values: Any, dtype: Any) -> np.ndarray:
    """Return a pandas Series or frame, all of a numeric dtype, as a NumPy array."""
    if isinstance(dtype, np.dtype):
        return values.to_numpy()
    # Without a dtype, pandas would return objects if a value is missing.
    dtype = np.result_type(dtype.numpy_dtype, np.float32)
    return values.to_numpy(dtype=dtype, na_value=np.nan)


def is_missing(value: Any) -> bool:
    """Return whether a value is None, NaN, NaT or pandas' NA."""
    if value is None or type(value).__name__ == "NAType":  # NA cannot be compared
        return True
    if isinstance(value, Decimal):  # a signalling NaN cannot be compared
        return value.is_nan()
    try:
        return bool(value != value)
    except Exception:
        return False


@lru_cache
def _kind_of_name(name: str) -> str | None:
    """Return the kind of a dtype by its name in lower case; None if the values decide."""
    beginning = next((begin for begin in _BEGINNINGS if name.startswith(begin)), "")
    return _KIND_OF_DTYPE.get(beginning, NUMBER)


def kind_of_type(type_: type) -> str:
    """Return the kind of values of a type: "category" unless numbers, dates or durations."""
    for types, kind in _KIND_OF_TYPE:
        if issubclass(type_, types):
            return kind
    if type_.__name__ == "Period":  # pandas
        return DATE
    return CATEGORY if type_.__hash__ is not None else _REFUSED


def kinds_of_categories(values: Iterable) -> set[str]:
    """Return the set of kinds of some categories, without that of missing values.

    "category" stands for text. Booleans count as numbers, as in Python, where True equals 1.
    """
    types = set(map(type, values)) - {type(None)}
    return {NUMBER if issubclass(t, bool | np.bool_) else kind_of_type(t) for t in types}


def _number(value: Any) -> float:
    """Return a number as a float, a date or duration in days."""
    if type(value).__name__ == "Period":
        value = value.to_timestamp()
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        value = value.astimezone(dt.timezone.utc).replace(tzinfo=None)
    if isinstance(value, dt.time):
        value = dt.datetime.combine(dt.date.min, value.replace(tzinfo=None)) - dt.datetime.min
    if isinstance(value, dt.date | np.datetime64):
        return _days(np.array(value, dtype="datetime64[us]"))
    if isinstance(value, dt.timedelta | np.timedelta64):
        return _days(np.array(value, dtype="timedelta64[us]"))
    return float(value)


def _days(times: np.ndarray) -> Any:
    """Return points in time as days since 1970, or durations in days, NaN for NaT.

    Whole seconds and the rest are converted separately, so that the result does not depend on the
    unit.
    """
    seconds = times.astype(f"{times.dtype.kind}8[s]")
    rest = (times - seconds) / np.timedelta64(1, "s")
    return (seconds.astype(np.int64) + rest) / _SECONDS_PER_DAY


def object_array(values: list) -> np.ndarray:
    """Return a list as an array of its objects."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def short_repr(value: Any, longest: int = 60) -> str:
    """Return a value as an error message shows it, shortened."""
    try:
        text = repr(value)
    except Exception:  # a user's class may raise anything
        return f"a {type(value).__qualname__}"
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
