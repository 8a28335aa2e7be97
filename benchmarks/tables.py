"""The data of `accuracy.py`: Parquet files, photographs and data sets of scikit-learn."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets

MOST_ROWS = 6_000
SIDE = 32  # pixels of a photograph after averaging


@cache
def read_table(source):
    """Return X, y and groups (or None) from a file or a function."""
    if not isinstance(source, Path):
        return *source(), None
    return (read_photographs if source.suffix == ".npz" else read_parquet)(source)


def read_parquet(path):
    """Return the features and the column ``__y__`` of at most MOST_ROWS random rows."""
    X = pd.read_parquet(path)
    if len(X) > MOST_ROWS:
        X = X.sample(MOST_ROWS, random_state=0)
    return X, X.pop("__y__").to_numpy(), None


def read_photographs(path):
    """Return photographs as rows of pixels, averaged to 32 × 32, their labels and groups."""
    with np.load(path, allow_pickle=False) as file:
        X, y = file["X"].astype(np.float32), file["y"]
        groups = file.get("groups")
    n, height, width, planes = X.shape
    squares = X.reshape(n, SIDE, height // SIDE, SIDE, width // SIDE, planes)
    return squares.mean(axis=(2, 4)).transpose(0, 3, 1, 2).reshape(n, -1) / 255, y, groups


def find_files(folder):
    """Return the files of a folder by name, in alphabetical order."""
    paths = sorted([*folder.glob("*.parquet"), *folder.glob("*.npz")])
    return {path.stem: path for path in paths}


def _bundled(load, make_target):
    """Return a function that loads a data set of scikit-learn and transforms its target."""

    def table():
        X, y = load(return_X_y=True, as_frame=True)
        return X, make_target(y).to_numpy() * 1

    return table


CLASSIFICATION = {
    "breast_cancer": _bundled(datasets.load_breast_cancer, lambda y: y == 0),
    "diabetes": _bundled(datasets.load_diabetes, lambda y: y > y.median()),
    "digits": _bundled(datasets.load_digits, lambda y: y == 8),
    "iris": _bundled(datasets.load_iris, lambda y: y == 1),
    "wine": _bundled(datasets.load_wine, lambda y: y == 1),
}
REGRESSION = {
    "diabetes": _bundled(datasets.load_diabetes, lambda y: y),
    "linnerud": _bundled(datasets.load_linnerud, lambda y: y["Weight"]),
}


def _shape(n_columns, is_positive):
    """Return a function that draws numbers, and classes by a function of (X, noise)."""

    def table():
        rng = np.random.default_rng(0)
        X, noise = rng.normal(size=(4_000, n_columns)), rng.logistic(size=4_000)
        frame = pd.DataFrame(X).rename(columns=str)
        return frame, is_positive(X, noise).astype(int)

    return table


def _scattered(make, **parameters):
    """Return a function that draws a shape of scikit-learn."""

    def table():
        X, y = make(4_000, random_state=0, **parameters)
        return pd.DataFrame(X).rename(columns=str), y

    return table


SHAPES = {
    "circles": _scattered(datasets.make_circles, noise=0.15, factor=0.5),
    "moons": _scattered(datasets.make_moons, noise=0.25),
    "xor": _shape(2, lambda X, noise: X[:, 0] * X[:, 1] + noise / 10 > 0),
    "line": _shape(10, lambda X, noise: X @ np.linspace(1, 0, 10) + noise > 0),
    "rings": _shape(3, lambda X, noise: np.sin(3 * np.linalg.norm(X, axis=1)) + noise / 5 > 0),
    "waves": _shape(5, lambda X, noise: np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + noise / 2 > 0),
}
