"""Flower or no flower
======================

The main job of this package from end to end: photographs become vectors, a deep network learns to
answer "flower" or "no flower", simpler models stand beside it, and the model is used again in a
fresh process. Without an argument it works on the two photographs that ship with scikit-learn, a
Chinese temple and a dahlia. It takes photographs of your own as well::

    python plot_6_flower.py --photos FOLDER       # two sub-folders, one for each class
    python plot_6_flower.py --photos FILE.npz     # images X of shape (m, h, w, 3) and labels y

Pictures, model and one photograph are written to ``flower_output`` (or ``--output``). The program
prints the name of each file and what it shows.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import joblib
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier, ImageVectorizer, LossCurveDisplay

plt.rcParams.update({"font.size": 12, "figure.constrained_layout.use": True})

# %%
# Patches
# -------
# Two photographs are not much, so they are cut into patches of 40 rows and 60 columns, one every 20
# pixels. Neighbours overlap, and a test patch must not be half known from training. So each
# photograph, 427 × 640 pixels, is divided into blocks of 140 × 160, and no patch crosses a border.
# The second column of blocks is the test: half of the temple, half of the dahlia.

rows = [row for row in range(0, 388, 20) if row // 140 == (row + 39) // 140]
columns = [column for column in range(0, 581, 20) if column // 160 == (column + 59) // 160]
corners = np.array([(row, column) for row in rows for column in columns])
block = 4 * (corners[:, 0] // 140) + corners[:, 1] // 160  # numbered row by row, 0 to 11


def cut_patches(photo, corners):
    """Return the patches (m, 40, 60, 3) whose upper left corners these are."""
    return np.stack([photo[row : row + 40, column : column + 60] for row, column in corners])


# %%
# Labels
# ------
# Nobody labelled these patches, so a rule does. A pixel has the colour of the petals if its red is
# bright and above its green and blue. A patch of the dahlia's photograph shows the flower if more
# than half of its pixels are so, and does not if less than a fifth are; those in between are left
# out. The temple is no flower, whatever its colours: its orange roof tiles are the hard cases.
#
# So colour gives most labels away, and the numbers flatter. Photographs that people have labelled
# (``--photos``) are the honest test; :doc:`/guide/photographs` has more on them.


def label_patches(patches):
    """Return the labels of patches of the dahlia's photograph."""
    red, green, blue = np.moveaxis(patches, -1, 0)
    is_petal = (red > 128) & (green < 0.9 * red) & (blue < 0.7 * red)
    share = is_petal.mean(axis=(1, 2))
    return np.select([share > 0.5, share < 0.2], ["flower", "no flower"], "left out")


# %%
# The photographs of this run
# ---------------------------
# Photographs of your own have the names of their sub-folders as labels; a quarter of them, drawn at
# random, is the test. Groups are what cross-validation must keep together: patches of one block.


def list_photos(path):
    """Return photographs, or the files that they are in, and their labels."""
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            images, y = arrays["X"], arrays["y"]
    else:
        endings = Image.registered_extensions()
        images = [file for file in sorted(path.glob("*/*")) if file.suffix.lower() in endings]
        y = np.array([file.parent.name for file in images])
    names = np.unique(y).tolist()
    if len(names) != 2:
        sys.exit(f"--photos must lead to photographs of two classes, got {names} in {path}")
    return images, y


parser = argparse.ArgumentParser(description="Flower or no flower?")
parser.add_argument("--photos", type=Path, help="folder with two sub-folders, or .npz file")
parser.add_argument("--output", type=Path, default=Path("flower_output"), help="folder")
# A notebook has no file and no command line of its own.
options = parser.parse_args(sys.argv[1:] if "__file__" in globals() else [])

if options.photos:
    size = (32, 32)
    images, y = list_photos(options.photos)
    groups = np.arange(len(y))
    train, test = train_test_split(groups, stratify=y, random_state=0)
else:
    size = (60, 40)
    photos = load_sample_images().images  # a temple and a dahlia
    temple, dahlia = (cut_patches(photo, corners) for photo in photos)
    images = np.concatenate([temple, dahlia])
    y = np.concatenate([np.full(len(temple), "no flower"), label_patches(dahlia)])
    groups = np.concatenate([block, 12 + block])
    in_second_column, is_used = groups % 4 == 1, y != "left out"
    train = np.flatnonzero(is_used & ~in_second_column)
    test = np.flatnonzero(is_used & in_second_column)

