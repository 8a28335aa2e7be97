"""Text columns that hold numbers, dates or durations but are learned as categories.

A column is reported if nearly all of its values read as one of these:

- numbers: with blanks around them, a sign, an exponent, a thousands separator, a decimal comma, a
  currency sign or a percent sign. A column with leading zeros ("01234") or with integers of more
  digits than a float holds has identifiers, which are not numbers;
- dates: in ISO 8601, year first, with or without time, fraction and zone, as pandas writes them;
- durations: as pandas writes them ("1 days 02:30:00"), and times of day with seconds.

Missing values and text that stands for them ("n/a", "?") do not count. Users who mean categories
use `categorical_features` or a categorical dtype; then the column is not reported.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np

from ._columns import DATE, DURATION, NUMBER, kind_of_type, short_repr
from ._containers import columns_of, is_frame

# Fraction of the values that must read as numbers, dates or durations.
_NEARLY_ALL = 0.9
# If a column has more distinct values, the more frequent half of this number is read, and every
# n-th of the others.
_MOST_VALUES = 10_000
_MOST_SHOWN = 3
_MISSING = {
    *("", "-", "--", ".", "?", "#n/a", "<na>", "n/a", "na", "nan", "-nan", "nat"),
    *("nil", "none", "null", "missing", "unknown"),
}
_CATEGORICAL_DTYPES = ("cat", "dictionary", "enum")
_BLANK = "[ \u00a0\u202f]"


def _number_pattern(point: str, comma: str) -> re.Pattern:
    """Return the pattern of numbers with a decimal point and a thousands separator."""
    grouped = rf"[1-9][0-9]{{0,2}}(?:(?:[{comma}'\u2019]|{_BLANK})[0-9]{{3}})+"
    return re.compile(
        rf"[+-]?[$€£¥]?{_BLANK}?[+-]?(?:(?:{grouped}|[0-9]+)(?:[{point}][0-9]*)?|[{point}][0-9]+)"
        rf"(?:[eE][+-]?[0-9]+)?{_BLANK}?[%$€£¥]?"
    )


_CLOCK = r"[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
_ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
_MONTH, _DAY = "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
_DATE = (
    rf"[0-9]{{4}}([-/]){_MONTH}\1{_DAY}"
    rf"(?:[T ][0-9]{{2}}:[0-9]{{2}}(?::[0-9]{{2}}(?:\.[0-9]{{1,9}})?)?{_ZONE}?)?"
)
# A month, or a day without separators: polars reads neither.
_SHORT_DATE = rf"[0-9]{{4}}-{_MONTH}|(?:19|20)[0-9]{{2}}{_MONTH}{_DAY}"
_IS_LONG_DATE = re.compile(_DATE).fullmatch
_IS_IDENTIFIER = re.compile("0[0-9]+|[0-9]{16,}").fullmatch
_HAS_ZONE = re.compile(rf":.*{_ZONE}$").search


@dataclass(frozen=True)
class _Format:
    """A format of text.

    Attributes
    ----------
    name : str
        In the plural, for messages.
    kind : str
        Kind of values that are not text, in a column of objects.
    pattern : re.Pattern
        Of the whole text, without blanks around it.
    point : str, default="."
        Decimal point of a number.
    """

    name: str
    kind: str
    pattern: re.Pattern
    point: str = "."

    def reads(self, value: Any) -> bool:
        """Return whether a value has this format."""
        if isinstance(value, str):
            return self.pattern.fullmatch(value.strip()) is not None
        return kind_of_type(type(value)) == self.kind


# If several formats read the same number of values, the first one is meant.
_FORMATS = (
    _Format("dates", DATE, re.compile(f"{_DATE}|{_SHORT_DATE}")),
    _Format("numbers", NUMBER, _number_pattern(".", ",")),
    _Format("numbers", NUMBER, _number_pattern(",", "."), point=","),
    _Format("durations", DURATION, re.compile(rf"-?[0-9]+ days?(?: [+-]?{_CLOCK})?|-?{_CLOCK}")),
)


def text_warnings(
    X: Any,
    passed: Any,
    is_categorical: np.ndarray,
    categories: Sequence,
    counts: Sequence[np.ndarray],
) -> dict[int, str]:
    """Return a message for each text column that reads as something else, by its index.

    Parameters
    ----------
    X : frame of shape (m, n)
        Only its dtypes are used. If it is not a frame, no column is reported.
    passed : object
        What the user passed as X: the frame, or a file.
    is_categorical : array of bool of shape (n,)
    categories : list of arrays or lists
        The distinct values of each such column, None for a missing one.
    counts : list of arrays
        Number of rows of each distinct value.
    """
    if not is_frame(X):
        return {}
    indices, messages = np.flatnonzero(is_categorical).tolist(), {}
    columns = columns_of(X, indices)
    for j, column, values, n_rows in zip(indices, columns, categories, counts, strict=True):
        if str(column.dtype).lower().startswith(_CATEGORICAL_DTYPES):
            continue
        values, n_rows = _sample_values(values, n_rows)
        format_ = _format_of(values, n_rows)
        if format_ is None:
            continue
        is_read = [format_.reads(value) for value in values]
        others = [
            short_repr(value) for value, reads in zip(values, is_read, strict=True) if not reads
        ]
        exceptions = f", except {', '.join(others[:_MOST_SHOWN])}" if others else ""
        line = _conversion(passed, j, column.name, format_, list(compress(values, is_read)))
        messages[j] = (
            f"Column {column.name!r} reads as {format_.name}{exceptions}, but holds text and is "
            f"learned as categories. Convert it: {line}. If categories are meant, give it a "
            "categorical dtype, or name all columns of categories in categorical_features."
        )
    return messages


def _sample_values(values: list | np.ndarray, counts: np.ndarray) -> tuple[list, np.ndarray]:
    """Return the distinct values of a column and their counts; if there are many, some of them."""
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    half = _MOST_VALUES // 2
    step = max(1, len(order) // half)
    chosen = np.append(order[:half], order[half::step])
    chosen = np.array([k for k in np.unique(chosen) if values[k] is not None], dtype=np.intp)
    return [values[k] for k in chosen], counts[chosen]


def _format_of(values: list, counts: np.ndarray) -> _Format | None:
    """Return the format of nearly all values, or None."""
    is_text = [isinstance(value, str) for value in values]
    if not any(is_text):
        return None
    is_missing = [isinstance(value, str) and value.strip().lower() in _MISSING for value in values]
    n_values = counts[~np.array(is_missing, dtype=bool)].sum()
    n_read = [counts[[format_.reads(value) for value in values]].sum() for format_ in _FORMATS]
    best = int(np.argmax(n_read))
    if n_read[best] == 0 or n_read[best] < _NEARLY_ALL * n_values:
        return None
    texts = compress(values, is_text)
    if _FORMATS[best].kind == NUMBER and any(_IS_IDENTIFIER(text.strip()) for text in texts):
        return None
    return _FORMATS[best]


def _conversion(passed: Any, j: int, name: Any, format_: _Format, values: list) -> str:
    """Return the line of code that converts column j in the library of its frame."""
    column = f"X[{name!r}]"
    if hasattr(type(passed), "get_column"):  # polars
        if format_.kind == NUMBER or all(_IS_LONG_DATE(text.strip()) for text in values):
            return f"X = X.with_columns({_polars_expression(f'pl.col({name!r})', format_, values)})"
        series = _pandas_expression(f"{column}.to_pandas()", format_, values)
        return f"X = X.with_columns(pl.Series({name!r}, {series}))"
    if hasattr(type(passed), "iloc"):  # pandas
        return f"{column} = {_pandas_expression(column, format_, values)}"
    if hasattr(type(passed), "itercolumns"):  # PyArrow
        series = _pandas_expression(f"{column}.to_pandas()", format_, values)
        return f"X = X.set_column({j}, {name!r}, pa.array({series}))"
    column = f"frame[{name!r}]"
    series = _pandas_expression(column, format_, values)
    return f"{column} = {series}, before the file is written"


def _pandas_expression(column: str, format_: _Format, values: list) -> str:
    """Return the code that converts a pandas column, itself given as code."""
    texts = [value for value in values if isinstance(value, str)]
    text = column if len(texts) == len(values) else f"{column}.astype(str)"
    if format_.kind == DURATION:
        return f"pd.to_timedelta({column}, errors='coerce')"
    if format_.kind == DATE:
        column = f"{text}.str.strip()" if any(each != each.strip() for each in texts) else column
        # By default pandas reads all dates in the format of the first one.
        has_several_formats = len({re.sub("[0-9]", "0", text) for text in texts}) > 1
        options = "format='ISO8601', " if has_several_formats else ""
        options += "utc=True, " if any(_HAS_ZONE(text.strip()) for text in texts) else ""
        return f"pd.to_datetime({column}, {options}errors='coerce')"
    signs = _signs_to_remove(format_, texts)
    if len(signs) > 1:
        column = f"{text}.str.replace({f'[{signs}]'!r}, '', regex=True)"
    elif signs:
        column = f"{text}.str.replace({signs!r}, '')"
    if format_.point == ",":
        column = f"{column if signs else text}.str.replace(',', '.')"
    return f"pd.to_numeric({column}, errors='coerce')"


def _polars_expression(column: str, format_: _Format, texts: list[str]) -> str:
    """Return the code that converts a polars column, itself given as code."""
    column += ".str.strip_chars()" if any(text != text.strip() for text in texts) else ""
    if format_.kind == DATE:
        zone = "time_zone='UTC', " if any(_HAS_ZONE(text.strip()) for text in texts) else ""
        return f"{column}.str.to_datetime({zone}strict=False)"
    signs = _signs_to_remove(format_, texts)
    column += f".str.replace_all({f'[{signs}]'!r}, '')" if signs else ""
    column += ".str.replace(',', '.')" if format_.point == "," else ""
    return f"{column}.cast(pl.Float64, strict=False)"


def _signs_to_remove(format_: _Format, texts: list[str]) -> str:
    """Return the characters of numbers that no library reads."""
    characters = set("".join(text.strip() for text in texts))
    return "".join(sorted(characters - set("0123456789+-eE" + format_.point)))
