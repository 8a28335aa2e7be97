"""ImageVectorizer: the transformer from images to rows of features, and back."""

import math
import os
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from numbers import Integral
from typing import Any, Literal, TypeAlias

import numpy as np
from PIL import Image, ImageOps
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

# The colour planes of each mode, in the order in which Pillow stores them.
_PLANES = {"RGB": ("red", "green", "blue"), "L": ("grey",)}
# In which order the axes (row, column, plane) of an image are read, slowest first.
_AXES = {"planes": (2, 0, 1), "interleaved": (0, 1, 2)}
# What a level in 0..255 is divided by to become a feature.
_DIVISORS = {"unit": 255, None: 1}
_DTYPES = ("float32", "float64", "uint8")
_CHOICES: dict[str, Collection] = {
    "mode": _PLANES,
    "order": _AXES,
    "scale": _DIVISORS,
    "dtype": _DTYPES,
}

# The value that means white, by the kind of an array's dtype and by Pillow's deep modes.
# Pillow opens 16-bit grey files as "I;16", some (PGM, say) as "I".
_WHITE_OF_KIND = {"u": 255, "i": 255, "f": 1}
_WHITE_OF_MODE = dict.fromkeys(("I;16", "I;16L", "I;16B", "I;16N", "I"), 65535) | {"F": 1}

# Errors that keep their type when they get the name of the image; all others are ValueErrors.
_KEPT_ERRORS = (FileNotFoundError, TypeError, MemoryError, Image.DecompressionBombError)

_X_RULE = (
    "X must be a list of images (paths, open binary files, Pillow images or arrays) or one array "
    "of m images, (m, h, w), (m, h, w, 3) or (m, h, w, 4), got {}. "
    "A single image goes into a list: [image]."
)

# Paths, open binary files, Pillow images or arrays; or one array of them all.
Images: TypeAlias = Sequence[Any] | np.ndarray


