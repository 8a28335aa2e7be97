"""A fitted network at rest: NumPy arrays, without torch and without a device.

That is what keeps a pickle small, and what lets a model that was fitted on CUDA predict anywhere.
Tensors are made of the arrays when they are needed: to predict, to train on, to hand over a module.
"""

from contextlib import contextmanager

import numpy as np
import torch

from skdnn._assembly import empty_network
from skdnn.data import Standardizer, identity_standardizer, tensor_chunks
from skdnn.network import Network, compute_logits, get_activation
from skdnn.training import processor_for


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
    W = [None, *(_to_tensor(coef, device) for coef in fitted.coefs_)]
    b = [None, *(_to_tensor(intercept, device)[None] for intercept in fitted.intercepts_)]
    activations = [None, *map(get_activation, (*fitted.activations_, "identity"))]
    operations = 2 * X.shape[0] * sum(coef.size for coef in fitted.coefs_)
    with torch.no_grad(), processor_for(operations):
        chunks = tensor_chunks(X, _input_standardizer(fitted), W[1].dtype, device)
        Z = [compute_logits(chunk, W, b, activations).squeeze(1).cpu() for chunk in chunks]
    return torch.cat(Z).numpy()


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
    has_it = device.type == "cpu" or (device.index or 0) < torch.cuda.device_count()
    return device if has_it else torch.device("cpu")


def _to_tensor(array, device):
    # Arrays loaded with joblib's mmap_mode are read-only, which torch warns of; those are copied.
    return torch.from_numpy(np.require(array, requirements="W")).to(device)
