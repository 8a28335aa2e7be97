"""Measure time and memory of a fit with each parameter changed, relative to the defaults.

    python benchmarks/parameters.py           # about four minutes
    python benchmarks/parameters.py --quick   # one repeat, no memory

Time
    A fit of 20 epochs on 4,000 rows of 20 numbers and 2 columns of categories without a validation
    set, relative to the defaults. Fits run in turn, and the fastest run of each counts.
Memory
    The peak of a fit of one epoch on 200,000 × 50 float32 numbers in its own process, minus the
    memory after importing the package and making the array.
"""

import argparse
import subprocess
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import speed
import torch

from skdnn import DeepBinaryClassifier

EPOCHS, ROWS = 20, 4_000
MEMORY_SHAPE = (200_000, 50)
ALL_EPOCHS = {"tol": 0.0, "n_iter_no_change": 10**6, "early_stopping": False}
CHECKPOINT = "a file"
CHANGES = {
    "defaults": [{}],
    "network": [
        *({"n_layers": n} for n in (1, 5)),
        *({"n_units": n} for n in (32, 256, 512)),
        *({"activation": name} for name in ("tanh", "gelu")),
        {"activation": torch.nn.Hardswish},
        {"dropout": 0.1},
    ],
    "training": [
        *({"optimizer": name} for name in ("adamw", "sgd", "lbfgs")),
        {"optimizer": torch.optim.NAdam},
        *({"batch_size": size} for size in (32, 512, None)),
        {"max_grad_norm": 1.0},
        {"weight_averaging": 0.99},
    ],
    "stopping": [
        {"early_stopping": True},
        {"early_stopping": True, "scoring": "roc_auc"},
        {"checkpoint": CHECKPOINT},
    ],
    "data": [
        {"numeric_embedding": None},
        {"standardize": False},
        {"standardize": "robust"},
        {"target_encoding": True},
    ],
    "running": [
        *({"n_networks": n} for n in (5, 10)),
        {"dtype": "float64"},
        {"n_threads": 1},
    ],
}


def make_frame():
    """Return a data frame of numbers and categories, some of them rare, and y."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.standard_normal((ROWS, 20), dtype=np.float32)).add_prefix("x")
    y = X["x0"] + X["x1"] * X["x2"] + rng.standard_normal(ROWS) > 0
    X["shop"] = np.char.add("s", rng.zipf(1.5, ROWS).clip(max=999).astype(str))
    X["kind"] = rng.choice(list("abcde"), ROWS)
    return X, y


def time_fit(X, y, change):
    """Return the seconds of a fit of all epochs."""
    with tempfile.TemporaryDirectory() as folder:
        return speed.time_calls(partial(make_classifier(change, EPOCHS, folder).fit, X, y))


def make_classifier(change, epochs, folder):
    """Return the estimator with a change, for a number of epochs."""
    if "checkpoint" in change:
        change = {"checkpoint": Path(folder, "fit")}
    return DeepBinaryClassifier(**{"max_iter": epochs, "random_state": 0, **ALL_EPOCHS, **change})


def measure_memory(name):
    """Return the MB of a fit in its own process."""
    command = [sys.executable, __file__, "--memory-child", name]
    run = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    return float(run.stdout)


def memory_child(name):
    """Print the peak MB of a fit without the array."""
    X = np.empty(MEMORY_SHAPE, dtype=np.float32)
    np.random.default_rng(0).standard_normal(out=X, dtype=np.float32)
    y = X[:, 0] > 0
    before = speed.resident_bytes("VmRSS")
    with tempfile.TemporaryDirectory() as folder:
        make_classifier(changes_by_name()[name], 1, folder).fit(X, y)
    print((speed.resident_bytes("VmHWM") - before) / speed.MB)


def changes_by_name():
    return {name_of(change): change for changes in CHANGES.values() for change in changes}


def name_of(change):
    """Return a change as keyword arguments."""
    values = {name: getattr(value, "__name__", repr(value)) for name, value in change.items()}
    return ", ".join(f"{name}={value}" for name, value in values.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one repeat, no memory")
    parser.add_argument("--memory-child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # ConvergenceWarning, expected here
    if arguments.memory_child is not None:
        return memory_child(arguments.memory_child)
    X, y = make_frame()
    timers = {name: partial(time_fit, X, y, each) for name, each in changes_by_name().items()}
    time_fit(X, y, {})  # warms up
    timing = speed.in_turn(timers, 1 if arguments.quick else 5)
    default = min(timing[""])
    print(f"Defaults: {default:.2f} s.\n")
    speed.print_row("of", "change", "time", "memory, MB")
    speed.print_row(*["---"] * 4)
    for group, changes in CHANGES.items():
        for name in map(name_of, changes):
            memory = "" if arguments.quick else f"{measure_memory(name):.0f}"
            shown = f"`{name}`" if name else ""
            speed.print_row(group, shown, f"{min(timing[name]) / default:.2f}", memory)


if __name__ == "__main__":
    main()
