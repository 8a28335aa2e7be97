"""What a fit depends on, in few words: the parameters by name, a digest for the data.

Two fits of the same origin are the same fit.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from scipy import sparse

from skdnn.data.frames import Table, row_chunks

# What a resumed fit may have otherwise: more epochs may follow, and the rest changes no result.
_MAY_CHANGE = ("checkpoint", "max_iter", "verbose")
_LONGEST_DESCRIPTION = 200


def make_fingerprint(parameters, examples):
    """Return the origin of a fit, a dict of str.

    Parameters
    ----------
    parameters : object
        With the parameters as attributes.
    examples : Examples
        All that the fit reads.
    """
    origin = {n: describe(v) for n, v in vars(parameters).items() if n not in _MAY_CHANGE}
    digest = examples.digest
    if digest is None:
        digest = ", ".join(examples.processes.allgather(digest_of(examples)))
    return {**origin, "data": digest}


def digest_of(examples):
    """Return a digest of all that Examples hold."""
    digest = hashlib.sha256()
    for part in (examples, examples.validation):
        for array in () if part is None else (part.X, part.y, part.weight, part.groups):
            _update(digest, array)
    before = examples.before
    for array in () if before is None else before.coefs_ + before.intercepts_:
        _update(digest, array)
    return digest.hexdigest()[:16]


def describe(value):
    """Return a short text that is the same for equal values, and another for others.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.checkpoints._fingerprint import describe
    >>> describe((np.int64(3), 3.0, "relu", np.tanh))
    "(3, 3, 'relu', numpy.tanh)"
    """
    text = _text(value)
    if len(text) <= _LONGEST_DESCRIPTION:
        return text
    digest = hashlib.sha256(_bytes(text)).hexdigest()
    return f"{text[: _LONGEST_DESCRIPTION // 2]}... ({digest[:16]})"


def _text(value):
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_text, value))})"
    if isinstance(value, Mapping):
        pairs = sorted(f"{_text(key)}: {_text(part)}" for key, part in value.items())
        return f"{{{', '.join(pairs)}}}"
    try:
        return _text_of_one(value)
    except Exception:  # whatever a user's class may raise
        return type(value).__qualname__


def _text_of_one(value):
    for plain in (bool, int, float, str):
        if isinstance(value, plain):
            return plain.__repr__(value).removesuffix(".0")
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    # What else has an address in its text, such as a RandomState, is told by its type alone.
    text = repr(value)
    return text if " at 0x" not in text else type(value).__qualname__


def _bytes(text):
    return text.encode(errors="surrogatepass")


def _update(digest, array):
    if array is None:
        digest.update(b"None")
        return
    if isinstance(array, Table):
        digest.update(_bytes(_text([list(categories) for categories in array.categories])))
        _update(digest, array.numbers)
        _update(digest, array.codes)
        _update(digest, array.is_categorical)
        return
    digest.update(f"{tuple(array.shape)} {array.dtype}".encode())
    if sparse.issparse(array):
        for part in (array.data, array.indices, array.indptr):
            digest.update(np.ascontiguousarray(part))
        return
    table = array if array.ndim == 2 else array[:, None]
    for rows in row_chunks(table):
        chunk = table[rows]
        chunk = chunk.double().cpu().numpy() if isinstance(chunk, torch.Tensor) else chunk
        digest.update(np.ascontiguousarray(chunk))
