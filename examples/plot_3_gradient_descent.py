r"""Gradient descent
================

The cost :math:`J(w, b)` is a landscape, its gradient points uphill, and training walks downhill,

.. math:: w := w - \alpha \frac{\partial J}{\partial w}, \qquad
          b := b - \alpha \frac{\partial J}{\partial b}.

How long the steps are, the learning rate :math:`\alpha`, decides whether it arrives. The second
half follows the gradient through the computation graph, for one example and for many.
"""

# sphinx_gallery_thumbnail_number = 1

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import FancyBboxPatch
from sklearn.datasets import load_iris

from skdnn import DeepBinaryClassifier
from skdnn.network import LOSSES, Network, cost

# %%
# The landscape
# -------------
# One feature, the length of a sepal, is to tell two kinds of iris apart; one weight :math:`w` and
# one :math:`b` are all there is to learn, so :math:`J` can be drawn.

iris = load_iris()
rows = iris.target > 0
X = iris.data[rows, :1] - 5  # cm above 5
y = (iris.target[rows] == 2).astype(float)  # virginica, not versicolor


def cost_of(w, b):
    """Return J for arrays of w and b of the same shape."""
    logits = torch.from_numpy(w[..., None, None] * X.T + b[..., None, None])  # one row a pair
    labels = torch.from_numpy(y[None])
    return cost(LOSSES["log_loss"], logits, labels, torch.ones_like(labels)).numpy()


assert np.isclose(cost_of(np.array(0.0), np.array(0.0)), np.log(2))  # half and half


def grid_over(low, high):
    """Return grids of w and b from the corner (w, b) = low to the corner high."""
    return np.meshgrid(*np.linspace(low, high, 120).T)


LOW, HIGH = (-1, -4), (4, 1.5)
ww, bb = grid_over(LOW, HIGH)
J = cost_of(ww, bb)

figure = plt.figure(figsize=(6, 4.2), layout="constrained")
ax = figure.add_subplot(projection="3d")
surface = ax.plot_surface(ww, bb, J, cmap="viridis", linewidth=0, antialiased=True)
ax.set(zticks=[])  # the colours say it
ax.set_xlabel("$w$", labelpad=8)
ax.set_ylabel("$b$", labelpad=8)
ax.view_init(elev=35, azim=-110)
figure.colorbar(surface, label="$J(w, b)$", shrink=0.8)

# %%
# Three learning rates
# --------------------
# The lecture's gradient descent is ``optimizer="sgd"`` with all rows in every step,
# ``batch_size=None``. ``partial_fit`` takes one step, so that one sees where it leads. From
# :math:`w = b = 0`, a hundred of them:


def descend(alpha, n_steps=100):
    """Return w and b before the first step and after each, of shape (n_steps + 1, 2)."""
    clf = DeepBinaryClassifier(
        n_layers=1, init_scale=0.0, optimizer="sgd", learning_rate=alpha, batch_size=None,
        standardize=False, weight_decay=0.0,
    )  # fmt: skip
    path = [(0.0, 0.0)]
    for _ in range(n_steps):
        clf.partial_fit(X, y, classes=[0, 1])
        path.append((clf.coefs_[0].item(), clf.intercepts_[0].item()))
    return np.array(path)


rates = {"too small": 0.1, "good": 2.0, "too large": 5.0}
paths = {name: descend(alpha) for name, alpha in rates.items()}

figure, axes = plt.subplots(1, 3, figsize=(6, 3.2), sharey=True, layout="constrained")
for ax, (name, path) in zip(axes, paths.items(), strict=True):
    grid = grid_over(np.minimum(path.min(axis=0), LOW), np.maximum(path.max(axis=0), HIGH))
    ax.contourf(*grid, cost_of(*grid), levels=30, cmap="viridis")
    ax.plot(*path.T, "o-", color="white", markersize=3, linewidth=1)
    ax.plot(*path[-1], "o", color="tab:red")
    ax.set(title=f"{name}\n$\\alpha$ = {rates[name]:g}", xlabel="$w$")
axes[0].set_ylabel("$b$")

# %%
# With the small rate a hundred steps are not enough. With the large one each step jumps over the
# valley, and never comes down to its floor.

costs = {name: cost_of(*path.T) for name, path in paths.items()}
figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
for name, curve in costs.items():
    ax.plot(curve, label=rf"$\alpha$ = {rates[name]:g}: {name}")
ax.set(xlabel="step", ylabel="$J$")
ax.legend()

assert np.all(np.diff(costs["too small"]) < 0)
assert np.any(np.diff(costs["too large"]) > 0)
assert costs["good"][-1] < min(costs["too small"][-1], costs["too large"][-1])
for name, curve in costs.items():
    print(f"{name:10} J = {curve[0]:.4f} before, {curve[-1]:.4f} after 100 steps")

# %%
# One example through the computation graph
# -----------------------------------------
# Downwards the graph computes the loss of one example with two features; upwards, in red, the
# derivative of the loss with respect to each node, one rule of the chain a step:
# :math:`da = -y/a + (1-y)/(1-a)`, :math:`dz = da \cdot a(1-a) = a - y`, :math:`dw_1 = x_1\,dz`,
# :math:`dw_2 = x_2\,dz`, :math:`db = dz`.

x1, x2, truth = 1.5, -0.5, 1.0
w1, w2, b = 0.2, -0.4, 0.1

z = w1 * x1 + w2 * x2 + b
a = 1 / (1 + np.exp(-z))
loss = -(truth * np.log(a) + (1 - truth) * np.log(1 - a))

da = -truth / a + (1 - truth) / (1 - a)
dz = da * a * (1 - a)
dw1, dw2, db = x1 * dz, x2 * dz, dz
assert np.isclose(dz, a - truth)