class ImageVectorizer(TransformerMixin, BaseEstimator):
    """Turn images into the rows of a matrix of shape (m, n_x), and such rows into images.

    Every image is turned as its EXIF data says, converted to `mode`, resized to `size` and
    written into one row, one image after the other.

    Parameters
    ----------
    size : tuple of int (width, height) or None, default=(60, 40)
        The pixels of every image, width first as in Pillow: the default gives 40 rows of 60
        pixels, n_x = 40 × 60 × 3 = 7200. Images are stretched, not cropped. None resizes nothing:
        all images must have the size of the first one seen in `fit`.
    mode : {"RGB", "L"}, default="RGB"
        Three colour planes, or one plane of grey.
    order : {"planes", "interleaved"}, default="planes"
        The order of the columns. "planes" reads each colour plane row by row, all of red, then of
        green, then of blue. "interleaved" gives red, green and blue of each pixel in turn, as
        `array.reshape(m, -1)` does to an array (m, h, w, 3).
    scale : {"unit", None}, default="unit"
        "unit" divides the levels 0..255 by 255, to features in [0, 1]; None keeps them.
    dtype : {"float32", "float64", "uint8"}, default="float32"
        The dtype of the features. "uint8" needs `scale=None`.

    Attributes
    ----------
    size_ : tuple of int (width, height)
        The size in pixels of every image.
    n_features_out_ : int
        The number of columns, n_x = width × height × planes.

    See Also
    --------
    DeepBinaryClassifier : Says yes or no to such rows.

    Notes
    -----
    The images, `X`, are a list (or tuple, pandas Series, object array, table of one column) of

    - paths, as str or `os.PathLike`, or seekable binary files that are open for reading;
    - Pillow images, which are not closed. One that was opened lazily stays decoded in memory, so
      for many files pass the paths;
    - arrays (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) of whole numbers in 0..255 or of floats in
      [0, 1], which are rounded to the nearest of the 256 levels;

    or one array (m, h, w), (m, h, w, 1), (m, h, w, 3) or (m, h, w, 4). Three axes of which the
    last has length 1, 3 or 4 are refused: they look like a single image.

    Transparent images are laid over white. Grey of 16 bits (Pillow's modes "I;16" and "I") is
    brought from 0..65535 to 0..255, and grey floats (mode "F") from [0, 1]; values outside are an
    error. Of an animation the first frame is taken.

    Images are resized by Pillow's BILINEAR filter. It averages over all the old pixels around a
    new one, so fine patterns do not alias; LANCZOS would leave rims along edges.

    Examples
    --------
    >>> from sklearn.datasets import load_sample_images
    >>> from skdnn import ImageVectorizer
    >>> photos = load_sample_images().images  # two arrays (427, 640, 3)
    >>> vectorizer = ImageVectorizer(size=(60, 40))
    >>> X = vectorizer.fit_transform(photos)
    >>> X.shape
    (2, 7200)
    >>> vectorizer.get_feature_names_out()[2401]
    'green_row0_column1'
    >>> vectorizer.inverse_transform(X).shape
    (2, 40, 60, 3)
    >>> round(float(X.mean()), 2)
    0.40
    """

    def __init__(
        self,
        size: tuple[int, int] | None = (60, 40),
        mode: Literal["RGB", "L"] = "RGB",
        order: Literal["planes", "interleaved"] = "planes",
        scale: Literal["unit"] | None = "unit",
        dtype: Literal["float32", "float64", "uint8"] = "float32",
    ) -> None:
        self.size = size
        self.mode = mode
        self.order = order
        self.scale = scale
        self.dtype = dtype

    def fit(self, X: Images, y: None = None) -> "ImageVectorizer":
        """Check the parameters and the first image; with `size=None`, take its size.

        Parameters
        ----------
        X : list of m images or array (m, h, w), (m, h, w, 3) or (m, h, w, 4)
            The images, see Notes of the class. Only the first one is read.
        y : None
            Ignored.

        Returns
        -------
        self : ImageVectorizer
            The fitted transformer.

        Raises
        ------
        TypeError, ValueError
            If a parameter is wrong, and where `transform` raises them.
        """
        _check_size(self.size)
        for name, choices in _CHOICES.items():
            _check_choice(name, getattr(self, name), tuple(choices))
        if self.dtype == "uint8" and self.scale is not None:
            raise ValueError(f"dtype 'uint8' needs scale=None, got scale={self.scale!r}.")
        first = _read(_image_list(X)[0], 0, self.mode)
        self.size_ = tuple(map(int, self.size or first.size))
        self.n_features_out_ = math.prod(self._image_shape())
        return self

    def transform(self, X: Images) -> np.ndarray:
        """Turn images into rows of features.

        Parameters
        ----------
        X : list of m images or array (m, h, w), (m, h, w, 3) or (m, h, w, 4)
            The images, see Notes of the class.

        Returns
        -------
        features : ndarray of shape (m, n_x)
            One row an image, of dtype `dtype`: in [0, 1] with `scale="unit"`, else in 0..255.

        Raises
        ------
        TypeError, ValueError
            If `X` is empty or a single image, or an image cannot be read or, with `size=None`, has
            another size than the first one in `fit`.
        FileNotFoundError, PIL.Image.DecompressionBombError
            If a file is missing or has more pixels than Pillow allows. All errors name the image,
            by its place in `X`, which counts from 0, and by its path.
        """
        check_is_fitted(self)
        images = _image_list(X)
        features = np.empty((len(images), self.n_features_out_), self.dtype)
        for index, source in enumerate(images):
            levels = self._flatten(self._read_at_size(source, index))
            # Unsafe for NumPy only: uint8 comes with the divisor 1, which loses nothing.
            np.divide(levels, _DIVISORS[self.scale], out=features[index], casting="unsafe")
        return features

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Turn rows of features into images.

        They are exactly those that were transformed if these had 8 bits and mode `mode` and were
        not resized. Values outside the range of the features are clipped.

        Parameters
        ----------
        X : array-like of shape (m, n_x)
            The features.

        Returns
        -------
        images : ndarray of shape (m, height, width, 3), or (m, height, width) if `mode` is "L"
            The images, levels in 0..255 of dtype uint8.

        Raises
        ------
        ValueError
            If `X` is not a finite matrix of n_x columns.
        """
        check_is_fitted(self)
        X = check_array(X)
        if X.shape[1] != self.n_features_out_:
            raise ValueError(f"X must have {self.n_features_out_} columns, got {X.shape[1]}.")
        divisor = _DIVISORS[self.scale]
        images = np.empty((len(X), *self._image_shape()), np.uint8)
        for image, row in zip(images, X, strict=True):
            # Clipped before the product, which could overflow.
            image[...] = self._unflatten(np.rint(np.clip(row, 0, 255 / divisor) * divisor))
        return images if images.shape[3] > 1 else images[..., 0]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the columns by plane, row and column, from "red_row0_column0" on.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of str objects, of shape (n_x,)
            The names; rows and columns count from the top left, planes are red, green, blue, grey.
        """
        check_is_fitted(self)
        height, width, _ = shape = self._image_shape()
        names = [
            f"{plane}_row{row}_column{column}"
            for row in range(height)
            for column in range(width)
            for plane in _PLANES[self.mode]
        ]
        return self._flatten(np.array(names, dtype=object).reshape(shape))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _image_shape(self):
        """Return (height, width, planes)."""
        width, height = self.size_
        return height, width, len(_PLANES[self.mode])

    def _read_at_size(self, source, index):
        """Return the levels of an image as uint8 array (height, width, planes)."""
        image = _read(source, index, self.mode)
        if image.size != self.size_:
            if self.size is None:
                raise ValueError(
                    "With size=None all images must have the size of the first one in fit, "
                    f"{self.size_[0]} × {self.size_[1]} pixels, "
                    f"got {image.width} × {image.height} for {_name(source, index)}."
                )
            image = image.resize(self.size_, Image.Resampling.BILINEAR)
        return np.asarray(image).reshape(self._image_shape())

    def _flatten(self, image):
        """Read an array (height, width, planes) in the order of the columns."""
        return image.transpose(_AXES[self.order]).ravel()

    def _unflatten(self, row):
        """Undo `_flatten`."""
        axes = _AXES[self.order]
        shape = self._image_shape()
        return row.reshape([shape[axis] for axis in axes]).transpose(np.argsort(axes))


