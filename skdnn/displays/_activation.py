"""An activation function and its derivative."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from skdnn.network import get_activation

from ._arguments import as_numbers, check_count, check_interval
from ._canvas import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ActivationDisplay:
    """Plot an activation function g and its derivative g'.

    It is recommended to use :func:`~skdnn.ActivationDisplay.from_activation`.

    Parameters
    ----------
    Z : ndarray of shape (n_points,)
        Points at which the function was computed.
    A : ndarray of shape (n_points,)
        ``g(Z)``.
    derivative : ndarray of shape (n_points,)
        ``g'(Z)``.
    name : str, default="g"
        Title of the plot.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The curves of g and g'.
    ax_ : matplotlib Axes
        Axes that were drawn on.
    figure_ : matplotlib Figure
        Figure that contains the axes.

    See Also
    --------
    DeepBinaryClassifier, DeepRegressor : Estimators with the parameter `activation`.
    NetworkDisplay : Plot the layers of a network.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn import ActivationDisplay
    >>> Z = np.linspace(-1, 1, 5)
    >>> ActivationDisplay(Z, Z**3, 3 * Z**2, "cube").name
    'cube'
    """

    def __init__(
        self, Z: np.ndarray, A: np.ndarray, derivative: np.ndarray, name: str = "g"
    ) -> None:
        self.Z = Z
        self.A = A
        self.derivative = derivative
        self.name = name

    @classmethod
    def from_activation(
        cls,
        activation: Any,
        *,
        limits: tuple[float, float] = (-5.0, 5.0),
        n_points: int = 500,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> ActivationDisplay:
        """Compute and plot an activation function and its derivative.

        Parameters
        ----------
        activation : str, callable or torch.nn.Module class
            Any value of the parameter `activation` of the estimators.
        limits : tuple of float, default=(-5.0, 5.0)
            Smallest and largest Z.
        n_points : int, default=500
            Number of evenly spaced points.
        ax : matplotlib Axes, default=None
            Axes to draw on; None creates a new figure.
        **kwargs : dict
            Passed to matplotlib's `plot`.

        Returns
        -------
        ActivationDisplay
            The display object, which was drawn.

        Raises
        ------
        ValueError
            If the activation is unknown or not differentiable, or `limits` or `n_points` is
            invalid.

        Examples
        --------
        >>> from skdnn import ActivationDisplay
        >>> display = ActivationDisplay.from_activation("tanh")
        >>> float(display.derivative.max())  # g'(0) = 1
        0.9999
        """
        check_interval("limits", limits)
        check_count("n_points", n_points, 2)
        g = get_activation(activation)
        with torch.inference_mode(False), torch.autocast("cpu", enabled=False):
            Z = torch.linspace(*limits, n_points, dtype=torch.float64, device="cpu")[:, None]
            curves = Z, g.function(Z), g.derivative(Z)
            z, a, derivative = (tensor[:, 0].detach().numpy() for tensor in curves)
        return cls(z, a, derivative, g.name).plot(ax=ax, **kwargs)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> ActivationDisplay:
        """Plot both curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None creates a new figure.
        **kwargs : dict
            Passed to matplotlib's `plot`.

        Returns
        -------
        ActivationDisplay
            The display object.
        """
        for name in ("Z", "A", "derivative"):
            as_numbers(name, getattr(self, name))
        self.ax_, self.figure_ = axes_or_new(ax)
        g = self.ax_.plot(self.Z, self.A, **{"label": "$g(z)$", **kwargs})
        slope = {"label": "$g'(z)$", "linestyle": "--"}
        self.lines_ = g + self.ax_.plot(self.Z, self.derivative, **{**kwargs, **slope})
        self.ax_.set(xlabel="$z$", title=self.name)
        self.ax_.axhline(0, color="grey", linewidth=0.5)
        self.ax_.legend()
        return self
