"""Weights of the first layer as images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from skdnn.images import ImageVectorizer

from ._arguments import as_numbers, check_count
from ._canvas import axes_or_new, find_network

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class WeightImagesDisplay:
    """Plot the weights of each unit of the first layer as an image.

    The output of a unit is largest for an image that is bright where its weights are bright. Grey
    is a weight of 0; each image has its own scale. The weights are ``coefs_[0]``: unless
    ``standardize=False``, they are for standardised pixels, so that those which hardly vary, such
    as a dark border, do not outshine the others.

    It is recommended to use :func:`~skdnn.WeightImagesDisplay.from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (n_units, height, width) or (n_units, height, width, 3)
        Pixel values in 0..255.

    Attributes
    ----------
    image_ : matplotlib AxesImage
        All images in a grid.
    ax_ : matplotlib Axes
        Axes that were drawn on.
    figure_ : matplotlib Figure
        Figure that contains the axes.

    See Also
    --------
    ImageVectorizer : Transform images into rows of pixel values.
    NetworkDisplay : Plot the layers of a network.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn import WeightImagesDisplay
    >>> WeightImagesDisplay(np.full((12, 40, 60, 3), 128, np.uint8)).images.shape
    (12, 40, 60, 3)
    """

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        *,
        image_shape: tuple[int, ...] | None = None,
        max_units: int = 20,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> WeightImagesDisplay:
        """Plot the weights of the first layer of a fitted estimator.

        Parameters
        ----------
        estimator : DeepBinaryClassifier or DeepRegressor
            Fitted estimator; or a fitted pipeline or search that contains one as its last step or
            best estimator.
        image_shape : tuple of int, default=None
            Shape of the images that were flattened by ``image.ravel()``: (height, width) or
            (height, width, 3). None uses the `ImageVectorizer` in the pipeline.
        max_units : int, default=20
            Largest number of images; units with the largest sums of squared weights are drawn.
        ax : matplotlib Axes, default=None
            Axes to draw on; None creates a new figure.
        **kwargs : dict
            Passed to matplotlib's `imshow`.

        Returns
        -------
        WeightImagesDisplay
            The display object, which was drawn.

        Raises
        ------
        ValueError
            If there is neither an `image_shape` nor an `ImageVectorizer`, if the number of inputs
            of the first layer is not that of the values of an image, or if `max_units` is below 1.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from skdnn import DeepBinaryClassifier, WeightImagesDisplay
        >>> X, y = load_digits(n_class=2, return_X_y=True)
        >>> clf = DeepBinaryClassifier(2, 4, numeric_embedding=None, random_state=0).fit(X, y)
        >>> WeightImagesDisplay.from_estimator(clf, image_shape=(8, 8)).images.shape
        (4, 8, 8)
        """
        check_count("max_units", max_units, 1)
        W = find_network(estimator).coefs_[0]
        W = np.concatenate(list(W), axis=1) if W.ndim == 3 else W  # units of several networks
        largest = np.argsort(-np.square(W).sum(axis=0), kind="stable")[:max_units]
        brightness = _brightness(W[:, np.sort(largest)].T)
        if image_shape is None:
            images = _by_vectorizer(estimator, brightness)
        else:
            _check_shape(image_shape)
            _check_inputs(brightness, math.prod(image_shape))
            images = np.rint(255 * brightness).reshape(-1, *image_shape).astype(np.uint8)
        return cls(images).plot(ax=ax, **kwargs)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> WeightImagesDisplay:
        """Plot the images row by row.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None creates a new figure.
        **kwargs : dict
            Passed to matplotlib's `imshow`.

        Returns
        -------
        WeightImagesDisplay
            The display object.

        Raises
        ------
        ValueError
            If `images` is not a non-empty array of images.
        """
        images = as_numbers("images", self.images, (3, 4))
        self.ax_, self.figure_ = axes_or_new(ax)
        style = {"cmap": "gray", "vmin": 0, "vmax": 255, **kwargs}
        self.image_ = self.ax_.imshow(_mosaic(images), **style)
        self.ax_.axis("off")
        return self


def _brightness(weights: np.ndarray) -> np.ndarray:
    """Scale each row of weights to [0, 1], with 0.5 for a weight of 0."""
    largest = np.abs(weights).max(axis=1, keepdims=True)
    return 0.5 + 0.5 * weights / np.where(largest > 0, largest, 1)


def _by_vectorizer(estimator: Any, brightness: np.ndarray) -> np.ndarray:
    """Return rows as images by the ImageVectorizer in the pipeline."""
    model = getattr(estimator, "best_estimator_", estimator)
    steps = model if isinstance(model, Pipeline) else []
    vectorizer = next((step for step in steps if isinstance(step, ImageVectorizer)), None)
    if vectorizer is None:
        raise ValueError("image_shape must be given unless a pipeline contains an ImageVectorizer.")
    _check_inputs(brightness, vectorizer.n_features_out_)
    return vectorizer.inverse_transform(brightness * (255 if vectorizer.scale is None else 1))


def _check_shape(image_shape: Any) -> None:
    if not isinstance(image_shape, tuple) or len(image_shape) not in (2, 3):
        raise ValueError(
            f"image_shape must be (height, width) or (height, width, 3), got {image_shape!r}."
        )
    for size in image_shape:
        check_count("each of image_shape", size, 1)


def _check_inputs(rows: np.ndarray, n_pixels: int) -> None:
    if rows.shape[1] != n_pixels:
        raise ValueError(
            f"The first layer must have one input for each of {n_pixels} values of an image, as "
            f"it has with numeric_embedding=None, got {rows.shape[1]} inputs."
        )


def _mosaic(images: np.ndarray) -> np.ndarray:
    """Place images in a nearly square grid, with white between them."""
    n, height, width = images.shape[:3]
    n_columns = math.ceil(math.sqrt(n * height / width))
    n_rows = math.ceil(n / n_columns)
    gap = max(1, height // 20)
    shape = (n_rows * (height + gap) - gap, n_columns * (width + gap) - gap, *images.shape[3:])
    mosaic = np.full(shape, 255, images.dtype)
    for k, image in enumerate(images):
        top, left = k // n_columns * (height + gap), k % n_columns * (width + gap)
        mosaic[top : top + height, left : left + width] = image
    return mosaic
