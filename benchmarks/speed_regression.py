"""Time fit and predict of DeepRegressor beside MLPRegressor, in turn.

Requires the extra ``benchmark``::

    python benchmarks/speed_regression.py
    python benchmarks/speed_regression.py --repeats 5

The cases and settings of ``speed.py``, with a noisy linear combination of the features as y. The
array is float32 or float64, and dtype="auto".
"""

import argparse
import warnings
from functools import partial
from statistics import geometric_mean

import numpy as np
import speed
from machine import print_machine, restart_without_kernel_variables
from sklearn.neural_network import MLPRegressor

from skdnn import DeepRegressor


def make_skdnn(case):
    return speed.make_skdnn(case, None, estimator=DeepRegressor)


def make_mlp(case):
    return MLPRegressor(hidden_layer_sizes=case.hidden, alpha=0, **speed.settings(case))


CONTENDERS = {"skdnn": make_skdnn, "MLPRegressor": make_mlp}


def make_data(case, dtype, rows=None):
    """Return X and y; y has standard deviation 1, as scikit-learn's network expects."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows or case.rows, case.features), dtype=dtype)
    y = X @ rng.standard_normal(case.features) / np.sqrt(case.features)
    return X, ((y + rng.standard_normal(len(X))) / np.sqrt(2)).astype(dtype)


def time_fit(name, case, X, y):
    """Return the seconds of one fit of all epochs of the case."""
    model = CONTENDERS[name](case)
    seconds = speed.time_calls(partial(model.fit, X, y))
    if model.n_iter_ != case.epochs:
        raise RuntimeError(f"{name} ended after {model.n_iter_} of {case.epochs} epochs.")
    return seconds


def measure_fit(case, dtype, repeats):
    X, y = make_data(case, dtype)
    few = 2 * case.batch
    for name in CONTENDERS:
        CONTENDERS[name](case).set_params(max_iter=1).fit(X[:few], y[:few])
    timers = {name: partial(time_fit, name, case, X, y) for name in CONTENDERS}
    return speed.in_turn(timers, repeats)


def measure_predict(case, dtype, rows, repeats):
    models = {name: make(case).fit(*make_data(case, dtype)) for name, make in CONTENDERS.items()}
    X, _ = make_data(case, dtype, rows)
    calls = speed.ONE_ROW_CALLS if rows == 1 else 1
    timers = {
        name: partial(speed.time_calls, partial(model.predict, X), calls)
        for name, model in models.items()
    }
    return speed.in_turn(timers, repeats)


def report(title, cases, measure, unit):
    """Print a table of times, and those of MLPRegressor relative to skdnn."""
    print(f"## {title}\n")
    speed.print_header(["case", "array"], list(CONTENDERS))
    ratios = []
    for case in cases:
        for dtype in speed.DTYPES:
            timing = measure(case, dtype)
            speed.print_row(case, dtype, *timing.cells(unit(case)))
            ratios.append(timing.ratio("MLPRegressor"))
    print(f"\nMLPRegressor / skdnn: {geometric_mean(ratios):.2f}, worst {min(ratios):.2f}\n")


def main():
    restart_without_kernel_variables()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contender")
    repeats = parser.parse_args().repeats
    warnings.simplefilter("ignore")  # ConvergenceWarning, expected here
    print_machine()
    report(
        "fit: µs per optimizer step (seconds per fit)",
        speed.FIT_CASES,
        partial(measure_fit, repeats=repeats),
        lambda case: lambda s: f"{1e6 * s / case.steps:,.0f} ({s:.2f})",
    )
    for rows in (1, speed.MANY_ROWS):
        report(
            f"predict of {rows:,} rows: ms",
            speed.PREDICT_CASES,
            partial(measure_predict, rows=rows, repeats=repeats),
            lambda case: lambda s: f"{1e3 * s:,.3f}",
        )


if __name__ == "__main__":
    main()