# %%
# A derivative is what a tiny change does, so that can be checked without the chain rule.


def loss_at(w1, w2, b):
    """Return the loss of the example for other parameters."""
    a = 1 / (1 + np.exp(-(w1 * x1 + w2 * x2 + b)))
    return -(truth * np.log(a) + (1 - truth) * np.log(1 - a))


tiny = 1e-6
assert np.isclose(dw1, (loss_at(w1 + tiny, w2, b) - loss_at(w1 - tiny, w2, b)) / (2 * tiny))
assert np.isclose(dw2, (loss_at(w1, w2 + tiny, b) - loss_at(w1, w2 - tiny, b)) / (2 * tiny))
assert np.isclose(db, (loss_at(w1, w2, b + tiny) - loss_at(w1, w2, b - tiny)) / (2 * tiny))

nodes = {  # where it is drawn, what it computes, the derivative of the loss with respect to it
    "w1": (1, 6, f"$w_1$ = {w1:g}", f"$dw_1$ = {dw1:.3f}"),
    "w2": (3, 6, f"$w_2$ = {w2:g}", f"$dw_2$ = {dw2:.3f}"),
    "b": (5, 6, f"$b$ = {b:g}", f"$db$ = {db:.3f}"),
    "z": (3, 4, f"$z = w_1x_1 + w_2x_2 + b$ = {z:.3f}", f"$dz$ = {dz:.3f}"),
    "a": (3, 2, rf"$a = \sigma(z)$ = {a:.3f}", f"$da$ = {da:.3f}"),
    "L": (3, 0, rf"$\mathcal{{L}}(a, {truth:g})$ = {loss:.3f}", "1"),
}
figure, ax = plt.subplots(figsize=(6, 5.4), layout="constrained")
for x, row, forward, backward in nodes.values():
    width = 1.6 if row == 6 else 3.6
    corner = (x - width / 2, row - 0.6)
    ax.add_patch(FancyBboxPatch(corner, width, 1.2, boxstyle="round,pad=0.05", fc="#eef3fa"))
    ax.text(x, row, forward, ha="center", va="bottom")
    ax.text(x, row - 0.1, backward, ha="center", va="top", color="tab:red")
for start, stop in (("w1", "z"), ("w2", "z"), ("b", "z"), ("z", "a"), ("a", "L")):
    tail = (nodes[start][0], nodes[start][1] - 0.7)
    head = (nodes[stop][0], nodes[stop][1] + 0.7)
    ax.annotate("", head, tail, arrowprops={"arrowstyle": "-|>", "color": "grey"})
ax.set(xlim=(0, 6), ylim=(-0.7, 6.7))
ax.axis("off")

# %%
# Many examples: a loop, and one product
# --------------------------------------
# :math:`J` is the mean loss of :math:`m` examples, so its gradient is the mean of theirs. A loop
# over examples and features says it as the lecture does first:


def gradient_in_a_loop(X, y, w, b):
    """Return dw and db, one example and one feature after the other."""
    m, n = X.shape
    dw, db = [0.0] * n, 0.0
    for i in range(m):
        z = b
        for j in range(n):
            z += w[j] * X[i, j]
        dz = 1 / (1 + np.exp(-z)) - y[i]
        for j in range(n):
            dw[j] += X[i, j] * dz / m
        db += dz / m
    return np.array(dw), db


# %%
# Vectorised, the loops are products of matrices, here with one example a row:
# :math:`dZ = (A - Y)/m`, :math:`dW = X^T dZ`, :math:`db = \sum dZ`.


def gradient_vectorised(X, y, w, b):
    """Return dw and db by products of matrices."""
    dZ = (1 / (1 + np.exp(-(X @ w + b))) - y) / len(X)
    return X.T @ dZ, dZ.sum()


# %%
# The network of this package does the same, and all three give the same numbers.


def gradient_of_the_network(X, y, w, b):
    """Return dw and db as `DeepBinaryClassifier` computes them."""
    network = Network((X.shape[1], 1), [])
    network.load([w[:, None]], [[b]])
    with_ones = torch.from_numpy(np.column_stack([X, np.ones(len(X))])).T  # an example a column
    weight = torch.full((1, len(X)), 1 / len(X), dtype=torch.float64)
    network.propagate(with_ones, torch.from_numpy(y[None]), weight, LOSSES["log_loss"])
    return network.dW[1][0].numpy(), network.db[1].item()


rng = np.random.default_rng(0)
X_many, y_many = rng.normal(size=(2000, 100)), rng.integers(0, 2, 2000).astype(float)
w, b = rng.normal(size=100) / 10, 0.1

seconds, gradients = {}, {}
for compute in (gradient_in_a_loop, gradient_vectorised, gradient_of_the_network):
    name = compute.__name__.removeprefix("gradient_").replace("_", " ")
    times = []
    for _ in range(1 if compute is gradient_in_a_loop else 20):
        start = perf_counter()
        gradients[name] = compute(X_many, y_many, w, b)
        times.append(perf_counter() - start)
    seconds[name] = min(times)

for dw, db in gradients.values():
    np.testing.assert_allclose(dw, gradients["in a loop"][0], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(db, gradients["in a loop"][1], rtol=1e-9)

# %%
# The loop is the same arithmetic, at the pace of Python. (The network's time includes making it,
# which training does once.)

figure, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
bars = ax.barh(list(seconds), [1000 * s for s in seconds.values()], color="tab:blue")
ax.bar_label(bars, fmt="%.3g ms", padding=4)
ax.set(xscale="log", xlabel="ms (log scale)", title="2000 examples of 100 features")
ax.margins(x=0.3)
ax.invert_yaxis()
plt.show()
