"""Image files and arrays to pixel vectors, and back."""

from ._vectorizer import ImageVectorizer

__all__ = ["ImageVectorizer"]
