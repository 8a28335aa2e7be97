"""What to draw and where: the network in an estimator, the axes of a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skdnn.estimator import NetworkEstimator

from ._arguments import check_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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


def figure_with_axes(
    axes: Any, n: int, size: tuple[float, float] | None = None
) -> tuple[list[Axes], Any]:
    """Return n axes side by side, new ones for None, and their figure."""
    if axes is None:
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError("Displays need matplotlib: pip install 'skdnn[plot]'.") from error
        axes = plt.subplots(1, n, figsize=size, layout="constrained", squeeze=False)[1][0]
    axes = list(axes)
    for ax in axes:
        check_axes("axes", ax)
    return axes, axes[0].figure
