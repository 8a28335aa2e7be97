"""X as the user gives it: a list of images, or one array of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

_X_RULE = (
    "X must be a list of images (paths, open binary files, Pillow images or arrays) or one array "
    "of m images, (m, h, w), (m, h, w, 3) or (m, h, w, 4), got {}. "
    "A single image goes into a list: [image]."
)
_PLANES = (1, 3, 4)


def image_list(X: Any) -> Sequence[Any] | np.ndarray:
    """Return X as a sequence of images that are not looked at yet."""
    if hasattr(X, "shape") or (hasattr(X, "__array__") and not isinstance(X, Image.Image)):
        X = _stack(_array(X))
    elif not isinstance(X, Sequence) or isinstance(X, str | bytes | bytearray):
        raise TypeError(_X_RULE.format(type(X).__name__))
    if len(X) == 0:
        raise ValueError("X must hold at least one image, got none.")
    return X


def _array(X):
    if np.ma.is_masked(X):
        raise ValueError("X must have no masked values, got a masked array.")
    try:
        return np.asarray(X)
    except Exception as error:  # a tensor on a GPU or with a gradient, a ragged table
        raise TypeError(_X_RULE.format(f"{type(X).__name__}: {error}")) from error


def _stack(array):
    """Return an array whose first axis counts images; refuse others."""
    numeric, shape = array.dtype.kind in "biufc", array.shape
    if not (_is_stack_of_pixels(shape) if numeric else _is_column(shape)):
        raise ValueError(_X_RULE.format(f"shape {shape} of dtype {array.dtype}"))
    if numeric and len(shape) == 4 and shape[3] not in _PLANES and shape[1] in _PLANES:
        raise ValueError(
            f"The channels of X must come last, got shape {shape}: "
            "np.moveaxis(X, 1, -1) moves them."
        )
    return array[:, 0] if array.ndim == 2 else array


def _is_stack_of_pixels(shape):
    return len(shape) == 4 or (len(shape) == 3 and shape[2] not in _PLANES)


def _is_column(shape):
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