names = np.unique(y[train]).tolist()
positive = "flower" if "flower" in names else names[1]  # the class whose probability is shown
column_of_positive = names.index(positive)
what = "photographs" if options.photos else "overlapping patches of two photographs"
for part, which in (("training", train), ("test", test)):
    print(f"{part}: {len(which)} {what}, {sum(y[which] == positive)} of class {positive!r}")

# %%
# On the bundled photographs, the label of the patch around each point. The test is in the frame.


def save(figure, name, shows):
    """Write a picture, and print its name and what it shows."""
    figure.savefig(options.output / name)
    print(f"{options.output / name}: {shows}")


def show_photo(axis, photo, title):
    """Show a photograph without ticks, the test in a frame."""
    axis.imshow(photo, cmap="gray")
    axis.axvspan(160, 320, fill=False, edgecolor="white", linewidth=3, label="frame: test patches")
    axis.set(xticks=[], yticks=[], title=title)
    axis.autoscale(False)


options.output.mkdir(parents=True, exist_ok=True)
if not options.photos:
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.8))
    titles = "temple: no flower anywhere", "dahlia: no point where left out"
    for axis, photo, labels, title in zip(axes, photos, np.split(y, 2), titles, strict=True):
        show_photo(axis, photo, title)
        for label, colour in (("flower", "#F0E442"), ("no flower", "#0072B2")):
            row, column = corners[labels == label].T
            axis.plot(column + 30, row + 20, "o", color=colour, mec="black", mew=0.5, label=label)
    figure.suptitle("Label of the patch of 60 × 40 pixels around each point")
    handles = axis.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, facecolor="silver")
    save(
        figure, "labels.png", "the label of the patch around each point; test patches in the frame"
    )

# %%
# Search
# ------
# Each photograph becomes a row of numbers, 60 × 40 × 3 = 7200 for a patch. Nothing is learned in
# that, so it is done once. How many layers, and which learning rate? Each pair is trained three
# times, each time scored by the log-loss of blocks that it has not seen. What a network holds out
# itself to see when to stop is drawn at random and overlaps with the rest: it decides nothing else.

vectorizer = ImageVectorizer(size=size)
X = vectorizer.fit_transform(images)
grid = {"n_layers": [1, 2, 3, 4], "learning_rate": [0.0003, 0.001]}
network = DeepBinaryClassifier(random_state=0)
folds = StratifiedGroupKFold(3)
search = GridSearchCV(network, grid, scoring="neg_log_loss", cv=folds, refit=False, verbose=1)
search.fit(X[train], y[train], groups=groups[train])
network.set_params(**search.best_params_)
print(f"log-loss {-search.best_score_:.3f} with {search.best_params_}")

# %%
# Table
# -----
# Always saying the more frequent class is what any model must beat. All learn from the same rows.

regression = LogisticRegression(C=0.001, max_iter=1000)  # thousands of pixels: a strong penalty
mlp = MLPClassifier(early_stopping=True, random_state=0)
models = {
    "the more frequent class": DummyClassifier(),
    "LogisticRegression": make_pipeline(StandardScaler(), regression),
    "MLPClassifier": make_pipeline(StandardScaler(), mlp),
    f"network, L = {network.n_layers}": network,
}
print(f"{'model':<26}{'ROC AUC':>8}{'accuracy':>10}{'log-loss':>10}{'fit seconds':>13}")
for name, model in models.items():
    start = perf_counter()
    model.fit(X[train], y[train])
    seconds = perf_counter() - start
    P = model.predict_proba(X[test])
    area = roc_auc_score(y[test] == positive, P[:, column_of_positive])
    accuracy, loss = model.score(X[test], y[test]), log_loss(y[test], P)
    print(f"{name:<26}{area:>8.3f}{accuracy:>10.3f}{loss:>10.3f}{seconds:>13.1f}")

