"""A fitted network at rest: NumPy arrays, without torch and without a device.

That is what keeps a pickle small, and what lets a model that was fitted on CUDA predict anywhere.
Tensors are made of the arrays when they are needed: to predict, to train on, to hand over a module.
"""

import math
from contextlib import contextmanager

import numpy as np
import torch

from skdnn._assembly import empty_network
from skdnn.data import Standardizer, identity_standardizer, tensor_chunks
from skdnn.network import Network, compute_logits, get_activation
from skdnn.training import threads_for


def fitted_weights(network, standardizer):
    """Return the attributes that hold a trained network, by name.

    The standardizer is folded into the first layer, unless the network's dtype would lose by it.
    """
    coefs, intercepts = network.arrays()
    dtype = coefs[0].dtype
    folds = standardizer.folds_exactly(dtype)
    if folds:
        W, b = standardizer.fold(coefs[0], intercepts[0])
        coefs[0], intercepts[0] = W.astype(dtype), b.astype(dtype)
    return {
        "coefs_": coefs,
        "intercepts_": intercepts,
        "input_mean_": None if folds else standardizer.mean,
        "input_scale_": None if folds else standardizer.scale,
    }


def fitted_network(fitted, plan, standardizer):
    """Return the network to train on: that of a fitted estimator, for rows standardised anew."""
    coefs, intercepts = list(fitted.coefs_), list(fitted.intercepts_)
    before = _input_standardizer(fitted) or identity_standardizer(len(coefs[0]))
    coefs[0], intercepts[0] = standardizer.unfold(*before.fold(coefs[0], intercepts[0]))
    network = empty_network(plan)
    network.load(coefs, intercepts)
    return network


def fitted_module(fitted):
    """Return a fitted estimator's network as a torch.nn.Sequential from X to P(y = 1)."""
    dtype = getattr(torch, fitted.coefs_[0].dtype.name)
    activations = [get_activation(activation) for activation in fitted.activations_]
    network = Network(fitted.layer_sizes_, activations, dtype=dtype)
    network.load(fitted.coefs_, fitted.intercepts_)
    module = network.to_module()
    standardizer = _input_standardizer(fitted)
    if standardizer is not None:
        module.insert(0, standardizer.to_module(dtype))
    return module


def fitted_logits(fitted, X):
    """Return the logits of a fitted estimator for checked X, an array of shape (n_samples,)."""
    device = _device_at_hand(fitted.device_)
    W = [None, *[_to_tensor(coef, device) for coef in fitted.coefs_]]
    b = [None, *[_to_tensor(intercept, device) for intercept in fitted.intercepts_]]
    activations = [None, *map(get_activation, fitted.activations_)]
    operations = 2 * X.shape[0] * sum([coef.size for coef in fitted.coefs_])
    with torch.no_grad(), threads_for(operations):
        chunks = tensor_chunks(X, _input_standardizer(fitted), W[1].dtype, device)
        Z = [compute_logits(chunk, W, b, activations).cpu() for chunk in chunks]
    return (Z[0] if len(Z) == 1 else torch.cat(Z)).numpy()[:, 0]


def is_plainly_valid(fitted, X):
    """Tell whether X is an array that scikit-learn's checks would find nothing to say about.

    For one row they take longer than the network, so such an array goes without.
    """
    if type(X) is not np.ndarray or hasattr(fitted, "feature_names_in_"):
        return False
    if X.ndim != 2 or len(X) == 0 or X.shape[1] != fitted.n_features_in_ or X.dtype.kind != "f":
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(X.sum())  # not finite: a number is not, or the sum is too large


@contextmanager
def restored_on_error(estimator):
    """Give an estimator back the attributes that it had, should the block fail."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def _input_standardizer(fitted):
    if fitted.input_mean_ is None:
        return None
    return Standardizer(fitted.input_mean_, 1 / fitted.input_scale_)


def _device_at_hand(device):
    """Return the device of the fit, or the CPU where there is no such device any more."""
    device = torch.device(device)
    if device.type == "cpu" or (device.index or 0) < torch.cuda.device_count():
        return device
    return torch.device("cpu")


def _to_tensor(array, device):
    # Arrays loaded with joblib's mmap_mode are read-only, which torch warns of; those are copied.
    tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
    return tensor if device.type == "cpu" else tensor.to(device)
