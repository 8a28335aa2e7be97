"""Flower or no flower
======================

The main job of this package from end to end: photographs become vectors, a deep network learns to
answer "flower" or "no flower", simpler models stand beside it, and the fitted model is pickled and
used again in a fresh process.

Without an argument it works on the two photographs that ship with scikit-learn, a dahlia and a
Chinese temple. It takes photographs of your own as well::

    python plot_6_flower.py --photos FOLDER       # two sub-folders, one for each class
    python plot_6_flower.py --photos FILE.npz     # images X of shape (m, h, w, 3) and labels y

Pictures, model and a few photographs are written to ``flower_output`` (``--output`` names another
folder).
"""

import argparse
import json
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from time import perf_counter

import joblib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import rgb_to_hsv
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier, ImageVectorizer, LossCurveDisplay, WeightImagesDisplay

# %%
# Photographs
# -----------
# Two photographs are not much, so they are cut into overlapping patches, 40 rows high and 60
# columns wide, one every 20 pixels.

HEIGHT, WIDTH = 40, 60


def load_bundled_photographs():
    """Return the photographs that ship with scikit-learn, by name."""
    bundled = load_sample_images()
    return dict(zip([Path(file).stem for file in bundled.filenames], bundled.images, strict=True))


def cut_patches(photo, stride=20):
    """Return the patches, (m, 40, 60, 3), and where their upper left corners are, (m, 2)."""
    windows = sliding_window_view(photo, (HEIGHT, WIDTH), axis=(0, 1))[::stride, ::stride]
    corners = stride * np.indices(windows.shape[:2]).reshape(2, -1).T
    return np.moveaxis(windows, 2, -1).reshape(-1, HEIGHT, WIDTH, 3), corners


# %%
# Labels
# ------
# Nobody labelled these patches, so a rule does. A pixel of the flower photograph is petal-coloured
# if it is red to orange, not too grey and not too dark. A patch shows the flower if more than half
# of its pixels are petal-coloured, and does not if less than a fifth are; those in between are left
# out. The temple is no flower, whatever its colours: its orange roof tiles are petal-coloured, too,
# and they are the hard cases.
#
# So most labels come from colour, which the pixels give away: the task is easy, and its numbers
# flatter. Photographs that people have labelled (``--photos``) are the honest test.

FLOWER, NO_FLOWER, LEFT_OUT = "flower", "no flower", "left out"


def is_petal(pixels):
    """Return which pixels, levels (..., 3), have the colour of the petals."""
    hue, saturation, value = np.moveaxis(rgb_to_hsv(pixels / 255), -1, 0)
    red_to_orange = (hue < 0.12) | (hue > 0.97)  # of a circle that starts and ends in red
    return red_to_orange & (saturation > 0.3) & (value > 0.5)


def label_patches(name, images):
    """Return a label for each patch of a photograph."""
    share = is_petal(images).mean(axis=(1, 2)) if name == "flower" else np.zeros(len(images))
    return np.select([share > 0.5, share < 0.2], [FLOWER, NO_FLOWER], LEFT_OUT)


# %%
# Split by region
# ---------------
# Neighbouring patches share pixels. Drawn at random, the test patches would be half known from
# training. So each photograph is divided into 3 × 4 blocks, and a patch that straddles a border is
# dropped. The test region is one whole column of blocks: half of the flower, half of the temple.
# The blocks are also the groups of the cross-validation, so no two folds share a pixel either.
#
# The rows that early stopping holds out are drawn at random from the training patches and do
# overlap them, so their cost is too good; it only decides when to stop.

N_BLOCKS = np.array([3, 4])
TEST_COLUMN = {"flower": 2, "china": 1}

Patches = namedtuple("Patches", "images corners labels groups part")
Task = namedtuple("Task", "X_train y_train groups X_test y_test positive size")


