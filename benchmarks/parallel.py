"""How much faster a grid search is with two jobs than with one.

    python benchmarks/parallel.py

The search is over learning rate and depth, in processes, as scikit-learn does it. The first run
starts the workers and is not counted.
"""

import time
import warnings

import joblib
import torch
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from skdnn import DeepBinaryClassifier

GRID = {"learning_rate": [1e-3, 3e-3, 1e-2], "n_layers": [1, 2, 3, 4]}
N_REPEATS = 3


def seconds(n_jobs, X, y, n_units):
    """Return the time of one search."""
    start = time.perf_counter()
    clf = DeepBinaryClassifier(n_units=n_units, random_state=0)
    GridSearchCV(clf, GRID, cv=4, n_jobs=n_jobs, refit=False).fit(X, y)
    return time.perf_counter() - start


def main():
    print(f"{joblib.cpu_count()} cores, torch on {torch.get_num_threads()} threads")
    print("| rows | features | units | 1 job, s | 2 jobs, s | ratio |\n|---|---|---|---|---|---|")
    for n_samples, n_features, n_units in ((1000, 20, 64), (4000, 50, 128)):
        X, y = make_classification(n_samples, n_features, random_state=0)
        seconds(2, X[:100], y[:100], 4)
        alone, together = (
            min(seconds(n_jobs, X, y, n_units) for _ in range(N_REPEATS)) for n_jobs in (1, 2)
        )
        numbers = f"{alone:.1f} | {together:.1f} | {together / alone:.2f}"
        print(f"| {n_samples} | {n_features} | {n_units} | {numbers} |")


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    main()
