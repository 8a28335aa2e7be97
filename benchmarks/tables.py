"""What `accuracy.py` compares on: parquet files, photographs, tables that scikit-learn brings."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets

MOST_ROWS = 6_000
SIDE = 32  # of a photograph


@cache
def read_table(source):
    """Return X, y and groups (or None) of a file, or of what a function loads."""
    if not isinstance(source, Path):
        return *source(), None
    return (read_photographs if source.suffix == ".npz" else read_parquet)(source)


def read_parquet(path):
    """Return the features and the column ``__y__``, of at most so many rows drawn at random."""
    X = pd.read_parquet(path)
    if len(X) > MOST_ROWS:
        X = X.sample(MOST_ROWS, random_state=0)
    return X, X.pop("__y__").to_numpy(), None


def read_photographs(path):
    """Return photographs as rows of pixels, averaged to 32 × 32, and what they show."""
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


def _bundled(load, made_of_y):
    """Return a function that loads a table of scikit-learn, its target made what is asked for."""

    def table():
        X, y = load(return_X_y=True, as_frame=True)
        return X, made_of_y(y).to_numpy() * 1

    return table


OF_LABELS = {
    "breast_cancer": _bundled(datasets.load_breast_cancer, lambda y: y == 0),
    "diabetes": _bundled(datasets.load_diabetes, lambda y: y > y.median()),
    "digits": _bundled(datasets.load_digits, lambda y: y == 8),
    "iris": _bundled(datasets.load_iris, lambda y: y == 1),
    "wine": _bundled(datasets.load_wine, lambda y: y == 1),
}
OF_NUMBERS = {
    "diabetes": _bundled(datasets.load_diabetes, lambda y: y),
    "linnerud": _bundled(datasets.load_linnerud, lambda y: y["Weight"]),
}