def find_blocks(corners, shape):
    """Return the block of each patch as (row, column), -1 where it straddles a border."""
    opposite = corners + np.array([HEIGHT, WIDTH]) - 1
    first, last = (N_BLOCKS * pixels // shape[:2] for pixels in (corners, opposite))
    return np.where(first == last, first, -1)


def prepare_patches(name, photo):
    """Cut a photograph, label the patches and tell training from test."""
    images, corners = cut_patches(photo)
    labels, blocks = label_patches(name, images), find_blocks(corners, photo.shape)
    dropped = (blocks < 0).any(axis=1) | (labels == LEFT_OUT)
    in_test = blocks[:, 1] == TEST_COLUMN[name]
    part = np.select([dropped, in_test], ["dropped", "test"], "training")
    groups = [f"{name} {row} {column}" for row, column in blocks]
    return Patches(images, corners, labels, groups, part)


def make_patch_task(patches):
    """Join the patches of all photographs."""
    images, _, labels, groups, part = map(np.concatenate, zip(*patches, strict=True))
    training, test = part == "training", part == "test"
    known = images[training], labels[training], groups[training]
    return Task(*known, images[test], labels[test], FLOWER, (WIDTH, HEIGHT))


# %%
# Photographs of your own
# -----------------------
# A folder has two sub-folders, whose names are the labels. Its photographs are read once, at
# 96 × 96 pixels, since every fit goes through them; one that cannot be read is named in the error.
# A random quarter of the photographs is the test. The probability is that of the class
# "flower" or 1, if there is one, else of the last by name.


def read_folder(path):
    """Return the photographs of two sub-folders and, as labels, the names of these."""
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir())
    if len(folders) != 2:
        names = ", ".join(folder.name for folder in folders) or "none"
        sys.exit(f"{path} must have two sub-folders, one for each class, got {names}")
    files = [file for folder in folders for file in sorted(folder.iterdir())]
    files = [file for file in files if file.suffix.lower() in Image.registered_extensions()]
    return read_pixels(files, size=(96, 96)), np.array([file.parent.name for file in files])


def read_npz(path):
    """Return X and y of an .npz file."""
    if path.suffix != ".npz":
        sys.exit(f"--photos must be a folder or an .npz file, got {path}")
    with np.load(path) as arrays:
        return read_pixels(arrays["X"], size=None), arrays["y"]


def read_pixels(images, size):
    """Return images of any kind that ImageVectorizer takes as one array (m, h, w, 3) of bytes."""
    vectorizer = ImageVectorizer(size=size, scale=None, dtype="uint8")
    return vectorizer.inverse_transform(vectorizer.fit_transform(images))


def make_photo_task(path):
    """Read photographs and set a random quarter of them aside."""
    X, y = read_folder(path) if path.is_dir() else read_npz(path)
    names = np.unique(y).tolist()
    if len(names) != 2:
        sys.exit(f"{path} must hold photographs of two classes, got {len(names)}")
    positive = next((name for name in ("flower", 1) if name in names), names[1])
    split = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    X_train, X_test, y_train, y_test = split
    return Task(X_train, y_train, None, X_test, y_test, positive, (32, 32))


# %%
# The photographs of this run
# ---------------------------

parser = argparse.ArgumentParser(description="Flower or no flower?")
parser.add_argument("--photos", type=Path, help="folder with two sub-folders, or .npz file")
parser.add_argument("--output", type=Path, default=Path("flower_output"), help="folder")
# A notebook has no file and no command line of its own.
options = parser.parse_args(sys.argv[1:] if "__file__" in globals() else [])

photos = {} if options.photos else load_bundled_photographs()
patches = {name: prepare_patches(name, photo) for name, photo in photos.items()}
task = make_photo_task(options.photos) if options.photos else make_patch_task(patches.values())
options.output.mkdir(parents=True, exist_ok=True)
for part, y in (("training", task.y_train), ("test", task.y_test)):
    print(f"{part}: {len(y)} photographs, {sum(y == task.positive)} of class {task.positive!r}")

# %%
# On the bundled ones, the label of the patch around each point. The test region is framed.

# Okabe and Ito's colours, which also colour-blind readers can tell apart.
GREEN, RED, BLUE, PINK = "#009E73", "#D55E00", "#0072B2", "#CC79A7"


def show_photo(axis, name, photo):
    """Show a photograph without ticks, its test region framed."""
    height, width = photo.shape[:2]
    axis.imshow(photo, cmap="gray", extent=(0, width, height, 0))
    axis.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    left, right = width * (TEST_COLUMN[name] + np.array([0, 1])) / N_BLOCKS[1]
    axis.fill_between([left, right], 0, height, fc="none", ec="white", lw=3, zorder=3)
    axis.text((left + right) / 2, height + 6, "test region", ha="center", va="top")


def draw_labels(axis, name):
    """Mark the middle of every labelled patch on a photograph."""
    show_photo(axis, name, photos[name])
    _, corners, labels, _, part = patches[name]
    for label, colour in ((FLOWER, PINK), (NO_FLOWER, BLUE)):
        y, x = corners[(part != "dropped") & (labels == label)].T
        x, y = x + WIDTH / 2, y + HEIGHT / 2
        axis.plot(x, y, "o", color=colour, mec="white", mew=0.6, ms=5, label=label)


