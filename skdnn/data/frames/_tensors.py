"""From what holds numbers to tensors."""

import numpy as np
import torch
from scipy import sparse

_FLOATS_OF_NUMPY = (torch.float16, torch.float32, torch.float64)


def dense_tensor(X, dtype=torch.float64):
    """Return rows, an array, CSR matrix or tensor, as a dense tensor."""
    if isinstance(X, torch.Tensor):
        return X.to(dtype)
    X = X.toarray() if sparse.issparse(X) else X
    # A copy, since torch takes no read-only memory, foreign byte order or negative stride.
    return torch.from_numpy(np.array(X, dtype=str(dtype).removeprefix("torch."), order="C"))


def to_host(values):
    """Return what may be a tensor as something that NumPy reads."""
    if not isinstance(values, torch.Tensor):
        return values
    values = values.detach().cpu()
    # NumPy has no bfloat16, nor the floats of 8 bits.
    is_unknown = values.is_floating_point() and values.dtype not in _FLOATS_OF_NUMPY
    return (values.float() if is_unknown else values).resolve_conj().resolve_neg().numpy()


def as_tensor(array, device):
    """Return an array of our own as a tensor, on the CPU without a copy."""
    # Arrays loaded with joblib's mmap_mode are read-only, which torch warns of; those are copied.
    tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
    return tensor if device.type == "cpu" else tensor.to(device)
