"""From one image, of whatever kind, to its levels in 0..255 at the size that is asked for."""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from PIL import Image

from ._errors import naming, pillows_warnings_ignored
from ._files import opened

# The value that means white, by the kind of an array's dtype and by Pillow's deep modes.
# Pillow opens 16-bit grey files as "I;16", some (PGM, say) as "I".
_WHITE_OF_KIND = {"u": 255, "i": 255, "f": 1}
_WHITE_OF_MODE = dict.fromkeys(("I;16", "I;16L", "I;16B", "I;16N", "I"), 65535) | {"F": 1}

# How an image is turned upright, by the orientation in its EXIF data.
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = (5, 6, 7, 8)

# A file is decoded at a reduced size that is at least so many times the size asked for.
# Then photographs differ from those decoded in full by less than half a level on average, and by
# 7 of 255 at most (measured; with 2 instead of 4 by 11).
_REDUCED = 4


def read_levels(
    source: Any,
    index: int,
    size: tuple[int, int] | None,
    mode: str,
    formats: Sequence[str],
    max_pixels: int | str | None,
) -> np.ndarray:
    """Return the levels of X[index], upright, in `mode` and at `size`, as uint8 array.

    Its shape is (height, width, 3), or (height, width) in mode "L".
    """
    with naming(source, index), pillows_warnings_ignored():
        if not isinstance(source, Image.Image | str | os.PathLike) and not hasattr(source, "read"):
            context: Any = nullcontext(_image_of_array(_array(source)))
        else:
            context = opened(source, formats, max_pixels)
        with context as image:
            # The draft changes the image: the caller's is left alone.
            box = None if source is image or size is None else _draft(image, size)
            return np.asarray(_upright_at_size(image, box, size, mode))


def _draft(image, size):
    """Have a file decoded at a reduced size, if its format can; return what part is the image.

    The size bounds both sides, since the image may still have to be turned.
    """
    side = _REDUCED * max(size)
    drafted = image.draft(None, (side, side))
    return drafted and drafted[1]


def _upright_at_size(image, box, size, mode):
    image.load()
    orientation = image.getexif().get(_ORIENTATION)  # after loading: PNG may have it at the end
    image = _converted(image, mode)
    if size is not None:
        lying = size[::-1] if orientation in _LYING else size
        if image.size != lying:
            image = image.resize(lying, Image.Resampling.BILINEAR, box=box)
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


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
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        image = white
    return image if image.mode == mode else image.convert(mode)


def _array(source):
    if isinstance(source, bytes):  # NumPy's have __array__
        raise TypeError("an image must not be bytes: pass io.BytesIO(data), or a path as str.")
    if not hasattr(source, "__array__"):
        raise TypeError(
            "an image must be a path, an open binary file, a Pillow image or an array, "
            f"got {type(source).__name__}."
        )
    if np.ma.is_masked(source):
        raise ValueError("an array must have no masked values.")
    return np.asarray(source)


def _image_of_array(array):
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
    levels = _eight_bits(array, _WHITE_OF_KIND[array.dtype.kind])
    return Image.fromarray(levels.reshape(array.shape[:2]) if planes == (1,) else levels)


def _eight_bits(array, white):
    """Bring values in 0..white to the nearest levels in 0..255."""
    if array.dtype == np.uint8:
        return array
    # Resized floats may lie a little outside: what rounds to a level is one.
    slack = white / 510 if array.dtype.kind == "f" else 0
    low, high = array.min(), array.max()
    if not (low >= -slack and high <= white + slack):  # False for NaN, too
        raise ValueError(f"values of {array.dtype} must be in 0..{white}, got {low} to {high}.")
    levels = array * (255 / white)
    np.rint(levels, out=levels)
    return np.clip(levels, 0, 255, out=levels).astype(np.uint8)
