"""Images: from files or arrays of photographs to pixel vectors, and back."""

from ._vectorizer import ImageVectorizer

__all__ = [
    "ImageVectorizer",
]
