r"""Searching, checking, keeping
============================

How many layers, and which learning rate? scikit-learn's tools answer, since the network is an
estimator like any other: a pipeline, a grid search, cross-validation, and a file to keep the winner
in.
"""

# sphinx_gallery_thumbnail_number = 2

import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import skdnn
from skdnn import DeepBinaryClassifier, WeightImagesDisplay

# %%
# Even or odd?
# ------------
# Handwritten digits of 8 × 8 pixels, 64 numbers each, and a question that no single pixel answers.

digits = load_digits()
X, y = digits.data, digits.target % 2 == 0
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
print(f"{len(X_train)} digits to learn from, {len(X_test)} to test on, {y.mean():.0%} even")

figure, axes = plt.subplots(2, 7, figsize=(6, 2.5), layout="compressed")
for ax, pixels, even in zip(axes.flat, X_test, y_test, strict=False):
    ax.imshow(pixels.reshape(8, 8), cmap="gray_r")
    ax.set(title="even" if even else "odd", xticks=[], yticks=[])

# %%
# A grid of learning rates and depths
# -----------------------------------
# The pipeline is searched as a whole. Each of the 16 pairs is trained three times, each time scored
# by the log-loss of the third of the rows that it has not seen; the scorer is negated, so that
# higher is better. Pixels get no bins, so that each weight of the first layer is that of a pixel.
#
# Twelve of the 48 fits have one depth: ``with skdnn.together()`` they are trained as one stack, and
# each ends with what it would have reached alone.

clf = DeepBinaryClassifier(n_units=32, numeric_embedding=None, random_state=0)
model = make_pipeline(MinMaxScaler(), clf)
grid = {
    "deepbinaryclassifier__learning_rate": [0.001, 0.003, 0.01, 0.03],
    "deepbinaryclassifier__n_layers": [1, 2, 3, 5],
}
search = GridSearchCV(model, grid, scoring="neg_log_loss", cv=3)
with skdnn.together():
    search.fit(X_train, y_train)

rates, depths = grid.values()
log_loss = -search.cv_results_["mean_test_score"].reshape(len(rates), len(depths))
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.imshow(log_loss, cmap="viridis_r", norm="log", aspect="auto")
middle = np.sqrt(log_loss.min() * log_loss.max())
for (row, column), value in np.ndenumerate(log_loss):
    colour = "black" if value < middle else "white"
    weight = "bold" if value == log_loss.min() else "normal"
    ax.text(column, row, f"{value:.3f}", ha="center", va="center", color=colour, weight=weight)
ax.set_xticks(range(len(depths)), depths)
ax.set_yticks(range(len(rates)), rates)
ax.set(xlabel="L, n_layers", ylabel=r"$\alpha$, learning_rate", title="cross-validated log-loss")

# %%
# Logistic regression, the first column, cannot do it at any rate.

assert log_loss[:, 0].min() > 2 * log_loss[:, 1:].min()
print("best:", {name.split("__")[1]: value for name, value in search.best_params_.items()})

# %%
# How good is the winner?
# -----------------------
# The lowest of 16 numbers flatters. Two scores are honest: on the test rows, which the search never
# saw, and by a cross-validation around the whole search, which costs five searches, whose fits
# meet as well.

test_loss, accuracy = -search.score(X_test, y_test), search.best_estimator_.score(X_test, y_test)
print(f"test rows: log-loss {test_loss:.3f}, accuracy {accuracy:.1%}")
assert accuracy > 0.95

small = {name: values[1:3] for name, values in grid.items()}  # so that it takes seconds
inner_search = GridSearchCV(model, small, scoring="neg_log_loss", cv=3)
with skdnn.together():
    losses = -cross_val_score(inner_search, X, y, cv=5)
print(f"log-loss in five folds: {losses.mean():.3f} ± {losses.std():.3f}")

# %%
# What a unit looks for
# ---------------------
# The weights of a unit of the first layer are an image: bright pixels speak for its answer, dark
# ones against it, grey ones do not matter. Those of 32 units that share a question are hard to
# read. One unit with an easier question, whether a digit is a zero, wants ink in a ring and none
# inside.

clf = DeepBinaryClassifier(n_layers=1, numeric_embedding=None, weight_decay=0.1, random_state=0)
is_zero = digits.target == 0
one_unit = make_pipeline(MinMaxScaler(), clf).fit(X, is_zero)

figure, axes = plt.subplots(1, 2, figsize=(6, 3.2), layout="compressed")
axes[0].imshow(X[is_zero].mean(axis=0).reshape(8, 8), cmap="gray")
axes[0].set(title="mean of all zeros", xticks=[], yticks=[])
WeightImagesDisplay.from_estimator(one_unit, image_shape=(8, 8), ax=axes[1])
axes[1].set_title("weights of the unit")
W = clf.coefs_[0].reshape(8, 8)
assert W[3:5, 3:5].max() < 0 < W[3:5, [1, 2, 6]].min()

# %%
# Keeping it, and using it elsewhere
# ----------------------------------
# The pipeline is pickled, scaler and network together. Another process, which could be on another
# machine and without a GPU, loads it and gives the same probabilities to the last bit.

ELSEWHERE = """
import json, pickle, sys
model = pickle.load(open(sys.argv[1], "rb"))
print(json.dumps(model.predict_proba(json.load(sys.stdin)).tolist()))
"""

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "even_or_odd.pickle")
    file.write_bytes(pickle.dumps(search.best_estimator_))
    print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")
    answer = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, file],
        input=json.dumps(X_test[:10].tolist()),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
there = np.array(json.loads(answer.stdout))
here = search.predict_proba(X_test[:10])
assert np.array_equal(here, there)

figure, axes = plt.subplots(2, 5, figsize=(6, 3.3), layout="compressed")
for ax, pixels, probability in zip(axes.flat, X_test, there[:, 1], strict=False):
    ax.imshow(pixels.reshape(8, 8), cmap="gray_r")
    ax.set(title=f"{probability:.3f}", xticks=[], yticks=[])
figure.suptitle("probability of an even digit", fontsize="medium")
plt.show()
