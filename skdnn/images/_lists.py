"""Check X: a list of images, or one array of images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

_EXPECTED = (
    "X must be a list of images (paths, open binary files, Pillow images or arrays) or one array "
    "of m images, (m, h, w), (m, h, w, 3) or (m, h, w, 4), got {}. "
    "A single image goes into a list: [image]."
)
_PLANES = (1, 3, 4)


def as_image_list(X: Any) -> Sequence[Any] | np.ndarray:
    """Return X as a sequence of images, which are not read yet.

    Raises
    ------
    TypeError, ValueError
        If X is empty, a single image or not a list of images.
    """
    if hasattr(X, "shape") or (hasattr(X, "__array__") and not isinstance(X, Image.Image)):
        if np.ma.is_masked(X):
            raise ValueError("X must not have masked values, got a masked array.")
        try:
            X = np.asarray(X)
        except Exception as error:  # a tensor on a GPU or with a gradient, a ragged table
            raise TypeError(_EXPECTED.format(f"{type(X).__name__}: {error}")) from error
        is_numeric, shape = X.dtype.kind in "biufc", X.shape
        if is_numeric:
            are_images = len(shape) == 4 or (len(shape) == 3 and shape[2] not in _PLANES)
        else:  # paths or other objects, or a column of them
            are_images = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
        if not are_images:
            raise ValueError(_EXPECTED.format(f"shape {shape} of dtype {X.dtype}"))
        if len(shape) == 4 and shape[3] not in _PLANES and shape[1] in _PLANES:
            raise ValueError(
                f"The channels of X must come last, got shape {shape}: "
                "np.moveaxis(X, 1, -1) moves them."
            )
        X = X[:, 0] if X.ndim == 2 else X
    elif not isinstance(X, Sequence) or isinstance(X, str | bytes | bytearray):
        raise TypeError(_EXPECTED.format(type(X).__name__))
    if len(X) == 0:
        raise ValueError("X must contain at least one image, got none.")
    return X
