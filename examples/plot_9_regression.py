r"""Real numbers, the linear output
================================

A hidden layer must not be linear: linear layers on top of each other are one linear layer. The last
one may be, where the answer is no probability but a real number of either sign,

.. math:: \hat y = Z^{[L]}.

``DeepRegressor`` is the network that ends so.
"""

# sphinx_gallery_thumbnail_number = 4

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_score

from skdnn import DeepRegressor, NetworkDisplay
from skdnn.network import LINEAR_LOSSES, LOSSES

# %%
# Why a sigmoid could not
# -----------------------
# Degrees above and below zero over a year, with the noise of the days. A sigmoid answers between 0
# and 1, so the best it could ever say is the nearest of these.

rng = np.random.default_rng(0)
day = rng.uniform(0, 365, size=600)
X = day[:, None]
degrees = 8 - 12 * np.cos(2 * np.pi * day / 365) + 3 * np.sin(6 * np.pi * day / 365)
y = degrees + rng.normal(scale=2.5, size=600)
print(f"{(y < 0).mean():.0%} of the days are below zero, {(y > 1).mean():.0%} above one")

nearest = np.clip(y, 0, 1)
print(f"R² of the best answers between 0 and 1: {r2_score(y, nearest):.2f}")
assert r2_score(y, nearest) < 0

figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
ax.plot(day, y, ".", color="grey", markersize=4)
ax.axhspan(0, 1, color="tab:red", alpha=0.6, label="what a sigmoid can answer")
ax.set(xlabel="day", ylabel="degrees")
ax.legend()

# %%
# The same network with a linear end
# ----------------------------------
# Nothing else changes: the layers below, forward and backward propagation, gradient descent. y is
# standardised inside, and the last layer takes its units on itself, so that any unit will do. (Of
# its 17 inputs one is the day, and 16 say how far it is through each sixteenth of the days.)

reg = DeepRegressor(max_iter=200, random_state=0).fit(X, y)
NetworkDisplay.from_estimator(reg, max_units=5)
answers = reg.predict(X)
print(f"R² {reg.score(X, y):.2f}, answers from {answers.min():.1f} to {answers.max():.1f}")
assert reg.score(X, y) > 0.9

# %%
# Linear all the way is a line
# ----------------------------
# With ``activation="identity"`` in the hidden layers, too, depth gains nothing: three layers find
# the line that one finds, and scikit-learn's LinearRegression.

days = np.linspace(0, 365, 200)[:, None]
line = LinearRegression().fit(X, y)
exact = {"optimizer": "lbfgs", "weight_decay": 0.0, "max_iter": 2000, "tol": 1e-9}
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(day, y, ".", color="lightgrey", markersize=4)
for n_layers in (1, 3):
    linear = DeepRegressor(n_layers, activation="identity", standardize=True, **exact)
    linear.set_params(random_state=0).fit(X, y)
    assert np.allclose(linear.predict(days), line.predict(days), atol=1e-3)
    ax.plot(days, linear.predict(days), label=f"linear, L = {n_layers}", lw=4 / n_layers)
ax.plot(days, reg.predict(days), label="ReLU, L = 3")
ax.set(xlabel="day", ylabel="degrees")
ax.legend()

# %%
# Two links, one gradient
# -----------------------
# With one layer both faces are generalised linear models: the sigmoid belongs to yes or no and the
# cross-entropy, the identity to numbers and the squared error. In each pair the derivative of the
# loss with respect to :math:`Z` is what the lecture ends at, :math:`\hat y - y`, so that backward
# propagation starts the same.

Z = torch.linspace(-4, 4, 9, dtype=torch.float64)[None]  # 1 × m
truth = torch.ones_like(Z)
entropy = LOSSES["log_loss"].derivative(Z, truth, torch.empty_like(Z))
squared = LINEAR_LOSSES["squared_error"].derivative(Z, truth, torch.empty_like(Z))
assert torch.allclose(entropy, torch.sigmoid(Z) - truth)
assert torch.allclose(squared, Z - truth)

# %%
# And the numbers are those of linear regression, on ten features of 442 patients.

X_real, y_real = load_diabetes(return_X_y=True)
ours = DeepRegressor(n_layers=1, standardize=True, **exact).fit(X_real, y_real)
theirs = LinearRegression().fit(X_real, y_real)
w = ours.coefs_[0][:, 0] * ours.input_encoding_["inverse_scale"]  # of X that is not standardised
assert np.allclose(w, theirs.coef_, rtol=1e-4)
print("first weights", w[:3].round(3), "here,", theirs.coef_[:3].round(3), "there")
score = cross_val_score(DeepRegressor(n_networks=5, random_state=0), X_real, y_real).mean()
print(f"five networks of three layers, cross-validated: R² {score:.2f}")

# %%
# Not the mean but a bound
# ------------------------
# The squared error asks for the mean. ``loss="quantile"`` asks for the number that a share of the
# days stays below: two networks make a band that holds eight days of ten.

band = [
    DeepRegressor(loss="quantile", quantile=q, max_iter=200, random_state=0).fit(X, y)
    for q in (0.1, 0.9)
]
low, high = (each.predict(X) for each in band)
inside = ((low < y) & (y < high)).mean()
print(f"{inside:.0%} of the days are inside")
assert 0.7 < inside < 0.9

figure, ax = plt.subplots(figsize=(6, 4.2), layout="constrained")
ax.plot(day, y, ".", color="grey", markersize=4)
edges = (each.predict(days) for each in band)
ax.fill_between(days[:, 0], *edges, alpha=0.3, label="eight days of ten")
ax.plot(days, reg.predict(days), label="the mean")
ax.set(xlabel="day", ylabel="degrees")
ax.legend()
plt.show()
