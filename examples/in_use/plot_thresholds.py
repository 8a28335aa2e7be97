r"""A threshold from costs
======================

``predict`` says yes where the probability is above one half, which is right where both mistakes
cost the same. Where they do not, another threshold costs less. scikit-learn looks for it with
``TunedThresholdClassifierCV``, and ``FixedThresholdClassifier`` takes the one that it is given.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import make_scorer
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV

from skdnn import DeepBinaryClassifier

# %%
# Who will leave?
# ---------------
# Customers of a telephone company, made up, so that the probability with which each leaves is known
# to compare with. The frame is as such frames are: with text, gaps, and a column that says nothing.


def customers(n, seed):
    """Return a frame, who of it leaves, and the probabilities with which that was drawn."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "months": rng.exponential(30, size=n).round(),
            "bill": rng.gamma(6, 10, size=n).round(2),
            "contract": rng.choice(["monthly", "one year", "two years"], size=n, p=[0.5, 0.3, 0.2]),
            "complaints": rng.poisson(0.6, size=n),
            "pays by": rng.choice(["card", "transfer", "debit"], size=n),
        }
    )
    is_bound = X["contract"].map({"monthly": 0, "one year": 1, "two years": 2.5})
    too_dear = np.where(X["contract"] == "monthly", (X["bill"] - 60) / 15, 0)
    z = 0.7 * X["complaints"] + too_dear - is_bound - X["months"] / 20 - 1
    probability = 1 / (1 + np.exp(-z.to_numpy()))
    leaves = rng.uniform(size=n) < probability
    X.loc[rng.uniform(size=n) < 0.1, "bill"] = np.nan
    X.loc[rng.uniform(size=n) < 0.2, "pays by"] = None
    return X, leaves, probability


X, y, _ = customers(2_000, seed=0)
X_test, y_test, probability = customers(20_000, seed=1)
print(X.head(3).to_string(index=False))
print(f"\n{y.mean():.0%} of {len(X)} leave")

# %%
# What a mistake costs
# --------------------
# A call with an offer costs 10, and who is called stays, let us say. Who leaves costs 100: to
# overlook one is as dear as ten calls.

CALL, LOSS = 10, 100


def cost(y, is_called):
    """Return what a customer costs on average."""
    return np.where(is_called, CALL, np.where(y, LOSS, 0)).mean()


print(f"nobody is called: {cost(y_test, False):.2f} for a customer")
print(f"all are: {cost(y_test, True):.2f}")

# %%
# The search
# ----------
# scikit-learn fits five times, on four fifths of the rows each, asks the fifth that is left what
# each threshold would have cost, and then fits on all rows. The frame goes in as it is.

clf = DeepBinaryClassifier(random_state=0)
scorer = make_scorer(cost, greater_is_better=False)
tuned = TunedThresholdClassifierCV(clf, scoring=scorer, store_cv_results=True).fit(X, y)
at_half = cost(y_test, tuned.estimator_.predict(X_test))
print(f"threshold 0.5: {at_half:.2f}")
print(f"threshold {tuned.best_threshold_:.3f}: {cost(y_test, tuned.predict(X_test)):.2f}")
assert cost(y_test, tuned.predict(X_test)) < 0.8 * at_half

# %%
# Without a search
# ----------------
# Five networks have done this work already. Each held out a fifth of the rows to see when to stop,
# and ``oob_proba_`` has the probabilities that they gave to those: of rows not seen, from one fit.

several = DeepBinaryClassifier(n_networks=5, random_state=0).fit(X, y)
thresholds = np.linspace(0.01, 0.6, 60)
out_of_fold = [cost(y, several.oob_proba_[:, 1] > threshold) for threshold in thresholds]
best = thresholds[np.argmin(out_of_fold)]
chosen = FixedThresholdClassifier(FrozenEstimator(several), threshold=best).fit(X, y)
print(f"threshold {best:.3f}, five networks: {cost(y_test, chosen.predict(X_test)):.2f}")

# %%
# Without any rows
# ----------------
# If the probabilities are right, arithmetic will do: a call is worth it where more is at stake than
# it costs, :math:`100\, \hat y > 10`.

by_hand = FixedThresholdClassifier(FrozenEstimator(several), threshold=CALL / LOSS).fit(X, y)
least = cost(y_test, probability > CALL / LOSS)
print(f"threshold {CALL / LOSS}, by hand: {cost(y_test, by_hand.predict(X_test)):.2f}")
print(f"the probabilities that the customers were drawn with: {least:.2f}")
for model in (chosen, by_hand):
    assert least < cost(y_test, model.predict(X_test)) < 1.2 * least

# %%
# A curve is flat where it is lowest, and among 2,000 rows it is a matter of chance where exactly
# that is. It matters little, since thresholds beside each other cost nearly the same. Arithmetic
# does not depend on chance, and is the better way where the probabilities can be relied on. Whether
# they can, :ref:`sphx_glr_gallery_in_use_plot_calibration.py` looks at.

P_test = several.predict_proba(X_test)[:, 1]
on_test = [cost(y_test, P_test > threshold) for threshold in thresholds]
searched = tuned.cv_results_
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(searched["thresholds"], -searched["scores"], label="TunedThresholdClassifierCV")
ax.plot(thresholds, out_of_fold, label="oob_proba_ of five networks")
ax.plot(thresholds, on_test, "k", label="the same networks, test rows")
for threshold, name in ((CALL / LOSS, "by hand"), (0.5, "predict")):
    ax.axvline(threshold, color="grey", ls=":")
    ax.text(threshold, 1.02, name, transform=ax.get_xaxis_transform(), ha="center")
ax.set(xlim=(0, 0.6), ylim=(5, 12), xlabel="threshold", ylabel="cost of a customer")
ax.legend()
plt.show()
