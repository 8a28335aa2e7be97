r"""Activation functions
====================

Each hidden unit computes :math:`a = g(z)`. Which function :math:`g` is decides whether the network
learns, how fast, and whether its layers are worth anything at all.
"""

# sphinx_gallery_thumbnail_number = 1

import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning

from skdnn import (
    ActivationDisplay,
    DecisionBoundariesDisplay,
    DeepBinaryClassifier,
    LossCurveDisplay,
)
from skdnn.network import LOSSES, Network, get_activation, initialize

NAMES = ("sigmoid", "tanh", "relu", "leaky_relu")
STYLES = {"leaky_relu": "--", "identity": ":"}  # of lines that would hide another

# %%
# Four functions and their derivatives
# ------------------------------------
# The sigmoid answers between 0 and 1; tanh between −1 and 1, with a mean near 0, which suits the
# next layer better. ReLU is :math:`\max(0, z)`; leaky ReLU keeps a slope of 0.01 below zero.

figure, axes = plt.subplots(2, 2, figsize=(6, 4.8), layout="constrained")
displays = {
    name: ActivationDisplay.from_activation(name, ax=ax)
    for name, ax in zip(NAMES, axes.flat, strict=True)
}
for ax in axes.flat:
    ax.get_legend().remove()  # one for all will do
figure.legend(handles=displays["relu"].lines_, loc="outside lower center", ncols=2)

# %%
# Where the gradient dies
# -----------------------
# Learning sends a gradient back through every unit, multiplied by :math:`g'(z)`. The sigmoid's is
# never above 1/4, and both it and tanh's vanish where :math:`|z|` is large. ReLU's is exactly 1 on
# one side, and exactly 0 on the other; leaky ReLU's is never 0.

print("z         " + "".join(f"{name:>12}" for name in NAMES))
for z in (-10.0, -2.0, 0.0, 2.0, 10.0):
    Z = torch.tensor([z], dtype=torch.float64)
    slopes = []
    for name in NAMES:
        slopes.append(get_activation(name).derivative(Z).item())
    print(f"{z:6.1f}    " + "".join(f"{slope:12.2e}" for slope in slopes))

assert displays["sigmoid"].derivative.max() <= 1 / 4
assert displays["relu"].derivative.min() == 0
assert displays["leaky_relu"].derivative.min() == 0.01

# %%
# Many layers multiply many such factors. Through a fresh network of ten hidden layers, all with
# weights of the same standard deviation, :math:`1/\sqrt{n^{[l-1]}}`, the sigmoid's gradient has
# almost died when it arrives at layer 1.

rng = np.random.default_rng(0)
X = torch.from_numpy(rng.normal(size=(51, 256)))  # an example a column
X[-1] = 1  # for the biases
y = torch.from_numpy(rng.integers(0, 2, size=(1, 256)).astype(float))
weight = torch.full_like(y, 1 / 256)

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
norms = {}
for name in NAMES:
    network = Network((50,) * 11 + (1,), [get_activation(name)] * 10)
    initialize(network, 1 / np.sqrt(50), [torch.Generator().manual_seed(0)])
    network.propagate(X, y, weight, LOSSES["log_loss"])
    norms[name] = [dW.norm().item() for dW in network.dW[1:]]
    ax.plot(range(1, 12), norms[name], marker="o", label=name, linestyle=STYLES.get(name, "-"))
ax.set(xlabel="layer", ylabel=r"size of the gradient $\|dW^{[l]}\|$", yscale="log")
ax.legend()
assert norms["sigmoid"][0] < 1e-6 * norms["sigmoid"][-1]
assert min(norms["tanh"][0], norms["relu"][0]) > 1000 * norms["sigmoid"][0]

# %%
# The same network trained with each
# ----------------------------------
# Two moons, three hidden layers of 16 units, the lecture's plain gradient descent with the same
# learning rate for all: 400 steps.

X, y = make_moons(300, noise=0.15, random_state=0)


def train(activation):
    """Return a network with three hidden layers, trained by gradient descent on all rows."""
    clf = DeepBinaryClassifier(
        n_layers=4, n_units=16, activation=activation, standardize=True,
        optimizer="sgd", batch_size=None, learning_rate=0.3, weight_decay=0.0,
        max_iter=400, n_iter_no_change=400, early_stopping=False, numeric_embedding=None,
        random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # that some are not done is the point
        return clf.fit(X, y)


fitted = {name: train(name) for name in (*NAMES, "identity")}
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, clf in fitted.items():
    LossCurveDisplay.from_estimator(clf, ax=ax, label=name, linestyle=STYLES.get(name, "-"))
ax.set_title("Two moons, 4 layers")

# %%
# What each says of the plane, and of the points drawn, with which it was trained:

titles = {f"{name}\n{clf.score(X, y):.0%} right": clf for name, clf in fitted.items()}
DecisionBoundariesDisplay.from_estimators(titles, X, y)
assert fitted["relu"].score(X, y) > 0.95
assert fitted["relu"].loss_ < fitted["sigmoid"].loss_

# %%
# Why it must not be linear
# -------------------------
# With the identity as :math:`g`, a layer after a layer is one layer: :math:`(x W^{[1]} + b^{[1]})
# W^{[2]} + b^{[2]} = x W' + b'`. The last picture is that of a network with four layers, and its
# boundary is a line. Multiplied out, with the standardisation before them, its parameters are those
# of a logistic regression,

clf = fitted["identity"]
center, inverse_scale = (clf.input_encoding_[name] for name in ("center", "inverse_scale"))
W, b = np.diag(inverse_scale), -center * inverse_scale
for coef, intercept in zip(clf.coefs_, clf.intercepts_, strict=True):
    W, b = W @ coef, b @ coef + intercept
print(f"w' = ({W[0, 0]:.3f}, {W[1, 0]:.3f}), b' = {b[0]:.3f}")

# %%
# and with nothing but those one computes all of its answers.

everywhere = rng.uniform(-3, 3, size=(1000, 2))
assert np.allclose(everywhere @ W[:, 0] + b[0], clf.decision_function(everywhere), rtol=1e-9)
on_the_line = np.column_stack([np.linspace(-3, 3, 50), np.zeros(50)])
on_the_line[:, 1] = -(on_the_line[:, 0] * W[0, 0] + b[0]) / W[1, 0]
assert np.allclose(clf.predict_proba(on_the_line), 0.5)
plt.show()
