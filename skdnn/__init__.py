"""Deep neural networks for binary classification: PyTorch inside, scikit-learn outside."""

from skdnn.classifier import DeepBinaryClassifier
from skdnn.data import ImageVectorizer

__all__ = ["DeepBinaryClassifier", "ImageVectorizer"]
__version__ = "0.1.0"
