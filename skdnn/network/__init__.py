"""The network, slide by slide: knows no data source, no epoch and no scikit-learn.

The glossary, said once. Here an example is a **column**, as the lecture writes it; in all that a
user of the package sees it is a **row**, as scikit-learn has it. The batches hand their rows over
transposed, which copies nothing.

=================================  ==============================  ===============================
the lecture                        this package                    scikit-learn's users see
=================================  ==============================  ===============================
X, n_x × m                         ``X (n_x, m)``                  ``X (n_samples, n_features)``
y, 1 × m                           ``y (1, m)`` of 0 and 1, or     ``y (n_samples,)`` of any labels,
                                   ``y (k, m)`` of numbers         or ``(n_samples, k)`` of numbers
L layers, n^[0] = n_x … n^[L] = 1  ``layer_sizes``                 ``n_layers``, ``layer_sizes_``
W^[l], n^[l] × n^[l-1]; b^[l]      ``W[l]``, ``b[l]``              ``coefs_[l - 1]``, transposed;
                                                                   ``intercepts_[l - 1]``
both side by side                  ``Wb[l] = [W[l] b[l]]``
Z^[l] = W^[l] A^[l-1] + b^[l]      ``Z[l] = W[l] A[l-1] + b[l]``   ``decision_function``: Z^[L]
A^[l] = g(Z^[l]), ŷ = σ(Z^[L])     ``A[l]``                        ``predict_proba``: ŷ
ŷ = Z^[L], the linear output       ``Z[L]``                        ``DeepRegressor.predict``
A^[l] above a row of ones          ``A1[l] = [A[l]; 1]``
J, the cost                        ``cost``                        ``loss_``, ``loss_curve_``
dW^[l] = dJ/dW^[l]                 ``dW[l]``
W := W − α dW                      skdnn.training                  ``learning_rate``: α
=================================  ==============================  ===============================

Slides and files: activation functions `_activations`; random, zero and large initialisation
`_initialization`; the cost and why it is the cross-entropy `_cost`; the output that may be linear
`_output`; forward and backward propagation `_propagation`; L layers as one object `_network`.
"""

from ._activations import ACTIVATIONS, get_activation
from ._cost import LINEAR_LOSSES, LOSSES, Loss, cost, cost_sums, quantile_loss
from ._initialization import initialize, is_saturated, is_symmetric
from ._network import Network, layer_views
from ._output import LINEAR, SIGMOID, Output
from ._propagation import compute_raw_predictions

__all__ = [
    "ACTIVATIONS",
    "LINEAR",
    "LINEAR_LOSSES",
    "LOSSES",
    "SIGMOID",
    "Loss",
    "Network",
    "Output",
    "compute_raw_predictions",
    "cost",
    "cost_sums",
    "get_activation",
    "initialize",
    "is_saturated",
    "is_symmetric",
    "layer_views",
    "quantile_loss",
]
