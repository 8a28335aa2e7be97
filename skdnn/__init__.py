"""Deep neural networks for binary classification: PyTorch inside, scikit-learn outside."""

from skdnn.classifier import DeepBinaryClassifier
from skdnn.data import ImageVectorizer
from skdnn.displays import LossCurveDisplay, NetworkDisplay
from skdnn.watching import Checkpoint

__all__ = [
    "Checkpoint",
    "DeepBinaryClassifier",
    "ImageVectorizer",
    "LossCurveDisplay",
    "NetworkDisplay",
]
__version__ = "0.1.0"
