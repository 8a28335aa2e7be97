"""Find the network to draw in an estimator, and the axes to draw on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skdnn.estimator import NetworkEstimator

from ._arguments import check_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_COLUMNS = 3  # more plots in a row are too small to read


def find_network(estimator: Any) -> Any:
    """Return the fitted DeepBinaryClassifier or DeepRegressor in an estimator."""
    inner = None
    while inner is not estimator:  # pipelines and searches may be nested
        inner = estimator
        if isinstance(estimator, Pipeline):
            estimator = estimator[-1]
        estimator = getattr(estimator, "best_estimator_", estimator)
    if not isinstance(estimator, NetworkEstimator):
        raise TypeError(
            "estimator must be a DeepBinaryClassifier or DeepRegressor, a pipeline that ends in "
            f"one or a search for one, got {type(estimator).__name__}."
        )
    check_is_fitted(estimator)
    return estimator


def axes_or_new(ax: Axes | None, size: tuple[float, float] | None = None) -> tuple[Axes, Any]:
    """Return the axes, or new ones for None, and their figure."""
    if ax is not None:
        check_axes("ax", ax)
    axes, figure = figure_with_axes(None if ax is None else [ax], 1, size)
    return axes[0], figure


def rows_and_columns(n: int) -> tuple[int, int]:
    """Return the numbers of rows and columns for n plots, with at most three columns."""
    n_rows = math.ceil(n / _MOST_COLUMNS)
    return n_rows, math.ceil(n / n_rows)


def figure_with_axes(
    axes: Any, n: int, size: tuple[float, float] | None = None
) -> tuple[list[Axes], Any]:
    """Return n axes row by row, or new ones for None, and their figure."""
    if axes is None:
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError("Displays require matplotlib: pip install 'skdnn[plot]'.") from error
        figure = plt.figure(figsize=size, layout="constrained")
        axes = [figure.add_subplot(*rows_and_columns(n), k + 1) for k in range(n)]
    axes = list(axes)
    for ax in axes:
        check_axes("axes", ax)
    return axes, axes[0].figure
