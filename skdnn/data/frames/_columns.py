"""One column, whatever library its frame is of: what it holds, and that as numbers or levels.

A column is read in one way whatever stands beside it. Its dtype says how; a column of objects is
what all of its values are:

- numbers, decimals and fractions among them, are numbers;
- dates are points in time: days since the beginning of 1970 in UTC, whatever their unit;
- durations and times of day are lengths of time, in days;
- text, booleans, categories and mixtures are levels.

None, NaN, NaT and pandas' NA are missing. What is none of these, such as a list, is refused.
"""

import datetime as dt
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from numbers import Complex, Real
from typing import Any

import numpy as np
import torch

NUMBER, DATE, DURATION, CATEGORY = "number", "date", "duration", "category"
_REFUSED = "refused"

# What a column holds, by how the name of its dtype begins in pandas, polars and PyArrow; the
# longest beginning counts. Objects are asked what they are; all other dtypes are those of numbers.
_KIND_OF_DTYPE = {
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
_KIND_OF_TYPE = (
    ((bool, np.bool_), CATEGORY),
    ((dt.date, np.datetime64), DATE),
    ((dt.timedelta, dt.time, np.timedelta64), DURATION),  # NumPy's are integers, too
    ((Real, Decimal, torch.Tensor), NUMBER),
    ((Complex,), _REFUSED),
)
_SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Column:
    """A column of a frame or of an array.

    Attributes
    ----------
    name : object
        As the frame has it; in an array its place, counted from 0.
    values : Series of pandas or polars, array of PyArrow, or array of shape (m,)
    """

    name: Any
    values: Any

    def __str__(self):
        return f"column {self.name!r}"

    @property
    def dtype(self):
        """The dtype, as the library has it."""
        return self.values.dtype if hasattr(self.values, "dtype") else self.values.type

    def kind(self):
        """Return "number", "date", "duration" or "category".

        None where the dtype leaves that open and all values are missing.

        Raises
        ------
        TypeError, ValueError
            If the column holds none of these.
        """
        name = str(self.dtype).lower()
        kind = _kind_of_name(name)
        if name.startswith("complex"):
            raise ValueError(f"Complex data not supported, got {self.dtype} in {self}.")
        if kind == _REFUSED:
            raise self._refusal(self.dtype)
        return self._kind_of_objects() if kind is None else kind

    def _kind_of_objects(self):
        types = {type(value) for value in self.objects() if not is_missing(value)}
        kinds = {kind_of_type(found) for found in types}
        for found in types:
            if kind_of_type(found) == _REFUSED:
                raise self._refusal(found.__name__)
        if len(kinds) > 1:
            return CATEGORY
        return kinds.pop() if kinds else None

    def _refusal(self, found):
        return TypeError(
            f"X must hold numbers, dates or levels in {self}: an argument must be a string, a "
            f"number, a date or a duration, not {found}."
        )

    def numbers(self):
        """Return an array of numbers, NaN where one is missing; dates and durations in days.

        Raises
        ------
        ValueError, TypeError
            If a value is no number, or infinite.
        """
        values = self.array()
        if values.dtype.kind not in "biufmM":
            values = self._numbers_of_objects(values)
        if values.dtype.kind in "mM":
            return _days(values)
        if values.dtype.kind == "f" and np.isinf(values).any():
            raise ValueError(f"Input X contains infinity in {self}.")
        return values

    def _numbers_of_objects(self, objects):
        kinds = {kind_of_type(type(value)) for value in objects if not is_missing(value)}
        if len(kinds) > 1 and kinds & {DATE, DURATION}:
            raise ValueError(f"X must hold one kind of values in {self}, got {sorted(kinds)}.")
        numbers = []
        for value in objects:
            try:
                numbers.append(math.nan if is_missing(value) else _number(value))
            except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
                kept = TypeError if isinstance(error, TypeError) else ValueError
                cure = "; if text is meant, name it in categorical_features"
                raise kept(
                    f"X must hold numbers in {self}, got {shown(value)}: {error}"
                    f"{cure if isinstance(value, str) else ''}"
                ) from error
        return np.array(numbers, dtype=np.float64)

    def categories(self):
        """Return the codes of the values, of shape (m,), and the list of levels they stand for.

        What is missing has the code -1.
        """
        try:
            if hasattr(type(self.values), "factorize"):  # of pandas
                codes, categories = self.values.factorize()
                return codes, categories.tolist()
            if hasattr(type(self.values), "dictionary_encode"):  # of PyArrow
                return _categories_of_pyarrow(self)
            return _codes_and_categories(self.objects())
        except TypeError as error:
            raise ValueError(f"X must hold levels in {self}, but {error}.") from error

    def objects(self):
        """Return the values as a list of Python's objects."""
        if hasattr(self.values, "to_pylist"):
            return self.values.to_pylist()
        kind = getattr(self.dtype, "kind", "O")
        if isinstance(self.values, np.ndarray) and kind in "mM":  # whose nanoseconds are integers
            return self.values.astype(f"{kind}8[us]").tolist()
        return self.values.tolist() if hasattr(self.values, "tolist") else self.values.to_list()

    def array(self):
        """Return the values as a NumPy array, of objects where NumPy has no dtype for them."""
        values, name = self.values, str(self.dtype).lower()
        if hasattr(type(values), "factorize"):
            return _array_of_pandas(values, name)
        if name.startswith("dictionary"):  # PyArrow's way to NumPy loses which values are missing
            values = values.cast(values.type.value_type)
        if name in ("int128", "uint128"):  # of polars, which makes no arrays of these
            return objects_of(self.objects())
        if hasattr(type(values), "get_chunks"):  # of polars, which NumPy asks for much else first
            return values.to_numpy()
        if name.startswith(("time32", "time64")):  # of PyArrow, whose nanoseconds Python has not
            unit = name.split("[")[1].rstrip("]")
            integers = values.cast(f"int{name[4:6]}")
            return np.array(integers.to_pylist(), dtype=f"timedelta64[{unit}]")
        return np.asarray(values)


def _codes_and_categories(objects):
    position = {}
    codes = [
        -1 if is_missing(value) else position.setdefault(value, len(position)) for value in objects
    ]
    return np.array(codes, dtype=np.intp), list(position)


def _categories_of_pyarrow(column):
    """Return codes and levels as of the objects, of which only the distinct ones are made."""
    values = column.values
    if hasattr(values.type, "index_type"):  # what its dictionary holds need not be there
        values = values.cast(values.type.value_type)
    values = values.combine_chunks() if hasattr(values, "combine_chunks") else values
    try:
        encoded = values.dictionary_encode()
    except NotImplementedError:
        return _codes_and_categories(column.objects())
    codes, categories = _codes_and_categories(encoded.dictionary.to_pylist())
    indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return np.append(codes, -1)[indices], categories


def _array_of_pandas(values, name):
    if name.startswith("period"):
        return values.dt.to_timestamp().to_numpy()
    if getattr(values.dtype, "tz", None) is not None:
        return values.dt.tz_convert(None).to_numpy()
    return array_of_numeric(values, values.dtype) if is_numeric(values.dtype) else values.to_numpy()


def is_numeric(dtype):
    """Tell whether a dtype of any library is one of NumPy's integers or floats, nullable or not."""
    if isinstance(dtype, np.dtype):
        return dtype.kind in "iuf"
    return _is_numeric_name(str(dtype))


@lru_cache
def _is_numeric_name(name):
    return _NUMERIC_NAME.fullmatch(name.lower()) is not None


def array_of_numeric(values, dtype):
    """Return a Series or frame of pandas, all of a numeric dtype, as a NumPy array."""
    if isinstance(dtype, np.dtype):
        return values.to_numpy()
    # A nullable dtype would make objects of numbers where one is missing.
    dtype = np.result_type(dtype.numpy_dtype, np.float32)
    return values.to_numpy(dtype=dtype, na_value=np.nan)


def is_missing(value):
    """Tell whether a value is None, NaN, NaT or pandas' NA."""
    if value is None or type(value).__name__ == "NAType":  # which cannot say what it is equal to
        return True
    if isinstance(value, Decimal):  # of which one NaN must not be compared
        return value.is_nan()
    try:
        return bool(value != value)
    except Exception:
        return False


@lru_cache
def _kind_of_name(name):
    beginning = next((begin for begin in _BEGINNINGS if name.startswith(begin)), None)
    return _KIND_OF_DTYPE.get(beginning, NUMBER)


def kind_of_type(type_):
    """Return what values of a type are; "category" unless numbers, dates or durations."""
    for types, kind in _KIND_OF_TYPE:
        if issubclass(type_, types):
            return kind
    if type_.__name__ == "Period":  # of pandas
        return DATE
    return CATEGORY if type_.__hash__ is not None else _REFUSED


def kinds_of_categories(values):
    """Return the set of kinds of some categories, missing ones aside.

    "category" stands for text. Booleans count as numbers, as in Python, where True equals 1.
    """
    types = set(map(type, values)) - {type(None)}
    return {NUMBER if issubclass(t, bool | np.bool_) else kind_of_type(t) for t in types}


def _number(value):
    """Return a number, or the days of a date or duration."""
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


def _days(times):
    """Return points in time as days since 1970, or lengths of time in days, NaN for NaT.

    Whole seconds and the rest of them apart, so that the unit makes no difference.
    """
    seconds = times.astype(f"{times.dtype.kind}8[s]")
    rest = (times - seconds) / np.timedelta64(1, "s")
    return (seconds.astype(np.int64) + rest) / _SECONDS_A_DAY


def objects_of(values):
    """Return a list as an array of its objects."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def shown(value, longest=60):
    """Return a value as an error shows it."""
    try:
        text = repr(value)
    except Exception:  # whatever a user's class may raise
        return f"a {type(value).__qualname__}"
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
