r"""Logistic regression, the network with one layer
================================================

A network with one layer has one unit, which answers with the probability

.. math:: \hat y = \sigma(w^T x + b), \qquad \sigma(z) = \frac{1}{1 + e^{-z}}.

That is logistic regression, and it comes from the same class as every deeper network:
``DeepBinaryClassifier(n_layers=1)``.
"""

# sphinx_gallery_thumbnail_number = 1

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from skdnn import (
    ActivationDisplay,
    DecisionBoundariesDisplay,
    DeepBinaryClassifier,
    NetworkDisplay,
)
from skdnn.network import LOSSES, cost

# %%
# The unit
# --------
# Two numbers describe each tumour here, the mean radius and the mean texture of its cells. The unit
# weighs both, adds :math:`b`, and squeezes the sum :math:`z` between 0 and 1.

data = load_breast_cancer()
X = StandardScaler().fit_transform(data.data[:, :2])
y = data.target == 0  # malignant
m = len(y)
clf = DeepBinaryClassifier(
    n_layers=1, optimizer="lbfgs", weight_decay=1 / m, standardize=False, max_iter=200, tol=1e-8
)
clf.fit(X, y)

figure, axes = plt.subplots(1, 2, figsize=(6, 3.8), layout="constrained")
NetworkDisplay.from_estimator(clf, ax=axes[0])
ActivationDisplay.from_activation("sigmoid", limits=(-8, 8), ax=axes[1])

# %%
# Its probability, written out for the first tumour, is what ``predict_proba`` says.

w, b = clf.coefs_[0][:, 0], clf.intercepts_[0][0]
z = w @ X[0] + b
y_hat = 1 / (1 + np.exp(-z))
assert np.isclose(y_hat, clf.predict_proba(X[:1])[0, 1], rtol=1e-12)
print(f"w = ({w[0]:.3f}, {w[1]:.3f}), b = {b:.3f}, z = {z:.3f}, probability = {y_hat:.3f}")

# %%
# The cost of an answer
# ---------------------
# The loss of one example is :math:`-\log \hat y` where :math:`y = 1` and :math:`-\log(1 - \hat y)`
# where :math:`y = 0`, in one formula
#
# .. math:: \mathcal L(\hat y, y) = -\bigl(y \log \hat y + (1 - y) \log (1 - \hat y)\bigr).
#
# A right answer costs nothing, half and half costs :math:`\log 2`, and being surely wrong has no
# upper limit. The squared error :math:`(\hat y - y)^2 / 2` never costs more than a half.

Z = torch.linspace(-6, 6, 301, dtype=torch.float64)
answer = torch.sigmoid(Z)
figure, axes = plt.subplots(1, 2, figsize=(6, 3.2), sharey=True, layout="constrained")
for ax, truth in zip(axes, (1, 0), strict=True):
    labels = torch.full_like(Z, truth)
    ax.plot(answer, LOSSES["log_loss"].value(Z, labels), label="cross-entropy")
    ax.plot(answer, LOSSES["squared_error"].value(Z, labels), label="squared error")
    ax.set(title=f"y = {truth}", xlabel=r"answer $\hat y$")
axes[0].set_ylabel("loss")
axes[0].legend()
half = LOSSES["log_loss"].value(torch.tensor(0.0), torch.tensor(1.0))
assert np.isclose(half, np.log(2))

# %%
# Why not the squared error?
# --------------------------
# The cost :math:`J` is the mean loss of all examples. Take two examples, :math:`x = 1` with
# :math:`y = 1` and :math:`x = 10` with :math:`y = 0`, and a unit with one weight and no :math:`b`.
# Over that weight the cross-entropy is a valley, with one lowest point. The squared error has a
# hill: to the right of it the cost falls for ever, away from the lowest point.

x_two, y_two = torch.tensor([[1.0, 10.0]]).double(), torch.tensor([[1.0, 0.0]]).double()
weights = torch.linspace(-3, 5, 801, dtype=torch.float64)
logits = weights[:, None, None] * x_two  # one row of two logits for each weight
J = {name: cost(loss, logits, y_two, torch.ones(1, 2)) for name, loss in LOSSES.items()}

figure, axes = plt.subplots(1, 2, figsize=(6, 3.6), layout="constrained")
start = int(torch.searchsorted(weights, 2.0))
for ax, loss in zip(axes, LOSSES, strict=True):
    ax.plot(weights, J[loss])
    lowest = J[loss].argmin()
    ax.plot(weights[lowest], J[loss][lowest], "o", label="lowest point")
    ax.plot(weights[start], J[loss][start], "s", label="descent starts here, say")
    ax.set(title=loss, xlabel="$w$")
axes[0].set_ylabel("$J(w)$")
figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=2)

# %%
# A function is convex if its slope never falls. The cross-entropy's never does, the squared error's
# does, and at :math:`w = 2` gradient descent walks left on the one and right on the other.

slope = {loss: np.gradient(J[loss], weights) for loss in LOSSES}
assert np.diff(slope["log_loss"]).min() > -1e-12
assert np.diff(slope["squared_error"]).min() < -1e-3
assert slope["log_loss"][start] > 0 > slope["squared_error"][start]
for loss in LOSSES:
    print(f"{loss:13}  dJ/dw at w = 2: {slope[loss][start]:7.4f}")

# %%
# The same as scikit-learn's
# --------------------------
# The penalty :math:`\lambda/2 \sum w^2` beside the mean loss is scikit-learn's with
# :math:`C = 1 / (\lambda m)`. The numbers agree to four digits and more, for two features and for
# all thirty.

for columns in (2, 30):
    X = StandardScaler().fit_transform(data.data[:, :columns])
    ours = clf.fit(X, y)
    theirs = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(X, y)
    assert np.allclose(ours.coefs_[0].T, theirs.coef_, rtol=1e-4, atol=1e-5)
    assert np.allclose(ours.intercepts_[0], theirs.intercept_, rtol=1e-4)
    pair = [f"{W[0]:.4f} {W[1]:.4f}" for W in (ours.coefs_[0][:, 0], theirs.coef_[0])]
    print(f"{columns} features: first weights {pair[0]} here, {pair[1]} there")

# %%
# What one layer cannot do
# ------------------------
# Where :math:`w^T x + b = 0`, the answer is one half. With two features that is a line, and no
# :math:`w` and :math:`b` bend it. Hidden layers do.

X = X[:, :2]
models = {
    "DeepBinaryClassifier": clf.fit(X, y),
    "LogisticRegression": LogisticRegression().fit(X, y),
}
DecisionBoundariesDisplay.from_estimators(models, X, y)
plt.show()
