"""Time a grid search: sequential fits, two processes, and one stack of networks.

    python benchmarks/parallel.py                 # all shapes, half an hour
    python benchmarks/parallel.py --shapes 0 1 --repeats 5

60 fits: three learning rates, one to four layers, five folds. Worker processes are "fresh" if the
search starts them, as in a script, and "warm" if an earlier search has started them; those of
MLPClassifier are warm. Each measurement runs in its own process after a warm-up fit, in turn, and
the median is reported. The largest data set is trained for a few epochs.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from contextlib import nullcontext
from statistics import median

from machine import print_machine, restart_without_kernel_variables
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

import skdnn

RATES, DEPTHS = [1e-3, 3e-3, 1e-2], [1, 2, 3, 4]
# Rows, features, units and other parameters that differ from the defaults.
SHAPES = [
    (1000, 20, 64, {"batch_size": 32}),
    (1000, 20, None, {}),
    (4000, 50, 128, {}),
    (20000, 50, 256, {"max_iter": 5}),
]
WAYS = ["sequential", "2 processes, fresh", "2 processes, warm", "together"]
PEER = "MLPClassifier, 2 processes"


def search_of(way, n_units, options):
    """Return the unfitted search."""
    n_jobs = 2 if "processes" in way else None
    if way != PEER:
        units = {} if n_units is None else {"n_units": n_units}
        clf = skdnn.DeepBinaryClassifier(random_state=0, **units, **options)
        grid = {"learning_rate": RATES, "n_layers": DEPTHS}
    else:
        clf = MLPClassifier(random_state=0, **options)
        layers = [(n_units or 100,) * (depth - 1) for depth in DEPTHS]
        grid = {"learning_rate_init": RATES, "hidden_layer_sizes": layers}
    return GridSearchCV(clf, grid, cv=5, n_jobs=n_jobs, refit=False)


def seconds(way, shape):
    """Return the time of one search in this process."""
    n_rows, n_features, n_units, options = SHAPES[shape]
    X, y = make_classification(n_rows, n_features, random_state=0)
    search = search_of(way, n_units, options)
    search.estimator.fit(X[:200], y[:200])
    if "warm" in way or way == PEER:
        search.fit(X[:200], y[:200])
    with skdnn.together() if way == "together" else nullcontext():
        start = time.perf_counter()
        search.fit(X, y)
        return time.perf_counter() - start


def measured(way, shape):
    """Return the time of one search in its own process."""
    command = [sys.executable, __file__, "--measure", json.dumps([way, shape])]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    ended = subprocess.run(
        command, env=environment, capture_output=True, encoding="utf-8", check=True
    )
    return json.loads(ended.stdout.splitlines()[-1])


def main():
    restart_without_kernel_variables()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", type=int, nargs="+", default=list(range(len(SHAPES))))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(seconds(*json.loads(options.measure))))
        return
    ways = [*WAYS, *([] if options.without_peer else [PEER])]
    print_machine()
    print("60 fits, in seconds\n")
    print(f"| rows × features | units | {' | '.join(ways)} |\n|{' --- |' * (2 + len(ways))}")
    for shape in options.shapes:
        times = {way: [] for way in ways}
        for _ in range(options.repeats):
            for way in ways:
                times[way].append(measured(way, shape))
        n_rows, n_features, n_units, changed = SHAPES[shape]
        given = "".join(
            f", {name.removesuffix('_size')} {value}" for name, value in changed.items()
        )
        numbers = [f"{median(each):.1f}" for each in times.values()]
        row = [f"{n_rows:,} × {n_features}", f"{n_units or 'default'}{given}", *numbers]
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
