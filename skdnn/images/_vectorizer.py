"""ImageVectorizer: the transformer from images to rows of features, and back."""

import math
from collections.abc import Collection, Sequence
from numbers import Integral
from typing import Any, Literal, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted

from skdnn.callbacks import CallbackSupportMixin, as_one_task

from ._errors import name_of
from ._files import PHOTOGRAPHS, known_formats
from ._lists import image_list
from ._reading import read_levels

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

# Paths, open binary files, Pillow images or arrays; or one array of them all.
Images: TypeAlias = Sequence[Any] | np.ndarray


class ImageVectorizer(TransformerMixin, CallbackSupportMixin, BaseEstimator):
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
    formats : tuple or list of str, default=("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", \
"AVIF", "HEIF")
        The formats of files that are opened, by Pillow's names. The default are those of
        photographs; "JPEG" takes in "MPO", and "HEIF" (HEIC) needs the plugin pillow-heif. A
        format is told by what is in a file, whatever its name, so add others, as "JPEG2000" or
        "TGA", only for files that you trust: for "EPS" Pillow runs a program, Ghostscript.
    max_pixels : int, "auto" or None, default="auto"
        The most pixels that a file or a Pillow image may have, known before it is decoded. Small
        files may hold many, and each takes up to 16 bytes. "auto" is
        `PIL.Image.MAX_IMAGE_PIXELS`, 89 million unless changed. None is no bound but Pillow's
        own: it opens no file of more than twice `PIL.Image.MAX_IMAGE_PIXELS`, whatever
        `max_pixels` is.

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

    - paths of regular files, as str or `os.PathLike`, or seekable binary files that are open for
      reading;
    - Pillow images, which are not closed. One that was opened lazily stays decoded in memory, so
      for many files pass the paths;
    - arrays (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) of whole numbers in 0..255 or of floats in
      [0, 1], which are rounded to the nearest of the 256 levels; what lies outside by less than
      half a level, as after resizing, is clipped;

    or one array (m, h, w), (m, h, w, 1), (m, h, w, 3) or (m, h, w, 4). Three axes of which the
    last has length 1, 3 or 4 are refused: they look like a single image.

    Transparent images are laid over white. Grey of 16 bits (Pillow's modes "I;16" and "I") is
    brought from 0..65535 to 0..255, and grey floats (mode "F") from [0, 1]; values outside are an
    error. Of an animation the first frame is taken.

    Images are resized by Pillow's BILINEAR filter. It averages over all the old pixels around a
    new one, so fine patterns do not alias; LANCZOS would leave rims along edges. Large JPEG files
    are decoded at a half, a quarter or an eighth of their size, as long as that is at least four
    times `size`: this takes less time and memory, and changes the levels, of 255, by less than a
    half on average. With `size=None` and for Pillow images it is not done.

    Warnings of Pillow, of damaged metadata say, are not shown.

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

    # For the link in scikit-learn's box in notebooks.
    _doc_link_module = "skdnn"
    _doc_link_template = "https://skdnn.github.io/skdnn/generated/skdnn.{estimator_name}.html"

    def __init__(
        self,
        size: tuple[int, int] | None = (60, 40),
        mode: Literal["RGB", "L"] = "RGB",
        order: Literal["planes", "interleaved"] = "planes",
        scale: Literal["unit"] | None = "unit",
        dtype: Literal["float32", "float64", "uint8"] = "float32",
        formats: Sequence[str] = PHOTOGRAPHS,
        max_pixels: int | Literal["auto"] | None = "auto",
    ) -> None:
        self.size = size
        self.mode = mode
        self.order = order
        self.scale = scale
        self.dtype = dtype
        self.formats = formats
        self.max_pixels = max_pixels

    @as_one_task
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
        self._check_parameters()
        # With a size, one pixel is enough to see whether the image can be read.
        first = self._read(image_list(X)[0], 0, None if self.size is None else (1, 1))
        width, height = self.size or first.shape[1::-1]
        self.size_ = int(width), int(height)
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
            If `X` is empty or a single image, or an image cannot be read, is of another format
            than `formats`, has more pixels than `max_pixels` or, with `size=None`, another size
            than the first one in `fit`.
        FileNotFoundError, MemoryError
            If a file is missing, or if memory does not suffice. All errors of an image name it, by
            its place in `X`, which counts from 0, and by its path.
        """
        check_is_fitted(self)
        images = image_list(X)
        features = self._empty_features(len(images))
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

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _image_shape(self) -> tuple[int, int, int]:
        """Return (height, width, planes)."""
        width, height = self.size_
        return height, width, len(_PLANES[self.mode])

    def _check_parameters(self) -> None:
        _check_size(self.size)
        for name, choices in _CHOICES.items():
            _check_choice(name, getattr(self, name), tuple(choices))
        if self.dtype == "uint8" and self.scale is not None:
            raise ValueError(f"dtype 'uint8' needs scale=None, got scale={self.scale!r}.")
        _check_formats(self.formats)
        _check_max_pixels(self.max_pixels)

    def _empty_features(self, m: int) -> np.ndarray:
        try:
            return np.empty((m, self.n_features_out_), self.dtype)
        except (MemoryError, ValueError) as error:  # a ValueError if NumPy cannot count so far
            raise MemoryError(
                f"The features must fit in memory, got m={m} images of size={self.size_}: {error}"
            ) from error

    def _read(self, source: Any, index: int, size: tuple[int, int] | None) -> np.ndarray:
        return read_levels(source, index, size, self.mode, self.formats, self.max_pixels)

    def _read_at_size(self, source: Any, index: int) -> np.ndarray:
        """Return the levels of an image as uint8 array (height, width, planes)."""
        levels = self._read(source, index, None if self.size is None else self.size_)
        height, width = levels.shape[:2]
        if (width, height) != self.size_:
            raise ValueError(
                "With size=None all images must have the size of the first one in fit, "
                f"{self.size_[0]} × {self.size_[1]} pixels, "
                f"got {width} × {height} for {name_of(source, index)}."
            )
        return levels.reshape(self._image_shape())

    def _flatten(self, image: np.ndarray) -> np.ndarray:
        """Read an array (height, width, planes) in the order of the columns."""
        return image.transpose(_AXES[self.order]).ravel()

    def _unflatten(self, row: np.ndarray) -> np.ndarray:
        """Undo `_flatten`."""
        axes = _AXES[self.order]
        shape = self._image_shape()
        return row.reshape([shape[axis] for axis in axes]).transpose(np.argsort(axes))


def _check_size(size: Any) -> None:
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


def _check_choice(name: str, value: Any, choices: tuple) -> None:
    # Only these two kinds are compared: the == of an array is an array.
    comparable = value is None or isinstance(value, str)
    if not comparable or value not in choices:
        error = ValueError if isinstance(value, str) else TypeError
        raise error(f"{name} must be {' or '.join(map(repr, choices))}, got {value!r}.")


def _check_formats(formats: Any) -> None:
    message = (
        "formats must be a tuple or list of Pillow's names of formats, such as ('JPEG', 'PNG'), "
        f"got {formats!r}"
    )
    listed = isinstance(formats, tuple | list) and all(isinstance(name, str) for name in formats)
    if not listed:
        raise TypeError(f"{message}.")
    unknown = [name for name in formats if name.upper() not in known_formats()]
    if unknown or not formats:
        raise ValueError(
            f"{message}, of which {unknown} are unknown." if unknown else f"{message}."
        )


def _check_max_pixels(max_pixels: Any) -> None:
    if max_pixels is None or (isinstance(max_pixels, str) and max_pixels == "auto"):
        return
    message = f"max_pixels must be a whole number above 0, 'auto' or None, got {max_pixels!r}."
    if not isinstance(max_pixels, Integral) or isinstance(max_pixels, bool):
        raise ValueError(message) if isinstance(max_pixels, str) else TypeError(message)
    if max_pixels < 1:
        raise ValueError(message)
