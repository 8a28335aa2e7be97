r"""What does it look at?
=====================

A network of thousands of weights can be asked from outside. Permutation importance tells how much
worse it answers without a column, partial dependence how its answer changes with the values of one.
Both are scikit-learn's, and take frames with text and missing values. Both are about the model:
where that is wrong, so are they.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.inspection import PartialDependenceDisplay, partial_dependence, permutation_importance
from sklearn.metrics import log_loss

from skdnn import DeepBinaryClassifier

# %%
# Is the ice cream sold out?
# --------------------------
# Afternoons at an ice cream stand, made up so that it is known what there is to find. Heat sells,
# but not in rain; so does a day off; the wind and who stands behind the counter do nothing. Now and
# then the thermometer fails, or nobody wrote down what the sky was like.


def log_odds(X):
    """Return the logit that an afternoon was drawn with."""
    heat = np.where(X["sky"] == "rain", -1.0, 0.35 * (X["degrees"] - 22))
    return heat + X["day"].map({"work": -0.5, "weekend": 1.0, "holiday": 2.0})


def afternoons(n, seed):
    """Return a frame, and whether all was sold."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "degrees": rng.normal(22, 6, size=n).round(1),
            "sky": rng.choice(["clear", "clouds", "rain"], size=n),
            "day": rng.choice(["work", "weekend", "holiday"], size=n, p=[0.66, 0.28, 0.06]),
            "wind": rng.gamma(3, 5, size=n).round(1),
            "seller": rng.choice(["Ada", "Ben", "Cem", "Dora"], size=n),
        }
    )
    is_sold_out = rng.uniform(size=n) < 1 / (1 + np.exp(-log_odds(X)))
    X.loc[rng.uniform(size=n) < 0.1, "degrees"] = np.nan
    X.loc[rng.uniform(size=n) < 0.05, "sky"] = None
    return X, is_sold_out


X, y = afternoons(2_000, seed=0)
X_test, y_test = afternoons(2_000, seed=1)
clf = DeepBinaryClassifier(n_networks=5, random_state=0).fit(X, y)
print(X.head(4).to_string(index=False))
print(f"\nlog-loss {log_loss(y_test, clf.predict_proba(X_test)):.3f} on afternoons not seen")

# %%
# Which columns matter?
# ---------------------
# A column is shuffled, so that it says nothing of its row any more, and log-loss rises by what the
# model had from it; ten shuffles tell a difference from chance. This takes rows that the model has
# not seen: of those in training it may know by heart what holds nowhere else. (Of two columns that
# say the same, each seems to matter little, since there is the other.)

importance = permutation_importance(
    clf, X_test, y_test, scoring="neg_log_loss", n_repeats=10, random_state=0
)
order = np.argsort(importance.importances_mean)
names, rise = X.columns[order], importance.importances_mean[order]
figure, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
ax.barh(names, rise, xerr=importance.importances_std[order])
ax.set(xlabel="log-loss more where the column is shuffled")
assert set(names[:2]) == {"wind", "seller"}
assert rise[1] < rise[2] / 5

# %%
# What do their values do?
# ------------------------
# All rows are given the same value in one column, and the mean of the answers is drawn; then the
# next value. scikit-learn takes these values from the quantiles of a column, or from its sorted
# categories if it is named in ``categorical_features``, and can do neither where some are missing.
# So it gets the rows without missing values. Integers, too, it wants to be floats.

known = X_test.dropna()
text = ["sky", "day", "seller"]
figure, axes = plt.subplots(1, 3, figsize=(6, 3.8), layout="constrained", sharey=True)
PartialDependenceDisplay.from_estimator(
    clf, known, ["degrees", "sky", "day"], categorical_features=text, ax=axes
)
for ax in axes:
    ax.set(ylim=(0, 0.8), ylabel="")
figure.suptitle("probability that all is sold", fontsize="medium")

# %%
# What a mean hides
# -----------------
# With a line for each row (ICE, individual conditional expectation) the curve of ``degrees`` falls
# apart into two: in rain heat does next to nothing. The dashed lines are what the afternoons were
# drawn with. What one answer rests on, column by column, SHAP tells: the guide has its recipe,
# :doc:`/guide/explaining`.

found = partial_dependence(clf, known, ["degrees"], kind="individual", grid_resolution=30)
degrees, lines = found["grid_values"][0], found["individual"][0]
rains = (known["sky"] == "rain").to_numpy()
truth = np.stack([1 / (1 + np.exp(-log_odds(known.assign(degrees=value)))) for value in degrees])
figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
for name, rows, colour in (("dry", ~rains, "tab:orange"), ("rain", rains, "tab:blue")):
    ax.plot(degrees, lines[rows][:40].T, color=colour, lw=0.5, alpha=0.5)
    ax.plot(degrees, lines[rows].mean(axis=0), color=colour, lw=3, label=f"{name}, the model")
    ax.plot(degrees, truth[:, rows].mean(axis=1), "k--", label=f"{name}, the truth")
ax.set(xlabel="degrees", ylabel="probability that all is sold")
ax.legend()

rise = lines[:, -1] - lines[:, 0]
print(f"from {degrees[0]:.0f} to {degrees[-1]:.0f} degrees the probability rises by", end=" ")
print(f"{rise[~rains].mean():.2f} where it is dry, by {rise[rains].mean():.2f} in rain")
assert rise[~rains].mean() > 2 * abs(rise[rains].mean())
plt.show()
