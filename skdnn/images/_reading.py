"""Read one image of any kind as an array of 8-bit pixels."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import numpy as np
from PIL import Image

from ._files import open_image

# Readers raise a dozen types of error for broken files. These three are kept, the others become
# ValueErrors.
_KEPT_ERRORS = (FileNotFoundError, TypeError, MemoryError)

# The value of white, by the kind of an array's dtype and by Pillow's modes of more than 8 bits.
# Pillow opens 16-bit grey files as "I;16", some (such as PGM) as "I".
_WHITE_OF_KIND = {"u": 255, "i": 255, "f": 1}
_WHITE_OF_MODE = dict.fromkeys(("I;16", "I;16L", "I;16B", "I;16N", "I"), 65535) | {"F": 1}

# How to make an image upright, by the orientation in its EXIF data.
_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAP_SIDES = (5, 6, 7, 8)  # width becomes height

# A file is decoded at a reduced size of at least so many times the requested one. Pixels of
# photographs then differ from those decoded in full by less than 0.5 of 255 on average and by 7 at
# most (measured; by 11 with 2 instead of 4).
_REDUCED = 4


def name_of(source: Any, index: int) -> str:
    """Return the name of an image for messages: its index in X and, if it has one, its path."""
    path = None
    with suppress(Exception):  # attributes of foreign objects may raise anything
        if isinstance(source, str | os.PathLike):
            path = str(os.fsdecode(source))
        else:
            path = getattr(source, "filename", None) or getattr(source, "name", None)
    return f"X[{index}] ({path!r})" if path and isinstance(path, str | bytes) else f"X[{index}]"


@contextmanager
def _naming_errors(source: Any, index: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        kind = next((kind for kind in _KEPT_ERRORS if isinstance(error, kind)), ValueError)
        reason = str(error) or type(error).__name__
        raise kind(f"Cannot read {name_of(source, index)}: {reason}") from error


def read_pixels(
    source: Any,
    index: int,
    size: tuple[int, int] | None,
    mode: str,
    formats: Sequence[str],
    max_pixels: int | str | None,
) -> np.ndarray:
    """Return the pixels of X[index], upright, in `mode` and at `size`.

    Returns
    -------
    uint8 array of shape (height, width, 3), or (height, width) in mode "L"
    """
    with _naming_errors(source, index):
        if isinstance(source, Image.Image | str | os.PathLike) or hasattr(source, "read"):
            context: Any = open_image(source, formats, max_pixels)
        else:
            context = nullcontext(_image_of_array(source))
        with context as image:
            box = None
            # Decode a file at a reduced size where its format allows. The size bounds both sides,
            # since the image may still have to be rotated. This changes the image: the user's
            # own Pillow image is left as it is.
            if size is not None and source is not image:
                drafted = image.draft(None, (_REDUCED * max(size),) * 2)
                box = drafted and drafted[1]
            image.load()
            orientation = image.getexif().get(_ORIENTATION)  # PNG may have it after the pixels
            converted = _convert(image, mode)
            if size is not None:
                unrotated = size[::-1] if orientation in _SWAP_SIDES else size
                if converted.size != unrotated:
                    converted = converted.resize(unrotated, Image.Resampling.BILINEAR, box=box)
            if orientation in _TRANSPOSE:
                converted = converted.transpose(_TRANSPOSE[orientation])
            return np.asarray(converted)


def _convert(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image to `mode`, over white where it is transparent."""
    if 0 in image.size:
        raise ValueError(f"the image has no pixels, its size is {image.size}.")
    if image.mode in _WHITE_OF_MODE:  # Pillow would clip to 255
        values = np.asarray(image)
        pixels = _eight_bits(values, _WHITE_OF_MODE[image.mode])
        pixels[values == image.info.get("transparency", -1)] = 255
        image = Image.fromarray(pixels)
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        image = white
    return image if image.mode == mode else image.convert(mode)


def _image_of_array(source: Any) -> Image.Image:
    if isinstance(source, bytes):  # np.bytes_ has __array__
        raise TypeError("an image must not be bytes: pass io.BytesIO(data), or a path as str.")
    if not hasattr(source, "__array__"):
        raise TypeError(
            "an image must be a path, an open binary file, a Pillow image or an array, "
            f"got {type(source).__name__}."
        )
    if np.ma.is_masked(source):
        raise ValueError("an array must not have masked values.")
    array = np.asarray(source)
    planes = array.shape[2:] or (1,)
    if array.ndim not in (2, 3) or planes[0] not in (1, 3, 4):
        channels_first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        advice = " The channels come last: np.moveaxis(image, 0, -1)." if channels_first else ""
        raise ValueError(
            f"an array must be (h, w) or (h, w, 1, 3 or 4), got {array.shape}.{advice}"
        )
    if array.dtype.kind not in _WHITE_OF_KIND:
        raise TypeError(f"an array must hold whole numbers or floats, got {array.dtype}.")
    if array.size == 0:
        raise ValueError(f"the image has no pixels, its shape is {array.shape}.")
    pixels = _eight_bits(array, _WHITE_OF_KIND[array.dtype.kind])
    return Image.fromarray(pixels.reshape(array.shape[:2]) if planes == (1,) else pixels)


def _eight_bits(array: np.ndarray, white: int) -> np.ndarray:
    """Scale values in 0..white to the nearest integers in 0..255."""
    if array.dtype == np.uint8:
        return array
    # Resizing floats may overshoot a little: values that round to 0 or 255 are accepted.
    slack = white / 510 if array.dtype.kind == "f" else 0
    low, high = array.min(), array.max()
    if not (low >= -slack and high <= white + slack):  # False for NaN, too
        raise ValueError(f"values of {array.dtype} must be in 0..{white}, got {low} to {high}.")
    scaled = array * (255 / white)
    np.rint(scaled, out=scaled)
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)
