"""The state of a process that no call may change."""

import warnings

import numpy as np
import torch

# PyTorch changes warnings filters and the environment when it imports these at their first use.
torch.testing.assert_close(torch.zeros(1), torch.zeros(1))
torch.optim.SGD([torch.zeros(1, requires_grad=True)])


def global_state():
    """Return everything that belongs to the process and not to an estimator."""
    return {
        "torch random state": torch.get_rng_state().numpy().tobytes(),
        "numpy random state": np.random.get_state()[1].tobytes(),  # noqa: NPY002
        "default dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "denormal numbers": (torch.full((1,), 1e-40, dtype=torch.float32) * 1.0).item() > 0,
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "warnings filters": list(warnings.filters),
        "numpy errors": np.geterr(),
    }