def save(figure, name):
    """Write a figure to the output folder."""
    figure.savefig(options.output / f"{name}.png", dpi=100)


if photos:
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for axis, name in zip(axes, photos, strict=True):
        draw_labels(axis, name)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    save(figure, "labels")

# %%
# Search
# ------
# ``ImageVectorizer`` turns each photograph into a row of numbers, 60 × 40 × 3 = 7200 for a patch,
# and the network takes it from there. The search begins with one layer, which is logistic
# regression. The deeper ones get what one gives any network with far more weights than photographs,
# dropout and held-out photographs that say when to stop; what is searched is learning rate × depth,
# by log-loss, with the blocks kept together.
#
# A tenth of a few hundred photographs says too little about when to stop. So below 500 there are
# five networks: each holds out another fifth, and their probabilities are averaged.

GRIDS = [
    {"network": [DeepBinaryClassifier(1, random_state=0)]},
    {"network__n_layers": [2, 3, 4], "network__learning_rate": [0.0003, 0.001]},
]


def make_model(last):
    """Return the pipeline from photographs to what stands last."""
    return Pipeline([("vectors", ImageVectorizer(size=task.size)), ("network", last)])


n_networks = 5 if len(task.y_train) < 500 else 1
deep = {"dropout": 0.3, "early_stopping": True, "batch_size": 200, "n_networks": n_networks}
network = make_model(DeepBinaryClassifier(**deep, random_state=0))
# Of a plain 3 scikit-learn makes stratified folds. verbose=2 prints a line for each fit.
folds = 3 if task.groups is None else StratifiedGroupKFold(3)
search = GridSearchCV(network, GRIDS, scoring="neg_log_loss", cv=folds, n_jobs=2, verbose=2)
search.fit(task.X_train, task.y_train, groups=task.groups)
model = search.best_estimator_
print("chosen:", model["network"])

# %%
# Table
# -----
# Always saying the more frequent class is what any model must beat. ``LogisticRegression`` and the
# network with L = 1 are the same model, penalised a little differently. All see the same training
# photographs; the seconds are those of one fit, vectors included.


def predict_positive(model, images):
    """Return the probability of the positive class."""
    return model.predict_proba(images)[:, list(model.classes_).index(task.positive)]


def fit_timed(model):
    """Return the fitted model, and the seconds it took."""
    start = perf_counter()
    return model.fit(task.X_train, task.y_train), perf_counter() - start


regression = LogisticRegression(C=0.001, max_iter=1000)  # thousands of pixels: a strong penalty
mlp = MLPClassifier(early_stopping=True, random_state=0)
rivals = {
    "the more frequent class": DummyClassifier(),
    "LogisticRegression": make_pipeline(StandardScaler(), regression),
    "MLPClassifier": make_pipeline(StandardScaler(), mlp),
    "network, L = 1": DeepBinaryClassifier(1, random_state=0),
}
fits = {name: fit_timed(make_model(rival)) for name, rival in rivals.items()}
fits[f"network, L = {model['network'].n_layers}"] = model, search.refit_time_
print(f"{'model':<32}{'ROC AUC':>8}{'accuracy':>10}{'log-loss':>10}{'fit seconds':>13}")
is_positive = task.y_test == task.positive
for name, (fitted, seconds) in fits.items():
    probability = predict_positive(fitted, task.X_test)
    scores = (
        f"{roc_auc_score(is_positive, probability):>8.3f}"
        f"{accuracy_score(task.y_test, fitted.predict(task.X_test)):>10.3f}"
        f"{log_loss(is_positive, probability):>10.3f}"
    )
    print(f"{name + ', chosen' * (fitted is model):<32}{scores}{seconds:>13.1f}")

# %%
# On the bundled photographs one layer equals ``LogisticRegression``, and both are far above always
# saying "no flower". A deeper network ranks the patches better (ROC AUC) but decides no better
# (accuracy): colour, from which the labels come, is nearly a weighted sum of pixels. And the 175
# test patches overlap one another in two half photographs, so a difference of 0.02 says nothing.

# %%
# How it learned
# --------------
# The cost of training and of held-out photographs, where there are some, and how well the
# probabilities tell the test photographs apart. Several networks do not stop together: their curve
# is the mean of those that still train, so it jumps.


