"""The network, slide by slide, without data sources, epochs or scikit-learn.

In this package an example is a **column**, as in the lecture; in the public API it is a **row**, as
in scikit-learn. The batches pass transposed views of their rows, without a copy.

=================================  ==============================  ===============================
the lecture                        this package                    the public API
=================================  ==============================  ===============================
X, n_x × m                         ``X (n_x, m)``                  ``X (n_samples, n_features)``
y, 1 × m                           ``y (1, m)`` of 0 and 1, or     ``y (n_samples,)`` of any labels,
                                   ``y (k, m)`` of numbers         or ``(n_samples, k)`` of numbers
L layers, n^[0] = n_x … n^[L] = 1  ``layer_sizes``                 ``n_layers``, ``layer_sizes_``
W^[l], n^[l] × n^[l-1]; b^[l]      ``W[l]``, ``b[l]``              ``coefs_[l - 1]``, transposed;
                                                                   ``intercepts_[l - 1]``
both in one matrix                 ``Wb[l] = [W[l] b[l]]``
Z^[l] = W^[l] A^[l-1] + b^[l]      ``Z[l] = W[l] A[l-1] + b[l]``   ``decision_function``: Z^[L]
A^[l] = g(Z^[l]), ŷ = σ(Z^[L])     ``A[l]``                        ``predict_proba``: ŷ
ŷ = Z^[L], the linear output       ``Z[L]``                        ``DeepRegressor.predict``
A^[l] above a row of ones          ``A1[l] = [A[l]; 1]``
J, the cost                        ``cost``                        ``loss_``, ``loss_curve_``
dW^[l] = dJ/dW^[l]                 ``dW[l]``
W := W − α dW                      skdnn.training                  ``learning_rate``: α
=================================  ==============================  ===============================

Activation functions are in `_activations`, embeddings of the inputs in `_embedding`, initial
weights in `_initialization`, losses and the cost in `_cost`, the sigmoid and the linear output in
`_output`, forward and backward propagation in `_propagation`, their products of matrices in
`_products`, and a network of L layers in `_network`.
"""

from ._activations import ACTIVATIONS, get_activation
from ._cost import LINEAR_LOSSES, LOSSES, Loss, cost, cost_sums, quantile_loss
from ._embedding import PeriodicEmbedding
from ._initialization import initialize, is_saturated, is_symmetric
from ._network import Network, layer_views
from ._output import LINEAR, SIGMOID, Output
from ._products import ONE_BLAS_THREAD
from ._propagation import compute_raw_predictions, propagate_from_Z1

__all__ = [
    "ACTIVATIONS",
    "LINEAR",
    "LINEAR_LOSSES",
    "LOSSES",
    "ONE_BLAS_THREAD",
    "SIGMOID",
    "Loss",
    "Network",
    "Output",
    "PeriodicEmbedding",
    "compute_raw_predictions",
    "cost",
    "cost_sums",
    "get_activation",
    "initialize",
    "is_saturated",
    "is_symmetric",
    "layer_views",
    "propagate_from_Z1",
    "quantile_loss",
]
