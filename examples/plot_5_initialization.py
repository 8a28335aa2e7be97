r"""Initial weights
===============

Gradient descent has to start somewhere. Zeros will do for one layer and are fatal for two; small
random numbers break the tie; huge ones leave no slope to follow; and the deeper the network, the
more it matters how small is small.
"""

# sphinx_gallery_thumbnail_number = 5

import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning

from skdnn import DecisionBoundariesDisplay, DeepBinaryClassifier, LossCurveDisplay
from skdnn.network import Network, get_activation, initialize

# Some of these networks cannot learn, which skdnn notices and says. Here that is the point.
warnings.filterwarnings("ignore", category=ConvergenceWarning)
warnings.filterwarnings("ignore", message=".*init_scale", category=UserWarning)

X, y = make_moons((160, 140), noise=0.15, random_state=0)


def make_network(init_scale, **parameters):
    """Return an untrained network, for the lecture's gradient descent on all rows."""
    parameters = {"n_layers": 2, "n_units": 4, "activation": "sigmoid", **parameters}
    return DeepBinaryClassifier(
        init_scale=init_scale, optimizer="sgd", batch_size=None, learning_rate=1.0,
        weight_decay=0.0, standardize=True, numeric_embedding=None, early_stopping=False,
        max_iter=500, n_iter_no_change=500, random_state=0, **parameters,
    )  # fmt: skip


# %%
# Zeros: no harm to logistic regression
# -------------------------------------
# One layer has one unit. Its weights start at zero and become different at once, since the features
# differ.

clf = make_network(0.0, n_layers=1, n_units=1).fit(X, y)
assert len(set(clf.coefs_[0].ravel())) == 2
print(f"weights {clf.coefs_[0].ravel().round(3)}, {clf.score(X, y):.0%} right")

# %%
# Zeros in a hidden layer: all units the same, for ever
# -----------------------------------------------------
# Four hidden units that start with the same weights compute the same, get the same gradient, and
# take the same step. The lines below are their weights over time, eight of them, four and four on
# top of each other: the network has one unit, four times. Random numbers, however small, let the
# units part.


def train_and_watch(clf, n_steps):
    """Return the weights of layer 1 after each step, of shape (n_steps, 2, n_units)."""
    weights = []
    for _ in range(n_steps):
        clf.partial_fit(X, y, classes=[0, 1])
        weights.append(clf.coefs_[0].copy())
    return np.array(weights)


histories = {scale: train_and_watch(make_network(scale), 2000) for scale in (0.0, 0.01)}
figure, axes = plt.subplots(1, 2, figsize=(6, 3.8), sharey=True, layout="constrained")
for ax, (scale, history) in zip(axes, histories.items(), strict=True):
    for feature, style in enumerate(("-", "--")):
        ax.plot(history[:, feature], style)
        ax.set_prop_cycle(None)
    ax.set(title=f"init_scale = {scale:g}", xlabel="step")
axes[0].set_ylabel("weights of four hidden units")

equal_units, free_units = histories.values()
assert np.ptp(equal_units, axis=2).max() == 0  # not nearly equal: equal
assert np.ptp(equal_units[-1], axis=0).max() > 0  # though they have moved
assert np.ptp(free_units[-1], axis=1).min() > 0.5

# %%
# Zeros, small, fan-in scaled, huge
# ---------------------------------
# The same network after 500 steps from four starts. "auto" draws the weights of a layer with
# standard deviation :math:`\sqrt{\mathrm{gain} / n^{[l-1]}}`; × 1000 saturates the sigmoids.

scales = {"zeros": 0.0, "random × 0.01": 0.01, '"auto"': "auto", "random × 1000": 1000.0}
fitted = {name: make_network(scale, n_units=16).fit(X, y) for name, scale in scales.items()}
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, clf in fitted.items():
    LossCurveDisplay.from_estimator(clf, ax=ax, label=name)
ax.set_yscale("log")

# %%
# What each says of the plane, and of the points drawn, with which it was trained:

