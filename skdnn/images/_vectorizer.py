"""ImageVectorizer: a transformer of images to rows of features, and back."""

import math
from collections.abc import Collection, Sequence
from numbers import Integral
from typing import Any, Literal, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted

from skdnn.callbacks import CallbackSupportMixin, as_callback_task

from ._files import PHOTO_FORMATS, known_formats
from ._lists import as_image_list
from ._reading import name_of, read_pixels

# The colour planes of each mode, in Pillow's order.
_PLANES = {"RGB": ("red", "green", "blue"), "L": ("grey",)}
# The order in which the axes (row, column, plane) are flattened, slowest first.
_AXES = {"planes": (2, 0, 1), "interleaved": (0, 1, 2)}
# What a pixel value in 0..255 is divided by to become a feature.
_DIVISORS = {"unit": 255, None: 1}
_DTYPES = ("float32", "float64", "uint8")
_CHOICES: dict[str, Collection] = {
    "mode": _PLANES,
    "order": _AXES,
    "scale": _DIVISORS,
    "dtype": _DTYPES,
}

# Paths, open binary files, Pillow images or arrays; or one array of all images.
Images: TypeAlias = Sequence[Any] | np.ndarray


class ImageVectorizer(TransformerMixin, CallbackSupportMixin, BaseEstimator):
    """Transform images into rows of pixel values, a matrix of shape (m, n_x), and back.

    Each image is rotated upright by its EXIF data, converted to `mode`, resized to `size` and
    flattened into one row.

    Parameters
    ----------
    size : tuple of int (width, height) or None, default=(60, 40)
        Size of each image in pixels, width first as in Pillow: the default gives 40 rows of 60
        pixels, n_x = 40 × 60 × 3 = 7200. Images are stretched, not cropped. With None images are
        not resized, and all must have the size of the first one seen in `fit`.
    mode : {"RGB", "L"}, default="RGB"
        Three colour planes, or one plane of grey values.
    order : {"planes", "interleaved"}, default="planes"
        Order of the columns. "planes": first the whole red plane row by row, then green, then
        blue. "interleaved": red, green and blue of each pixel in turn, as
        `array.reshape(m, -1)` of an array (m, h, w, 3).
    scale : {"unit", None}, default="unit"
        "unit" divides the pixel values 0..255 by 255, so that features are in [0, 1]; None keeps
        them.
    dtype : {"float32", "float64", "uint8"}, default="float32"
        Dtype of the features. "uint8" requires `scale=None`.
    formats : tuple or list of str, default=("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", \
"AVIF", "HEIF")
        Formats of files that may be opened, by Pillow's names. The default contains the formats of
        photographs; "JPEG" includes "MPO", and "HEIF" (HEIC) requires the plugin pillow-heif. The
        format is detected from the content of a file, not from its name. Add other formats, such
        as "JPEG2000" or "TGA", only for files that you trust: for "EPS" Pillow runs a program,
        Ghostscript.
    max_pixels : int, "auto" or None, default="auto"
        Largest number of pixels of a file or a Pillow image, checked before it is decoded. A small
        file may contain very many pixels, and each takes up to 16 bytes. "auto" is
        `PIL.Image.MAX_IMAGE_PIXELS`, 89 million by default. With None only Pillow's own limit
        applies, twice `PIL.Image.MAX_IMAGE_PIXELS` for a file.

    Attributes
    ----------
    size_ : tuple of int (width, height)
        Size of each image in pixels.
    n_features_out_ : int
        Number of columns, n_x = width × height × planes.

    See Also
    --------
    DeepBinaryClassifier : Classifier that can be trained on such rows.

    Notes
    -----
    `X` is a list (or tuple, pandas Series, object array, table with one column) of

    - paths of regular files, as str or `os.PathLike`, or seekable binary files that are open for
      reading;
    - Pillow images, which are not closed. A lazily opened image stays decoded in memory, so for
      many files pass the paths;
    - arrays (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) of whole numbers in 0..255 or of floats in
      [0, 1], which are rounded to the nearest of the 256 pixel values; floats outside by less than
      half a pixel value, as after resizing, are clipped;

    or one array (m, h, w), (m, h, w, 1), (m, h, w, 3) or (m, h, w, 4). An array of three axes
    whose last axis has length 1, 3 or 4 is an error, because it looks like a single image.

    Transparent images are placed over white. 16-bit grey (Pillow's modes "I;16" and "I") is scaled
    from 0..65535 to 0..255, and grey floats (mode "F") from [0, 1]; values outside are an error.
    The first frame of an animation is used.

    Images are resized by Pillow's BILINEAR filter, which averages over all old pixels around a new
    one, so that fine patterns do not alias; LANCZOS would ring along edges. Large JPEG files are
    decoded at 1/2, 1/4 or 1/8 of their size, as long as that is at least four times `size`. This
    saves time and memory and changes pixel values by less than 0.5 of 255 on average. It is not
    done with `size=None` and for Pillow images.

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

    # The documentation link in scikit-learn's HTML representation.
    _doc_link_module = "skdnn"
    _doc_link_template = "https://skdnn.github.io/skdnn/generated/skdnn.{estimator_name}.html"

    def __init__(
        self,
        size: tuple[int, int] | None = (60, 40),
        mode: Literal["RGB", "L"] = "RGB",
        order: Literal["planes", "interleaved"] = "planes",
        scale: Literal["unit"] | None = "unit",
        dtype: Literal["float32", "float64", "uint8"] = "float32",
        formats: Sequence[str] = PHOTO_FORMATS,
        max_pixels: int | Literal["auto"] | None = "auto",
    ) -> None:
        self.size = size
        self.mode = mode
        self.order = order
        self.scale = scale
        self.dtype = dtype
        self.formats = formats
        self.max_pixels = max_pixels

    @as_callback_task
    def fit(self, X: Images, y: None = None) -> "ImageVectorizer":
        """Check the parameters and the first image; with `size=None`, take its size.

        Parameters
        ----------
        X : list of m images or array (m, h, w), (m, h, w, 3) or (m, h, w, 4)
            Images, see the Notes of the class. Only the first one is read.
        y : None
            Ignored.

        Returns
        -------
        self : ImageVectorizer
            The fitted transformer.

        Raises
        ------
        TypeError, ValueError
            If a parameter is invalid, or the first image cannot be read.
        """
        self._check_parameters()
        first = as_image_list(X)[0]
        # With a given size, one pixel is enough to check that the image can be read.
        read_at = None if self.size is None else (1, 1)
        first = read_pixels(first, 0, read_at, self.mode, self.formats, self.max_pixels)
        width, height = self.size or first.shape[1::-1]
        self.size_ = int(width), int(height)
        self.n_features_out_ = math.prod(self._image_shape())
        return self

    def transform(self, X: Images) -> np.ndarray:
        """Transform images into rows of features.

        Parameters
        ----------
        X : list of m images or array (m, h, w), (m, h, w, 3) or (m, h, w, 4)
            Images, see the Notes of the class.

        Returns
        -------
        features : ndarray of shape (m, n_x)
            One row for each image, of dtype `dtype`: in [0, 1] with `scale="unit"`, else in 0..255.

        Raises
        ------
        TypeError, ValueError
            If `X` is empty or a single image, or if an image cannot be read, has a format that is
            not in `formats`, has more than `max_pixels` pixels or, with `size=None`, another size
            than the first one in `fit`.
        FileNotFoundError, MemoryError
            If a file is missing, or memory does not suffice. The message names the image by its
            index in `X` and its path.
        """
        check_is_fitted(self)
        images = as_image_list(X)
        m = len(images)
        try:
            features = np.empty((m, self.n_features_out_), self.dtype)
        except (MemoryError, ValueError) as error:  # NumPy raises a ValueError for huge sizes
            raise MemoryError(
                f"The features must fit in memory, got m={m} images of size={self.size_}: {error}"
            ) from error
        read_at = None if self.size is None else self.size_
        for index, source in enumerate(images):
            pixels = read_pixels(source, index, read_at, self.mode, self.formats, self.max_pixels)
            height, width = pixels.shape[:2]
            if (width, height) != self.size_:
                raise ValueError(
                    "With size=None all images must have the size of the first one in fit, "
                    f"{self.size_[0]} × {self.size_[1]} pixels, "
                    f"got {width} × {height} for {name_of(source, index)}."
                )
            flat = self._flatten(pixels.reshape(self._image_shape()))
            # "unsafe" lets NumPy write uint8, which has the divisor 1: no value changes.
            np.divide(flat, _DIVISORS[self.scale], out=features[index], casting="unsafe")
        return features

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Transform rows of features into images.

        The result is exact if the images had 8 bits and the mode `mode` and were not resized.
        Values outside the range of the features are clipped.

        Parameters
        ----------
        X : array-like of shape (m, n_x)
            Rows of features.

        Returns
        -------
        images : uint8 ndarray of shape (m, height, width, 3), or (m, height, width) for mode "L"
            Pixel values in 0..255.

        Raises
        ------
        ValueError
            If `X` is not a finite matrix with n_x columns.
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
        """Return the names of the columns by plane, row and column, such as "red_row0_column0".

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of str objects of shape (n_x,)
            Rows and columns count from the top left; planes are red, green, blue or grey.
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

    def _flatten(self, image: np.ndarray) -> np.ndarray:
        """Return an array (height, width, planes) as a row in the order of the columns."""
        return image.transpose(_AXES[self.order]).ravel()

    def _unflatten(self, row: np.ndarray) -> np.ndarray:
        """Return a row as an array (height, width, planes)."""
        axes, shape = _AXES[self.order], self._image_shape()
        return row.reshape([shape[axis] for axis in axes]).transpose(np.argsort(axes))

    def _check_parameters(self) -> None:
        size, formats, max_pixels = self.size, self.formats, self.max_pixels
        if size is not None:
            message = f"size must be None or (width, height), whole numbers above 0, got {size!r}."
            if not isinstance(size, tuple | list) or not all(map(_is_integer, size)):
                raise TypeError(message)
            if len(size) != 2 or min(size) < 1:
                raise ValueError(message)
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            # Compare only str and None: == of an array is an array.
            if not (value is None or isinstance(value, str)) or value not in choices:
                error = ValueError if isinstance(value, str) else TypeError
                raise error(f"{name} must be {' or '.join(map(repr, choices))}, got {value!r}.")
        if self.dtype == "uint8" and self.scale is not None:
            raise ValueError(f"dtype 'uint8' needs scale=None, got scale={self.scale!r}.")
        message = (
            "formats must be a tuple or list of Pillow's names of formats, such as "
            f"('JPEG', 'PNG'), got {formats!r}"
        )
        is_list = isinstance(formats, tuple | list)
        if not is_list or not all(isinstance(name, str) for name in formats):
            raise TypeError(f"{message}.")
        if unknown := [name for name in formats if name.upper() not in known_formats()]:
            raise ValueError(f"{message}, of which {unknown} are unknown.")
        if not formats:
            raise ValueError(f"{message}.")
        if max_pixels is not None and not (isinstance(max_pixels, str) and max_pixels == "auto"):
            message = (
                f"max_pixels must be a whole number above 0, 'auto' or None, got {max_pixels!r}."
            )
            if not _is_integer(max_pixels):
                raise ValueError(message) if isinstance(max_pixels, str) else TypeError(message)
            if max_pixels < 1:
                raise ValueError(message)


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