# %%
# On the bundled photographs depth pays. The test patches overlap one another in two photographs,
# though, so a difference of 0.02 says nothing.
#
# The cost over the epochs, of which the best one is kept. Both curves may rise after it. The
# validation cost does so where the network overfits. The training cost is shown without the penalty
# on the weights (``weight_decay``), and training lowers the sum of both: once the cost is small, a
# smaller penalty is worth a higher cost.

display = LossCurveDisplay.from_estimator(network)
if network.validation_loss_curve_ is None:
    caption = "The training cost\nis shown without the weight penalty."
else:
    caption = (
        "After the best one the validation cost may\nrise by overfitting, and the training cost "
        "because training\nalso lowers the weight penalty, which is not shown."
    )
display.ax_.set_title(f"Cost in each epoch. {caption}", fontsize=10)
save(display.figure_, "training.png", f"the cost in each epoch. {' '.join(caption.split())}")

# %%
# What it answers
# ---------------
# On the bundled photographs, the probability of a flower in the patch around each point. Only what
# is in the frame is a test, since the network has learned from the rest.

if not options.photos:
    everywhere = [(row, column) for row in range(0, 388, 10) for column in range(0, 581, 10)]
    figure, axes = plt.subplots(1, 2, figsize=(8, 4.4))
    for axis, photo, title in zip(axes, photos, ("temple", "dahlia"), strict=True):
        show_photo(axis, photo.mean(axis=2), title)
        P = network.predict_proba(vectorizer.transform(cut_patches(photo, everywhere)))
        image = P[:, column_of_positive].reshape(39, 59)
        map_ = axis.imshow(image, extent=(25, 615, 405, 15), clim=(0, 1), alpha=0.5)
    figure.suptitle("Predicted for the patch around each point. In the frame: test patches")
    figure.colorbar(map_, ax=axes, label="probability of a flower", location="bottom", shrink=0.6)
    save(figure, "probabilities.png", "the probability of a flower in the patch around each point")

# %%
# Five photographs, or patches, of the test drawn at random, and below them the five whose
# probability is farthest from the label. The number is the probability, the frame says whether the
# more probable class is the label.

P = network.predict_proba(X[test])[:, column_of_positive]
distance = np.abs(P - (y[test] == positive))
drawn, hardest = np.random.default_rng(0).permutation(len(test)), np.argsort(-distance)
figure, axes = plt.subplots(2, 5, figsize=(8, 4), subplot_kw={"xticks": [], "yticks": []})
figure.suptitle(
    f"Test: probability of {positive!r}\ngreen frame: right class, orange frame and ✗: wrong class"
)
for axis, text in zip(axes[:, 0], ("at random", "farthest off"), strict=True):
    axis.set_ylabel(text)
for axis, k in zip(axes.flat, [*drawn[:5], *hardest[:5]], strict=False):
    colour, mark = ("#009E73", "") if distance[k] < 0.5 else ("#D55E00", " ✗")
    axis.imshow(vectorizer.inverse_transform(X[[test[k]]])[0])
    axis.set_title(f"{P[k]:.2f}{mark}", color=colour)
    axis.spines[:].set(color=colour, linewidth=4)
shows = (
    f"five of the test at random and the five farthest off, with the probability of {positive!r}"
)
save(figure, "photographs.png", shows)

# %%
# Pickle and a fresh process
# --------------------------
# Vectorizer and network are pickled as one pipeline: the other process needs that file and a
# photograph, and gives the same answer to the last bit.

ELSEWHERE = """
import joblib, sys
print(joblib.load(sys.argv[1]).predict_proba(sys.argv[2:]).tolist())
"""
model = make_pipeline(vectorizer, network)
model_file, photo_file = options.output / "flower_model.joblib", options.output / "test_photo.png"
joblib.dump(model, model_file)
Image.fromarray(vectorizer.inverse_transform(X[test[:1]])[0]).save(photo_file)
command = [sys.executable, "-c", ELSEWHERE, model_file, photo_file]
there = subprocess.check_output(command, encoding="utf-8").strip()
assert there == str(model.predict_proba([photo_file]).tolist()), "the predictions differ"
print(f"{model_file}: the model\n{photo_file}: the first of the test, {str(y[test[0]])!r}")
print(f"probabilities of {names} in a fresh process: {there}")
