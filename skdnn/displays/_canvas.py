"""What to draw and where: the network in an estimator, the axes of a picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skdnn.estimator import NetworkEstimator

from ._arguments import check_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_COLUMNS = 3  # more panels in a row are too small to be read


def find_network(estimator: Any) -> Any:
    """Return the fitted DeepBinaryClassifier or DeepRegressor in an estimator."""
    inner = None
    while inner is not estimator:
        inner, estimator = estimator, _inside(estimator)
    if not isinstance(estimator, NetworkEstimator):
        raise TypeError(
            "estimator must be a DeepBinaryClassifier or DeepRegressor, a pipeline that ends in "
            f"one or a search for one, got {type(estimator).__name__}."
        )
    check_is_fitted(estimator)
    return estimator


def _inside(estimator: Any) -> Any:
    """Return what a pipeline or search ends in; anything else as it is."""
    if isinstance(estimator, Pipeline):
        return estimator[-1]
    return getattr(estimator, "best_estimator_", estimator)


def axes_or_new(ax: Axes | None, size: tuple[float, float] | None = None) -> tuple[Axes, Any]:
    """Return axes, new ones for None, and their figure."""
    if ax is not None:
        check_axes("ax", ax)
    axes, figure = figure_with_axes(None if ax is None else [ax], 1, size)
    return axes[0], figure


def rows_and_columns(n: int) -> tuple[int, int]:
    """Return a grid for n panels, of which no more than three stand side by side."""
    n_rows = math.ceil(n / _MOST_COLUMNS)
    return n_rows, math.ceil(n / n_rows)


def figure_with_axes(
    axes: Any, n: int, size: tuple[float, float] | None = None
) -> tuple[list[Axes], Any]:
    """Return n axes row by row, new ones for None, and their figure."""
    if axes is None:
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError("Displays need matplotlib: pip install 'skdnn[plot]'.") from error
        figure = plt.figure(figsize=size, layout="constrained")
        axes = [figure.add_subplot(*rows_and_columns(n), k + 1) for k in range(n)]
    axes = list(axes)
    for ax in axes:
        check_axes("axes", ax)
    return axes, axes[0].figure
