"""Describe what a fit depends on: its parameters as text, its data as a digest.

Two fits with equal fingerprints give the same result.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy import sparse

from skdnn.data.frames import Table, row_chunks

# A resumed fit may change these: more epochs may follow, and the others do not affect the result.
_MAY_CHANGE = ("checkpoint", "max_iter", "verbose")
_MAX_DESCRIPTION_LENGTH = 200


def make_fingerprint(parameters: Any, data: str) -> dict[str, str]:
    """Return the parameters as text and the digest of the data.

    Parameters
    ----------
    parameters : object
        The parameters as attributes.
    data : str
        The digest of all data of the fit.
    """
    described = {n: describe(v) for n, v in vars(parameters).items() if n not in _MAY_CHANGE}
    return {**described, "data": data}


def digest_of(examples: Any) -> str:
    """Return a digest of all data of Examples, including the validation set."""
    digest = hashlib.sha256()
    for rows in (examples, examples.validation):
        for array in () if rows is None else (rows.X, rows.y, rows.weight, rows.groups):
            _update(digest, array)
    previous = examples.previous
    if previous is not None:
        for array in (*previous.coefs_, *previous.intercepts_, previous._embedding[1]):
            _update(digest, array)
    return digest.hexdigest()[:16]


def describe(value: object) -> str:
    """Return a short text that is the same for equal values and differs for others.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.checkpoints._fingerprint import describe
    >>> describe((np.int64(3), 3.0, "relu", np.tanh))
    "(3, 3, 'relu', numpy.tanh)"
    """
    text = _text(value)
    if len(text) <= _MAX_DESCRIPTION_LENGTH:
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{text[: _MAX_DESCRIPTION_LENGTH // 2]}... ({digest[:16]})"


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_text, value))})"
    if isinstance(value, Mapping):
        pairs = sorted(f"{_text(key)}: {_text(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    try:
        for type_ in (bool, int, float, str):
            if isinstance(value, type_):
                return type_.__repr__(value).removesuffix(".0")
        if hasattr(value, "__qualname__"):
            return f"{value.__module__}.{value.__qualname__}"
        text = repr(value)
    except Exception:  # a user's class may raise anything
        return type(value).__qualname__
    # An address differs from run to run, so an object such as a RandomState is described by type.
    return text if " at 0x" not in text else type(value).__qualname__


def _update(digest: Any, array: Any) -> None:
    if array is None:
        digest.update(b"None")
        return
    if isinstance(array, Table):
        categories = _text([list(categories) for categories in array.categories])
        digest.update(categories.encode(errors="surrogatepass"))
        for columns in (array.numbers, array.codes, array.is_categorical):
            _update(digest, columns)
        return
    digest.update(f"{tuple(array.shape)} {array.dtype}".encode())
    if sparse.issparse(array):
        for values in (array.data, array.indices, array.indptr):
            digest.update(np.ascontiguousarray(values))
        return
    table = array if array.ndim == 2 else array[:, None]
    for rows in row_chunks(table):
        chunk = table[rows]
        chunk = chunk.double().cpu().numpy() if isinstance(chunk, torch.Tensor) else chunk
        digest.update(np.ascontiguousarray(chunk))
