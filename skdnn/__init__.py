"""Deep networks for binary classification and regression: a scikit-learn API on top of PyTorch."""

from skdnn._version import __version__ as __version__
from skdnn.checkpoints import Checkpoint
from skdnn.classifier import DeepBinaryClassifier
from skdnn.displays import (
    ActivationDisplay,
    DecisionBoundariesDisplay,
    LossCurveDisplay,
    NetworkDisplay,
    WeightImagesDisplay,
)
from skdnn.images import ImageVectorizer
from skdnn.parallel import together
from skdnn.regressor import DeepRegressor

__all__ = [
    "ActivationDisplay",
    "Checkpoint",
    "DecisionBoundariesDisplay",
    "DeepBinaryClassifier",
    "DeepRegressor",
    "ImageVectorizer",
    "LossCurveDisplay",
    "NetworkDisplay",
    "WeightImagesDisplay",
    "together",
]
