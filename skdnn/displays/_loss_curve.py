"""The cost over the epochs of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator

from ._arguments import as_numbers, check_count
from ._canvas import axes_or_new, find_network

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class LossCurveDisplay:
    """Plot the cost over the epochs of training.

    It is recommended to use :func:`~skdnn.LossCurveDisplay.from_estimator`.

    Parameters
    ----------
    loss_curve : list of float
        Training cost in each epoch.
    validation_loss_curve : list of float or None, default=None
        Cost on the validation set after each epoch.
    best_iter : int or None, default=None
        Epoch whose weights were kept, counted from 1; it is marked.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The curves.
    ax_ : matplotlib Axes
        Axes that were drawn on.
    figure_ : matplotlib Figure
        Figure that contains the axes.

    See Also
    --------
    NetworkDisplay : Plot the layers of a network.
    sklearn.model_selection.LearningCurveDisplay : Plot scores over the number of rows.

    Examples
    --------
    >>> from skdnn import LossCurveDisplay
    >>> LossCurveDisplay([0.7, 0.5, 0.4], [0.7, 0.6, 0.65], best_iter=2).best_iter
    2
    """

    def __init__(
        self,
        loss_curve: Sequence[float],
        validation_loss_curve: Sequence[float] | None = None,
        best_iter: int | None = None,
    ) -> None:
        self.loss_curve = loss_curve
        self.validation_loss_curve = validation_loss_curve
        self.best_iter = best_iter

    @classmethod
    def from_estimator(
        cls, estimator: BaseEstimator, *, ax: Axes | None = None, **kwargs: Any
    ) -> LossCurveDisplay:
        """Plot the loss curves of a fitted estimator.

        Parameters
        ----------
        estimator : DeepBinaryClassifier or DeepRegressor
            Fitted estimator; or a fitted pipeline or search that contains one as its last step or
            best estimator.
        ax : matplotlib Axes, default=None
            Axes to draw on; None creates a new figure.
        **kwargs : dict
            Passed to matplotlib's `plot`.

        Returns
        -------
        LossCurveDisplay
            The display object, which was drawn.

        Examples
        --------
        >>> from sklearn.datasets import make_moons
        >>> from skdnn import DeepBinaryClassifier, LossCurveDisplay
        >>> clf = DeepBinaryClassifier(random_state=0).fit(*make_moons(random_state=0))
        >>> display = LossCurveDisplay.from_estimator(clf)
        >>> display.ax_.get_ylabel()
        'cost'
        """
        fitted = find_network(estimator)
        keeps_best = fitted.validation_loss_curve_ is not None
        display = cls(
            fitted.loss_curve_,
            fitted.validation_loss_curve_,
            fitted.best_iter_ if keeps_best and isinstance(fitted.best_iter_, int) else None,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> LossCurveDisplay:
        """Plot the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None creates a new figure.
        **kwargs : dict
            Passed to matplotlib's `plot`.

        Returns
        -------
        LossCurveDisplay
            The display object.

        Raises
        ------
        ValueError
            If a curve is empty or does not contain numbers.
        """
        as_numbers("loss_curve", self.loss_curve)
        if self.validation_loss_curve is not None:
            as_numbers("validation_loss_curve", self.validation_loss_curve)
        if self.best_iter is not None:
            check_count("best_iter", self.best_iter, 0)
        self.ax_, self.figure_ = axes_or_new(ax)
        epochs = range(1, len(self.loss_curve) + 1)
        self.lines_ = self.ax_.plot(epochs, self.loss_curve, **{"label": "training", **kwargs})
        if self.validation_loss_curve is not None:
            curve = self.validation_loss_curve
            self.lines_ += self.ax_.plot(epochs, curve, **{**kwargs, "label": "validation"})
        if self.best_iter is not None:
            label = f"weights kept (epoch {self.best_iter})"
            self.ax_.axvline(self.best_iter, color="grey", linestyle=":", label=label)
        self.ax_.set(xlabel="epoch", ylabel="cost")
        self.ax_.locator_params(axis="x", integer=True)
        self.ax_.legend()
        return self