def draw_histogram(axis):
    """Draw the probabilities of both classes."""
    probability = predict_positive(model, task.X_test)
    names = sorted(model.classes_, key=lambda name: name != task.positive)
    by_class = [probability[task.y_test == name] for name in names]
    axis.hist(by_class, bins=20, range=(0, 1), color=[PINK, BLUE], label=names)
    axis.set(title="Number of test photographs (log scale)", yscale="log")
    axis.set_xlabel(f"probability of class {task.positive!r}")
    axis.legend(loc="upper center")


figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
LossCurveDisplay.from_estimator(model, ax=axes[0])
draw_histogram(axes[1])
save(figure, "training")

# %%
# What the first layer looks for
# ------------------------------
# The weights of units of layer 1, each as a photograph: a unit answers most to patches that are
# bright where it is bright, in its colours. One layer has one unit, which shows them. In a deeper
# network nearly all is still the noise that the weights start from.

display = WeightImagesDisplay.from_estimator(model, max_units=16)
save(display.figure_, "weights")

# %%
# What it answers
# ---------------
# The probability of a flower in the patch around each point: a test in the framed column alone,
# since the network has seen the rest.


def draw_probability_map(axis, name, stride=10):
    """Lay the probability of a flower over a grey photograph."""
    show_photo(axis, name, photos[name].mean(axis=2))
    images, corners = cut_patches(photos[name], stride)
    rows, columns = corners[-1] // stride + 1
    left, top = (WIDTH - stride) / 2, (HEIGHT - stride) / 2
    return axis.imshow(
        predict_positive(model, images).reshape(rows, columns),
        extent=(left, left + stride * columns, top + stride * rows, top),
        cmap="viridis", vmin=0, vmax=1, alpha=0.5, interpolation="bilinear",
    )  # fmt: skip


if photos:
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
    for axis, name in zip(axes, photos, strict=True):
        image = draw_probability_map(axis, name)
    figure.colorbar(image, ax=axes, label="probability of a flower", shrink=0.8)
    save(figure, "probabilities")

# %%
# Test photographs drawn at random, as many of each class, in the order of their probability, framed
# by right and wrong.


def draw_sample(n):
    """Return rows of the test, drawn at random, as many of each class as can be."""
    rng = np.random.default_rng(0)
    positive = task.y_test == task.positive
    sides = [np.flatnonzero(side) for side in (positive, ~positive)]
    return np.concatenate([rng.choice(side, min(n // 2, len(side)), False) for side in sides])


rows = draw_sample(20)
probability = predict_positive(model, task.X_test[rows])
is_right = model.predict(task.X_test[rows]) == task.y_test[rows]
figure, axes = plt.subplots(2, 10, figsize=(11, 2.8), layout="constrained")
for axis, k in zip(axes.flat, np.argsort(-probability), strict=False):
    axis.imshow(task.X_test[rows[k]])
    colour, mark = (GREEN, "") if is_right[k] else (RED, " ✗")
    axis.spines[:].set(color=colour, linewidth=4)
    axis.set_title(f"{probability[k]:.2f}{mark}", color=colour, size=11)
for axis in axes.flat:
    axis.set(xticks=[], yticks=[])
for axis in axes.flat[len(rows) :]:
    axis.remove()
save(figure, "photographs")

# %%
# Pickle and a fresh process
# --------------------------
# The pipeline is pickled as a whole, so the other process needs the file and the photographs, and
# nothing else from here. PNG files keep every pixel, so its probabilities must be the same.

FRESH_PROCESS = """
import json, sys
import joblib
model = joblib.load(sys.argv[1])
print(json.dumps(model.predict_proba(sys.argv[2:]).tolist()))
"""

some = task.X_test[draw_sample(4)[:3]]
files = [options.output / f"test_photo_{k + 1}.png" for k in range(len(some))]
for file, photo in zip(files, some, strict=True):
    Image.fromarray(photo).save(file)
joblib.dump(model, options.output / "flower_model.joblib")
command = [sys.executable, "-c", FRESH_PROCESS, options.output / "flower_model.joblib", *files]
there = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
here = model.predict_proba(files).tolist()
print(f"probability of class {task.positive!r} here and in a fresh process:")
column = list(model.classes_).index(task.positive)
for file, *pair in zip(files, here, there, strict=True):
    print(file.name, *(f"{probabilities[column]:.6f}" for probabilities in pair), sep="  ")
assert here == there, "the pickled model predicts something else"
print(f"Pictures, model and photographs are in {options.output}")
