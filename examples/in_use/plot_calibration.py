r"""Are the probabilities right?
============================

Of all days for which 30 % rain was forecast, it should have rained on 30 %. A classifier whose
probabilities keep what they promise is called calibrated. That is more than to be right often: a
threshold from costs, or an expected loss, can be reckoned with such probabilities alone.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier

# %%
# Rows whose probabilities are known
# ----------------------------------
# Ten numbers, of which four say how likely a yes is, and a draw. To make rows up has an advantage
# here: nobody can answer better than with the probabilities that they were drawn with, and there
# are as many test rows as it takes to see small differences.


def draw(n, seed):
    """Return X, y, and the probabilities with which y was drawn."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 10))
    z = 1.5 * np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + np.abs(X[:, 3]) - 2
    probability = 1 / (1 + np.exp(-z))
    return X, rng.uniform(size=n) < probability, probability


X, y, _ = draw(2_000, seed=0)
X_test, y_test, truth = draw(20_000, seed=1)
print(f"{y.mean():.0%} of the labels are yes")

# %%
# Two numbers to judge by
# -----------------------
# Log-loss is the cross-entropy, the Brier score the mean of :math:`(\hat y - y)^2`. Both are lowest
# for the probabilities that are right, but they also fall where a model tells yes from no better.
# How well it does that alone says ROC AUC, which only knows the order of the rows.


HEAD = f"{'':34}   log-loss      Brier    ROC AUC"


def judge(name, P):
    """Print a line of the table, and return the log-loss."""
    scores = (score(y_test, P) for score in (log_loss, brier_score_loss, roc_auc_score))
    print(f"{name:34}", *(f"{score:10.3f}" for score in scores))
    return log_loss(y_test, P)


# MLPClassifier would like more than its 200 epochs; they would make it surer of itself still.
warnings.simplefilter("ignore", ConvergenceWarning)
one = DeepBinaryClassifier(random_state=0)
models = {
    "MLPClassifier": make_pipeline(StandardScaler(), MLPClassifier(random_state=0)),
    "one network": one,
    "one network, calibrated": CalibratedClassifierCV(one, ensemble=False),
    "five networks": DeepBinaryClassifier(n_networks=5, random_state=0),
}
P = {name: model.fit(X, y).predict_proba(X_test)[:, 1] for name, model in models.items()}
print(HEAD)
loss = {name: judge(name, answers) for name, answers in P.items()}
lowest = judge("what the labels were drawn with", truth)
for name in ("one network, calibrated", "five networks"):
    assert lowest < loss[name] < loss["one network"]

# %%
# On the diagonal, as many are yes as the model says. A network that trains on all rows until it is
# done is too sure of itself, here and in MLPClassifier: where it says much it is less, and where it
# says little it is more. Of five networks each stopped by rows that it had not seen, and they err
# in different directions: their mean is right.


def draw_curves(names, ax):
    """Draw how often it was yes over what the model said, ten groups of as many rows."""
    for name in names:
        CalibrationDisplay.from_predictions(
            y_test, P[name], n_bins=10, strategy="quantile", name=name, ax=ax
        )
    ax.set(xlabel="what the model says", ylabel="", aspect="equal")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), fontsize="small", frameon=False)


figure, ax = plt.subplots(figsize=(5, 4.5), layout="constrained")
draw_curves(models, ax)
ax.set_ylabel("share of yes")
ax.legend(loc="lower right", fontsize="small")

# %%
# Calibrated afterwards
# ---------------------
# ``CalibratedClassifierCV`` learns a sigmoid over the logits, from rows held out fold by fold,
# which changes the probabilities but not the order of the rows. To one network it gave what it
# lacked, for five more fits. Five networks cost less and are right without. Where they are not is
# where they were told of other shares than there are, by ``class_weight="balanced"``: every yes
# seems likelier than it is. A model that is fitted already is frozen, and calibrated on other rows.

X_other, y_other, _ = draw(1_000, seed=2)
balanced = DeepBinaryClassifier(n_networks=5, class_weight="balanced", random_state=0).fit(X, y)
gain = {}
print(HEAD)
for name, model in {"five networks": models["five networks"], "balanced": balanced}.items():
    mended = CalibratedClassifierCV(FrozenEstimator(model)).fit(X_other, y_other)
    pair = {name: model, f"{name}, calibrated": mended}
    P |= {name: model.predict_proba(X_test)[:, 1] for name, model in pair.items()}
    before, after = (judge(name, P[name]) for name in pair)
    gain[name] = before - after
assert abs(gain["five networks"]) < 0.01 < gain["balanced"]

figure, axes = plt.subplots(1, 2, figsize=(6, 4), layout="constrained")
draw_curves(["five networks", "five networks, calibrated"], axes[0])
draw_curves(["balanced", "balanced, calibrated"], axes[1])
axes[0].set_ylabel("share of yes")
plt.show()
