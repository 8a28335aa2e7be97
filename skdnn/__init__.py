"""Deep neural networks for binary classification: PyTorch inside, scikit-learn outside."""

from skdnn.classifier import DeepBinaryClassifier
from skdnn.data import ImageVectorizer
from skdnn.displays import (
    ActivationDisplay,
    DecisionBoundariesDisplay,
    LossCurveDisplay,
    NetworkDisplay,
    WeightImagesDisplay,
)
from skdnn.watching import Checkpoint

__all__ = [
    "ActivationDisplay",
    "Checkpoint",
    "DecisionBoundariesDisplay",
    "DeepBinaryClassifier",
    "ImageVectorizer",
    "LossCurveDisplay",
    "NetworkDisplay",
    "WeightImagesDisplay",
]
__version__ = "0.1.0"
