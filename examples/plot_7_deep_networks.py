r"""Deep networks: forward and backward propagation
================================================

Logistic regression again and again: layer :math:`l` takes what layer :math:`l - 1` says, and the
last one answers. This example draws a network with :math:`L = 4` layers, walks through it forward
and backward by hand, and shows what depth is good for.
"""

# sphinx_gallery_thumbnail_number = 3

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, make_moons
from sklearn.preprocessing import StandardScaler

from skdnn import DecisionBoundariesDisplay, DeepBinaryClassifier, NetworkDisplay

# %%
# Four layers
# -----------
# Eight numbers describe a tumour here, :math:`n^{[0]} = 8`. The hidden layers have nine units each,
# :math:`n^{[1]} = n^{[2]} = n^{[3]} = 9`, the output layer has one, :math:`n^{[4]} = 1`. The input
# is not counted: it has no weights.

data = load_breast_cancer()
X = StandardScaler().fit_transform(data.data[:, :8])
y = (data.target == 0).astype(float)  # malignant
clf = DeepBinaryClassifier(n_units=(9, 9, 9), standardize=False, random_state=0)
clf.partial_fit(X, y, classes=[0, 1])  # one epoch: a network that has much to learn yet
assert clf.layer_sizes_ == (8, 9, 9, 9, 1)
assert clf.n_layers_ == 4

NetworkDisplay.from_estimator(clf)

# %%
# Forward propagation
# -------------------
# With one example a row, layer :math:`l` is
#
# .. math:: Z^{[l]} = A^{[l-1]} W^{[l]} + b^{[l]}, \qquad A^{[l]} = g(Z^{[l]}),
#
# from :math:`A^{[0]} = X` on; :math:`g` is ReLU in the hidden layers, and in the last the sigmoid.

L, m = clf.n_layers_, len(X)
W = [None, *clf.coefs_]  # so that W[l] is that of layer l
b = [None, *clf.intercepts_]
Z, A = [None] * (L + 1), [X] + [None] * L

for l in range(1, L + 1):
    Z[l] = A[l - 1] @ W[l] + b[l]
    A[l] = np.maximum(Z[l], 0) if l < L else 1 / (1 + np.exp(-Z[l]))

print(f"{'layer':>5}{'W':>10}{'b':>8}{'Z and A':>12}")
for l in range(1, L + 1):
    print(f"{l:5}{W[l].shape!s:>10}{b[l].shape!s:>8}{Z[l].shape!s:>12}")

assert np.allclose(A[L][:, 0], clf.predict_proba(X)[:, 1], rtol=1e-12)

# %%
# What the layers make of twelve tumours, one a row. A white field is a unit that says nothing.

some = np.r_[np.flatnonzero(y == 1)[:6], np.flatnonzero(y == 0)[:6]]
figure, axes = plt.subplots(
    1, L + 1, figsize=(6, 3.2), width_ratios=(8, 9, 9, 9, 3), sharey=True, layout="constrained"
)
for l, ax in enumerate(axes):
    shown = A[l][some]
    limit = np.abs(shown).max()
    ax.imshow(shown, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    ax.set(title=f"$A^{{[{l}]}}$", xticks=[], yticks=[])
axes[0].set_ylabel("benign        malignant")

# %%
# Backward propagation
# --------------------
# The gradient starts at the output, where the derivatives of cross-entropy and sigmoid together are
# as simple as can be, and walks back:
#
# .. math::
#
#    dZ^{[L]} &= (A^{[L]} - Y) / m \\
#    dW^{[l]} &= A^{[l-1]T} dZ^{[l]}, \qquad db^{[l]} = \textstyle\sum dZ^{[l]} \\
#    dA^{[l-1]} &= dZ^{[l]} W^{[l]T}, \qquad dZ^{[l-1]} = dA^{[l-1]} \odot g'(Z^{[l-1]})

dZ, dW, db = [None] * (L + 1), [None] * (L + 1), [None] * (L + 1)
dZ[L] = (A[L] - y[:, None]) / m
for l in range(L, 0, -1):
    dW[l] = A[l - 1].T @ dZ[l]
    db[l] = dZ[l].sum(axis=0)
    if l > 1:
        dA = dZ[l] @ W[l].T
        dZ[l - 1] = dA * (Z[l - 1] > 0)  # the derivative of ReLU

print(f"{'layer':>5}{'dZ':>12}{'dW':>10}{'db':>8}")
for l in range(L, 0, -1):
    print(f"{l:5}{dZ[l].shape!s:>12}{dW[l].shape!s:>10}{db[l].shape!s:>8}")

# %%
# PyTorch's automatic differentiation knows nothing of these formulas, and finds the same numbers.
# (A ``torch.nn.Linear`` keeps its weights transposed.)

module = clf.to_module()
probability = module(torch.from_numpy(X))
J = torch.nn.functional.binary_cross_entropy(probability, torch.from_numpy(y))
J.backward()
linears = [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear)]
for l, linear in enumerate(linears, start=1):
    distance = np.abs(dW[l] - linear.weight.grad.T.numpy()).max()
    print(f"layer {l}: |dW| up to {np.abs(dW[l]).max():.2e}, difference {distance:.0e}")
    assert np.allclose(dW[l], linear.weight.grad.T, rtol=1e-8, atol=1e-14)
    assert np.allclose(db[l], linear.bias.grad, rtol=1e-8, atol=1e-14)

# %%
# One step of gradient descent, :math:`W := W - \alpha\, dW`, :math:`b := b - \alpha\, db`, and the
# cost is lower.


def compute_cost(W, b):
    """Return J of a network with these parameters."""
    A = X
    for l in range(1, L + 1):
        Z = A @ W[l] + b[l]
        A = np.maximum(Z, 0)
    return np.mean(np.logaddexp(0, Z[:, 0]) - y * Z[:, 0])  # from the logit, never from a rounded A


alpha = 0.1
W_next = [None, *(W[l] - alpha * dW[l] for l in range(1, L + 1))]
b_next = [None, *(b[l] - alpha * db[l] for l in range(1, L + 1))]
before, after = compute_cost(W, b), compute_cost(W_next, b_next)
assert np.isclose(before, J.item(), rtol=1e-10)
assert after < before
print(f"J = {before:.4f} before the step, {after:.4f} after it")

# %%
# What depth does
# ---------------
# Four networks of eight units a layer on two moons. One layer draws a line, two bend it, and more
# bend what is bent already. The accuracy is that on a thousand points which no network has seen;
# 300 of them are drawn.

moons, moon = make_moons(400, noise=0.15, random_state=0)
moons_test, moon_test = make_moons(1000, noise=0.15, random_state=1)
models, scores = {}, []
for n_layers in (1, 2, 3, 5):
    deep = DeepBinaryClassifier(
        n_layers, n_units=8, learning_rate=0.03, max_iter=200, standardize=True,
        numeric_embedding=None, early_stopping=False, random_state=0,
    )  # fmt: skip
    deep.fit(moons, moon)
    scores.append(deep.score(moons_test, moon_test))
    models[f"L = {n_layers}\ntest accuracy {scores[-1]:.1%}"] = deep
DecisionBoundariesDisplay.from_estimators(models, moons_test[:300], moon_test[:300])
assert scores[0] < 0.9 < scores[1] < min(scores[2:])
plt.show()
