"""The schema of X: what a fit knows of its columns, by which all later rows are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ._columns import CATEGORY, kinds_of_categories, short_repr
from ._tables import Table


@dataclass(frozen=True)
class Schema:
    """The columns of X.

    Reading X for a fit returns a Schema, `partial_fit` makes one with more categories, and
    predictions read X by that of the fit. A fitted estimator has its fields as attributes.

    Attributes
    ----------
    n_features : int
    names : array of str of shape (n_features,) or None
        None if X has no names of columns.
    kinds : list of str or None
        "number", "date", "duration" or "category" for each column; None if all hold numbers.
    categories : list of q arrays
        The categories of each categorical column that are distinguished; empty before they are
        learned, and if no column holds categories.
    n_frequent : array of int of shape (q,)
        Number of frequent categories; the rare ones behind them have target means.
    kinds_of_categories : list of q sets of str
        Whether the categories of each column are text ("category"), numbers, dates or several.
    columns_warned_of : tuple of int
        Indices of the columns that the user has been warned of.
    """

    n_features: int
    names: np.ndarray | None = None
    kinds: list[str] | None = None
    categories: list[np.ndarray] = field(default_factory=list)
    n_frequent: np.ndarray = field(default_factory=partial(np.empty, 0, dtype=np.intp))
    kinds_of_categories: list[set[str]] = field(default_factory=list)
    columns_warned_of: tuple[int, ...] = ()

    @classmethod
    def from_attributes(cls, fitted: Mapping[str, Any]) -> "Schema":
        """Return the Schema of the fitted attributes of an estimator, by their names."""
        return cls(
            fitted["n_features_in_"],
            fitted.get("feature_names_in_"),
            fitted["column_kinds_"],
            fitted["categories_"] or [],
            fitted["_n_frequent"],
            fitted["_kinds_of_categories"],
            fitted["_columns_warned_of"],
        )

    def attributes(self) -> dict[str, Any]:
        """Return the fitted attributes of an estimator, by their names."""
        named = {} if self.names is None else {"feature_names_in_": self.names}
        is_categorical = self.is_categorical
        return {
            **named,
            "n_features_in_": self.n_features,
            "column_kinds_": self.kinds,
            "is_categorical_": is_categorical if is_categorical.any() else None,
            "categories_": self.categories or None,
            "_n_frequent": self.n_frequent,
            "_kinds_of_categories": self.kinds_of_categories,
            "_columns_warned_of": self.columns_warned_of,
        }

    @property
    def is_categorical(self) -> np.ndarray:
        """Which columns hold categories, an array of bool of shape (n_features,)."""
        if self.kinds is None:
            return np.zeros(self.n_features, dtype=bool)
        return np.array([kind == CATEGORY for kind in self.kinds])

    def column_name(self, j: int | np.integer) -> str:
        """Return how messages name column j: by its quoted name, or else by its index."""
        return repr(int(j) if self.names is None else self.names[j])

    def check_kinds_of_categories(self, table: Table) -> None:
        """Raise a ValueError if a column holds numbers where it held text, or the reverse."""
        if not self.kinds_of_categories:  # not learned yet
            return
        indices, kinds = np.flatnonzero(table.is_categorical), self.kinds_of_categories
        for j, known, categories in zip(indices, kinds, table.categories, strict=True):
            found = kinds_of_categories(categories)
            if known and found and not known & found:
                expected, got = (
                    " and ".join(
                        sorted("text" if kind == CATEGORY else f"{kind}s" for kind in both)
                    )
                    for both in (known, found)
                )
                raise ValueError(
                    f"X must hold {expected} in column {self.column_name(j)}, as in fit, got {got} "
                    f"such as {short_repr(categories[0])}."
                )
