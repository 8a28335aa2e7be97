"""Pictures of networks, by scikit-learn's Display contract.

`from_estimator` and its like compute, `plot` only draws; matplotlib is imported for the first
picture.
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