def _check_size(size):
    if size is None:
        return
    message = f"size must be None or (width, height), two whole numbers above 0, got {size!r}."
    whole = isinstance(size, tuple | list) and all(
        isinstance(n, Integral) and not isinstance(n, bool) for n in size
    )
    if not whole:
        raise TypeError(message)
    if len(size) != 2 or min(size) < 1:
        raise ValueError(message)


def _check_choice(name, value, choices):
    if value not in choices:
        error = ValueError if isinstance(value, str) else TypeError
        raise error(f"{name} must be {' or '.join(map(repr, choices))}, got {value!r}.")


def _image_list(X):
    """Return X as a sequence of images that are not looked at yet."""
    if hasattr(X, "shape"):
        X = np.asarray(X)
        if not _is_stack(X.dtype.kind in "biufc", X.shape):
            raise ValueError(_X_RULE.format(f"shape {X.shape} of dtype {X.dtype}"))
        X = X[:, 0] if X.ndim == 2 else X
    elif not isinstance(X, Sequence) or isinstance(X, str | bytes):
        raise TypeError(_X_RULE.format(type(X).__name__))
    if len(X) == 0:
        raise ValueError("X must hold at least one image, got none.")
    return X


def _is_stack(numeric, shape):
    """Say whether the first axis of an array of this shape counts images."""
    if numeric:
        return len(shape) == 4 or (len(shape) == 3 and shape[2] not in (1, 3, 4))
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)


def _read(source, index, mode):
    """Return one image upright and in `mode`, as a Pillow image; name it in any error."""
    try:
        with _opened(source) as image:
            return _converted(ImageOps.exif_transpose(image), mode)
    except _KEPT_ERRORS as error:
        raise type(error)(f"Cannot read {_name(source, index)}: {error}") from error
    except Exception as error:  # Pillow's readers raise a dozen types for broken files.
        raise ValueError(f"Cannot read {_name(source, index)}: {error}") from error


def _name(source, index):
    """Name an image by its place in X and, if it has one, by its path."""
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
    else:
        path = getattr(source, "filename", "") or getattr(source, "name", "")
    return f"X[{index}] ('{path}')" if path else f"X[{index}]"


def _opened(source):
    """Return a context that gives a Pillow image, and closes what was opened here."""
    if isinstance(source, Image.Image):
        return nullcontext(source)
    if isinstance(source, str | os.PathLike) or hasattr(source, "read"):
        return Image.open(source)
    if hasattr(source, "__array__"):
        return nullcontext(_image_of_array(np.asarray(source)))
    raise TypeError(
        "an image must be a path, an open binary file, a Pillow image or an array, "
        f"got {type(source).__name__}."
    )


def _image_of_array(array):
    planes = array.shape[2:] or (1,)
    if array.ndim not in (2, 3) or planes[0] not in (1, 3, 4):
        raise ValueError(f"an array must be (h, w) or (h, w, 1, 3 or 4), got {array.shape}.")
    if array.dtype.kind not in _WHITE_OF_KIND:
        raise TypeError(f"an array must hold whole numbers or floats, got {array.dtype}.")
    levels = _eight_bits(array, _WHITE_OF_KIND[array.dtype.kind])
    return Image.fromarray(levels.reshape(array.shape[:2]) if planes == (1,) else levels)


def _eight_bits(array, white):
    """Bring values in 0..white to the nearest levels in 0..255."""
    if array.dtype == np.uint8 or array.size == 0:
        return array.astype(np.uint8, copy=False)
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= white):  # False for NaN, too
        raise ValueError(f"values of {array.dtype} must be in 0..{white}, got {low} to {high}.")
    return np.rint(array * (255 / white)).astype(np.uint8)


def _converted(image, mode):
    """Convert an image of any mode to `mode`, over white where it is transparent."""
    if 0 in image.size:
        raise ValueError(f"the image has no pixels, its size is {image.size}.")
    if image.mode in _WHITE_OF_MODE:  # Pillow would clip to 255
        values = np.asarray(image)
        levels = _eight_bits(values, _WHITE_OF_MODE[image.mode])
        levels[values == image.info.get("transparency", -1)] = 255
        image = Image.fromarray(levels)
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)
