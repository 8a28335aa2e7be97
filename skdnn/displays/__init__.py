"""Plots of networks, by scikit-learn's Display API.

`from_estimator`, `from_estimators` and `from_activation` compute, `plot` only draws. matplotlib is
imported when something is drawn.
"""

from ._activation import ActivationDisplay
from ._boundaries import DecisionBoundariesDisplay
from ._loss_curve import LossCurveDisplay
from ._network import NetworkDisplay
from ._weight_images import WeightImagesDisplay

__all__ = [
    "ActivationDisplay",
    "DecisionBoundariesDisplay",
    "LossCurveDisplay",
    "NetworkDisplay",
    "WeightImagesDisplay",
]