titles = {f"{name}\n{clf.score(X, y):.0%} right": clf for name, clf in fitted.items()}
DecisionBoundariesDisplay.from_estimators(titles, X, y)

# %%
# Why huge weights do not learn: almost every hidden unit says 0 or 1, where the sigmoid is flat,
# and no gradient passes a flat place.

activations = {}
for name in ("random × 0.01", '"auto"', "random × 1000"):
    network = Network((2, 16, 1), [get_activation("sigmoid")])
    initialize(network, scales[name], [torch.Generator().manual_seed(0)])
    Z = network.W[1] @ torch.from_numpy(X).T + network.b[1]
    activations[name] = torch.sigmoid(Z).numpy().ravel()

figure, axes = plt.subplots(1, 3, figsize=(6, 3), sharey=True, layout="constrained")
for ax, (name, a) in zip(axes, activations.items(), strict=True):
    ax.hist(a, bins=25, range=(0, 1), weights=np.full(a.size, 1 / a.size))
    title = f"{name}\nmean slope\n{np.mean(a * (1 - a)):.4f}"
    ax.set(title=title, xlabel="$a^{[1]}$", xticks=[0, 1])
axes[0].set_ylabel("share of answers")
a = activations["random × 1000"]
assert np.mean(a * (1 - a)) < 0.01

# %%
# What depth does to small numbers
# --------------------------------
# A layer multiplies. With weights × 0.01, each makes the numbers that pass through it smaller, and
# the gradient on its way back as well; after a few layers nothing is left. Weights a little too
# large explode. The fan-in scale keeps the size: :math:`z` is a sum of :math:`n^{[l-1]}` terms and
# has that many times the variance of one, so each weight's variance is divided by as much.

L, n = 20, 100
rng = np.random.default_rng(0)
X_deep = torch.from_numpy(rng.normal(size=(n, 500)))  # an example a column
spread = {}
for name, scale in (("0.01", 0.01), ('"auto"', "auto"), ("0.3", 0.3)):
    network = Network((n,) * L + (1,), [get_activation("relu")] * (L - 1))
    initialize(network, scale, [torch.Generator().manual_seed(0)])
    A, spread[name] = X_deep, [X_deep.std().item()]
    for l in range(1, L):
        A = torch.relu(network.W[l] @ A + network.b[l])
        spread[name].append(A.std().item())

figure, ax = plt.subplots(figsize=(6, 4.2), layout="constrained")
for name, deviations in spread.items():
    ax.plot(deviations, "o-", markersize=4, label=f"init_scale = {name}")
ax.set(xlabel="layer", ylabel="standard deviation of $A^{[l]}$", yscale="log")
ax.set_xticks(range(0, L, 2))
ax.legend()
assert spread["0.01"][-1] < 1e-10
assert 0.1 < spread['"auto"'][-1] < 10
assert spread["0.3"][-1] > 1e3

# %%
# Training feels it. From 0.01 one hidden layer of ReLUs soon finds the line between the moons, two
# find it late, and four have not begun after 500 steps. From "auto" all of them learn, and the
# deepest best.

figure, axes = plt.subplots(1, 2, figsize=(6, 3.6), sharey=True, layout="constrained")
curves = {}
for ax, scale in zip(axes, (0.01, "auto"), strict=True):
    for n_layers in (2, 3, 5):
        clf = make_network(scale, n_layers=n_layers, n_units=16, activation="relu")
        clf.set_params(learning_rate=0.3).fit(X, y)
        LossCurveDisplay.from_estimator(clf, ax=ax, label=f"L = {n_layers}")
        curves[scale, n_layers] = clf.loss_curve_
    ax.set(title=f"init_scale = {scale}", ylabel="")
axes[0].set_ylabel("cost")
assert curves[0.01, 2][200] < 0.4 < curves[0.01, 3][200] > curves[0.01, 3][-1] + 0.3
assert curves[0.01, 5][-1] > 0.69
assert curves["auto", 5][-1] < curves["auto", 3][-1] < curves["auto", 2][-1] < 0.1
plt.show()
