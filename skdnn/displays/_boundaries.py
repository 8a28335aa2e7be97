"""Predicted probabilities of several classifiers over two features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from skdnn.data.frames import short_repr, to_host

from ._arguments import as_numbers, check_count
from ._canvas import figure_with_axes, rows_and_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARGIN = 0.15  # around the points, as a fraction of their range


class DecisionBoundariesDisplay:
    """Plot probabilities and decision boundaries of several classifiers side by side.

    A new figure has at most three plots in a row.

    It is recommended to use :func:`~skdnn.DecisionBoundariesDisplay.from_estimators`.

    Parameters
    ----------
    xx0, xx1 : ndarrays of shape (grid_resolution, grid_resolution)
        Values of the first and of the second feature on the grid.
    probabilities : dict of str to ndarray of shape (grid_resolution, grid_resolution)
        Probability of the second class on the grid, by the title of each plot.
    points : ndarray of shape (n_samples, 2)
        Rows to mark.
    is_positive : ndarray of bool of shape (n_samples,)
        Whether each row belongs to the second class.

    Attributes
    ----------
    axes_ : list of matplotlib Axes
        Axes that were drawn on.
    figure_ : matplotlib Figure
        Figure that contains the axes.

    See Also
    --------
    sklearn.inspection.DecisionBoundaryDisplay : Plot of one estimator, with more options.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn import DecisionBoundariesDisplay
    >>> xx0, xx1 = np.meshgrid([0.0, 1.0], [0.0, 1.0])
    >>> points, is_positive = np.array([[0.5, 0.2]]), np.array([True])
    >>> display = DecisionBoundariesDisplay(xx0, xx1, {"a slope": xx0}, points, is_positive)
    >>> list(display.probabilities)
    ['a slope']
    """

    def __init__(
        self,
        xx0: np.ndarray,
        xx1: np.ndarray,
        probabilities: Mapping[str, np.ndarray],
        points: np.ndarray,
        is_positive: np.ndarray,
    ) -> None:
        self.xx0 = xx0
        self.xx1 = xx1
        self.probabilities = probabilities
        self.points = points
        self.is_positive = is_positive

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, BaseEstimator],
        X: Any,
        y: ArrayLike,
        *,
        grid_resolution: int = 100,
        axes: Any = None,
        **kwargs: Any,
    ) -> DecisionBoundariesDisplay:
        """Compute and plot the probabilities of fitted classifiers around the rows of X.

        Parameters
        ----------
        estimators : dict of str to estimator
            Fitted binary classifiers with `predict_proba`, by the title of their plot.
        X : array-like of shape (n_samples, 2)
            Rows to mark; the plots extend a little beyond them.
        y : array-like of shape (n_samples,)
            Their labels.
        grid_resolution : int, default=100
            Number of grid points along each feature.
        axes : sequence of matplotlib Axes, default=None
            Axes to draw on, one for each classifier; None creates a new figure.
        **kwargs : dict
            Passed to matplotlib's `contourf`.

        Returns
        -------
        DecisionBoundariesDisplay
            The display object, which was drawn.

        Raises
        ------
        ValueError
            If a classifier does not have two classes, X does not have two columns, y does not have
            a known label for each row, or the number of `axes` is not that of the classifiers.
        TypeError
            If `estimators` is not a dict of fitted classifiers.

        Examples
        --------
        >>> from sklearn.datasets import make_moons
        >>> from skdnn import DecisionBoundariesDisplay, DeepBinaryClassifier
        >>> X, y = make_moons(200, noise=0.2, random_state=0)
        >>> depths = {
        ...     f"L = {L}": DeepBinaryClassifier(L, random_state=0).fit(X, y) for L in (1, 3)
        ... }
        >>> display = DecisionBoundariesDisplay.from_estimators(depths, X, y)
        >>> [ax.get_title() for ax in display.axes_]
        ['L = 1', 'L = 3']
        """
        if not isinstance(estimators, Mapping):
            raise TypeError(
                "estimators must be a dict from a title to a fitted classifier, got "
                f"{type(estimators).__name__}."
            )
        for name, estimator in estimators.items():
            if not hasattr(estimator, "predict_proba") or not hasattr(estimator, "classes_"):
                raise TypeError(f"estimators[{name!r}] must be a fitted classifier.")
            if len(estimator.classes_) != 2:
                raise ValueError(
                    f"estimators[{name!r}] must be a binary classifier, got one of "
                    f"{len(estimator.classes_)} classes. scikit-learn's DecisionBoundaryDisplay "
                    "draws these."
                )
        if not estimators:
            raise ValueError("estimators must contain at least one fitted classifier, got none.")
        check_count("grid_resolution", grid_resolution, 2)
        points = as_numbers("X", X, (2,)).astype(np.float64)
        if not np.isfinite(points).all():
            raise ValueError("X must contain only finite numbers.")
        if points.shape[1] != 2:
            raise ValueError(f"X must have two columns, got shape {points.shape}.")
        is_positive = _is_positive(next(iter(estimators.values())), y, len(points))
        low, high = points.min(axis=0), points.max(axis=0)
        margin = _MARGIN * (high - low)
        xx0, xx1 = np.meshgrid(*np.linspace(low - margin, high + margin, grid_resolution).T)
        grid = np.column_stack([xx0.ravel(), xx1.ravel()])
        if hasattr(X, "columns"):  # a frame in, a frame of the same kind out
            grid = type(X)(dict(zip(X.columns, grid.T, strict=True)))
        probabilities = {
            name: estimator.predict_proba(grid)[:, 1].reshape(xx0.shape)
            for name, estimator in estimators.items()
        }
        display = cls(xx0, xx1, probabilities, points, is_positive)
        return display.plot(axes=axes, **kwargs)

    def plot(self, axes: Any = None, **kwargs: Any) -> DecisionBoundariesDisplay:
        """Plot the probabilities of each classifier.

        Parameters
        ----------
        axes : sequence of matplotlib Axes, default=None
            Axes to draw on, one for each classifier; None creates a new figure.
        **kwargs : dict
            Passed to matplotlib's `contourf`.

        Returns
        -------
        DecisionBoundariesDisplay
            The display object.

        Raises
        ------
        ValueError
            If the number of `axes` is not that of the classifiers, or shapes are inconsistent.
        """
        if not isinstance(self.probabilities, Mapping) or not self.probabilities:
            raise ValueError("probabilities must be a non-empty dict from a title to an array.")
        shape = as_numbers("xx0", self.xx0, (2,)).shape
        for name, probability in self.probabilities.items():
            if np.shape(probability) != shape:
                raise ValueError(f"probabilities[{name!r}] must have shape {shape}.")
        if np.shape(self.points) != (*np.shape(self.is_positive), 2):
            raise ValueError(f"points must have shape (n, 2), got {np.shape(self.points)}.")
        n = len(self.probabilities)
        if axes is not None and len(axes) != n:
            raise ValueError(f"axes must be one for each of {n} classifiers, got {len(axes)}.")
        self.axes_, self.figure_ = figure_with_axes(axes, n, _size(n))
        for ax, (name, probability) in zip(self.axes_, self.probabilities.items(), strict=True):
            self._draw(ax, probability, **kwargs)
            ax.set(title=name, xticks=[], yticks=[])
        return self

    def _draw(self, ax: Axes, probability: np.ndarray, **kwargs: Any) -> None:
        shades = {"levels": np.linspace(0, 1, 11), "cmap": "RdBu_r", "alpha": 0.6, **kwargs}
        ax.contourf(self.xx0, self.xx1, probability, **shades)
        if probability.min() < 0.5 < probability.max():  # else the boundary is outside the plot
            ax.contour(self.xx0, self.xx1, probability, levels=[0.5], colors="black")
        for rows, colour in ((self.is_positive, "#b2182b"), (~self.is_positive, "#2166ac")):
            x0, x1 = self.points[rows].T
            ax.scatter(x0, x1, c=colour, s=12, edgecolors="white", linewidths=0.4)


def _size(n: int) -> tuple[float, float]:
    """Return the width and height in inches of a figure with n plots."""
    n_rows, n_columns = rows_and_columns(n)
    width, height = (3.0, 2.5) if n_columns < 3 else (2.2, 2.1)
    return width * n_columns, height * n_rows


def _is_positive(estimator: Any, y: ArrayLike, n_samples: int) -> np.ndarray:
    """Return which labels are the second class."""
    labels = np.asarray(to_host(y))
    known = list(estimator.classes_)
    if labels.shape != (n_samples,) or not all(label in known for label in labels.tolist()):
        raise ValueError(
            f"y must contain one of {known} for each of {n_samples} rows, got {short_repr(y)}"
        )
    return labels == known[1]
