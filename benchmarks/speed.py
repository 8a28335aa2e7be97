"""Time fit and predict_proba beside MLPClassifier, skorch and the matrix products alone.

Requires the extra ``benchmark``::

    python benchmarks/speed.py                    # about half an hour on two cores
    python benchmarks/speed.py --quick            # a tenth of the epochs, one repeat
    python benchmarks/speed.py --only fit --cases 0,4 --repeats 5

Defaults
    ``DeepBinaryClassifier()`` beside ``StandardScaler`` with ``MLPClassifier()`` and beside
    ``HistGradientBoostingClassifier()``, as they come: seconds of a fit, of ``predict_proba`` of
    200,000 rows, and microseconds of one row.
Fit
    All models train the same network on the same array: relu, Adam with rate 1e-3, the same batch
    size and number of epochs, shuffled, without weight decay, standardisation, validation set or
    early stopping; the other parameters have their defaults. A float64 array is used twice: by
    default, trained on in float32, and with ``dtype="float64"``. "Products" is the lower bound:
    only the matrix products of the forward and backward passes in the precision of our network, on
    preallocated buffers, on one thread or all threads, whichever is faster.
Several
    ``n_networks=5`` beside one network, and beside five separate fits.
Fixed
    A fit of 300 rows for one epoch: the overhead before and after the training.
Busy
    Fits beside two busy processes, and the same fits on an idle machine.
Predict
    ``predict_proba`` of one row and of 400,000 rows in the dtype of the network.
Memory
    The peak of a fit in its own process, minus the memory of an idle process that has imported the
    package, minus the user's array. The limit is one copy of the data plus 300 MB.

Contenders run in turn, A B C A B C, in one process, and the fastest run of each counts, since other
load only adds time. "Spread" is the largest excess of a median over the fastest run. Ratios beside
a large spread are unreliable. The processor and the libraries that multiply matrices are printed
first: figures of another processor do not carry over.
"""

import argparse
import importlib.util
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from statistics import geometric_mean, median

import numpy as np
import torch
from machine import print_machine, restart_without_kernel_variables

from skdnn import DeepBinaryClassifier

# scikit-learn's network and skorch are imported in functions, so that the processes that measure
# memory import only skdnn.

DTYPES = ("float32", "float64")
# Dtype of the array, and the parameter dtype of the network.
PRECISIONS = (("float32", "auto"), ("float64", "auto"), ("float64", "float64"))
HAS_SKORCH = importlib.util.find_spec("skorch") is not None
MANY_ROWS = 400_000
DEFAULT_SHAPES = ((500, 10), (2_000, 30), (10_000, 30), (50_000, 30), (200_000, 30))
DEFAULT_ROWS = 200_000
MLP_ROWS = 50_000  # MLPClassifier takes minutes for more
ONE_ROW_CALLS = 100  # per measurement, since one call is too short to time
MEMORY_SHAPE = (500_000, 100)
MEMORY_ALLOWANCE = 300  # MB, beside one copy of the data
MB = 1e6


@dataclass(frozen=True)
class Case:
    """A data set, a network and its training, with epochs for about half a second."""

    rows: int
    features: int
    hidden: tuple[int, ...]
    batch: int
    epochs: int

    def __str__(self):
        return f"{self.rows} × {self.features}, {self.hidden}, batch {self.batch}"

    @property
    def sizes(self):
        """Units of each layer, from the features to the logit."""
        return (self.features, *self.hidden, 1)

    @property
    def steps(self):
        """Steps of the optimizer in a fit."""
        return self.epochs * -(-self.rows // self.batch)


FIT_CASES = (
    Case(2_000, 30, (100,), 200, epochs=200),
    Case(2_000, 30, (64, 64), 32, epochs=40),
    Case(10_000, 20, (64, 64), 200, epochs=40),
    Case(10_000, 100, (128, 128, 128), 128, epochs=10),
    Case(20_000, 50, (256, 256, 256), 256, epochs=2),
    Case(1_000, 7_200, (20, 7, 5), 200, epochs=20),
    Case(50_000, 50, (256, 256, 256), 2_048, epochs=2),
)
PREDICT_CASES = (  # fitted only to have a network
    Case(2_000, 30, (64, 64), 200, epochs=1),
    Case(2_000, 50, (256, 256, 256), 200, epochs=1),
)


def settings(case):
    """Return parameters that skdnn and scikit-learn have in common, without early stopping."""
    stopping = {"tol": 0, "n_iter_no_change": 10**6, "early_stopping": False}
    return {"batch_size": case.batch, "max_iter": case.epochs, "random_state": 0, **stopping}


def make_skdnn(case, dtype, precision="auto", estimator=DeepBinaryClassifier):
    return estimator(
        n_units=case.hidden,
        dtype=precision,
        learning_rate=1e-3,
        learning_rate_schedule="constant",
        weight_decay=0.0,
        standardize=False,
        numeric_embedding=None,
        device="cpu",
        **settings(case),
    )


def make_mlp(case, dtype):
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(case.hidden, alpha=0, **settings(case))


def make_skorch(case, dtype):
    from skorch import NeuralNetBinaryClassifier

    layers = []
    for n_in, n_out in pairwise(case.sizes):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    return NeuralNetBinaryClassifier(
        torch.nn.Sequential(*layers[:-1]).to(getattr(torch, dtype)),
        optimizer=torch.optim.Adam,
        lr=1e-3,
        batch_size=case.batch,
        max_epochs=case.epochs,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )


CONTENDERS = {"skdnn": make_skdnn, "MLPClassifier": make_mlp}
if HAS_SKORCH:
    CONTENDERS["skorch"] = make_skorch


def make_data(case, dtype, rows=None):
    """Return X, and y of 0 and 1: a noisy half-space, which no model fits exactly."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows or case.rows, case.features), dtype=dtype)
    logits = X @ rng.standard_normal(case.features) / np.sqrt(case.features)
    return X, (logits + rng.standard_normal(len(X)) > 0).astype(int)


def time_fit(name, case, dtype, X, y, **parameters):
    """Return the seconds of one fit of all epochs of the case."""
    model = CONTENDERS[name](case, dtype, **parameters)
    y = y.astype(dtype) if name == "skorch" else y  # torch's loss requires the dtype of the logits
    seconds = time_calls(partial(model.fit, X, y))
    epochs = len(model.history) if name == "skorch" else model.n_iter_
    if epochs != case.epochs:
        raise RuntimeError(f"{name} ended after {epochs} of {case.epochs} epochs: not comparable.")
    return seconds


def time_calls(function, calls=1):
    """Return the mean seconds of several calls in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def time_products(case, dtype, X, y):
    """Return the seconds of the matrix products of a fit, on one thread or on all."""
    found = torch.get_num_threads()
    products = epoch_products(case, torch.from_numpy(X))
    seconds = []
    for threads in {1, found}:
        torch.set_num_threads(threads)
        time_calls(products)  # warm-up, as for the others
        seconds.append(time_calls(products, case.epochs) * case.epochs)
    torch.set_num_threads(found)
    return min(seconds)


def epoch_products(case, X):
    """Return a function that computes the products of one epoch, with common buffers."""
    W = [X.new_empty(shape).normal_(std=shape[0] ** -0.5) for shape in pairwise(case.sizes)]
    dW = [torch.empty_like(w) for w in W]
    Z, dZ = ([X.new_ones(case.batch, n) for n in case.sizes[1:]] for _ in range(2))
    calls = [call for batch in X.split(case.batch) for call in step_products(batch, W, dW, Z, dZ)]

    def epoch():
        for call in calls:
            call()

    return epoch


def step_products(X, W, dW, Z, dZ):
    """Return the products of one step: Z = A W + b forward; dW = Aᵀ dZ and dA = dZ Wᵀ backward."""
    forward, backward = [], []
    A, dZ = [X, *(z[: len(X)] for z in Z)], [dz[: len(X)] for dz in dZ]
    for l, w in enumerate(W):
        b = w.new_zeros(w.shape[1])
        forward.append(partial(torch.addmm, b, A[l], w, out=A[l + 1]))
        if l > 0:
            backward.append(partial(torch.mm, dZ[l], w.T, out=dZ[l - 1]))
        backward.append(partial(torch.mm, A[l].T, dZ[l], out=dW[l]))
    return forward + backward[::-1]


class Timing(dict):
    """Seconds of the runs by the name of the contender."""

    def best(self, name):
        """Return the seconds of the fastest run."""
        return min(self[name])

    def ratio(self, name):
        """Return the time of a contender relative to skdnn."""
        return self.best(name) / self.best("skdnn")

    def cells(self, text):
        """Return the cells of a row: each time as text, the ratios and the spread."""
        times = [text(self.best(name)) for name in self]
        ratios = [f"{self.ratio(name):.2f}" for name in list(self)[1:]]
        spread = max(median(runs) / min(runs) - 1 for runs in self.values())
        return [*times, *ratios, f"{spread:.0%}" if len(self["skdnn"]) > 1 else "–"]


def in_turn(timers, repeats):
    """Call functions that return seconds, by name, in turn."""
    timing = Timing({name: [] for name in timers})
    for _ in range(repeats):
        for name, timer in timers.items():
            timing[name].append(timer())
    return timing


def measure_fit(case, dtype, precision, repeats):
    X, y = make_data(case, dtype)
    warm_up = Case(2 * case.batch, case.features, case.hidden, case.batch, epochs=1)
    for name in CONTENDERS:
        time_fit(name, warm_up, dtype, X[: warm_up.rows], y[: warm_up.rows])
    timers = {name: partial(time_fit, name, case, dtype, X, y) for name in CONTENDERS}
    timers["skdnn"] = partial(timers["skdnn"], precision=precision)
    converted = X.astype("float32" if precision == "auto" else precision)
    timers["products"] = partial(time_products, case, dtype, converted, y)
    return in_turn(timers, repeats)


def measure_predict(case, dtype, rows, repeats):
    X, y = make_data(case, dtype)
    models = {name: make(case, dtype).fit(X, y.astype(dtype)) for name, make in CONTENDERS.items()}
    X, _ = make_data(case, dtype, rows)
    calls = ONE_ROW_CALLS if rows == 1 else 1
    timers = {}
    for name, model in models.items():
        model.predict_proba(X[:1000])
        timers[name] = partial(time_calls, partial(model.predict_proba, X), calls)
    return in_turn(timers, repeats)


def measure_memory(what):
    """Return the MB that a new process reports; see `memory_child`."""
    command = [sys.executable, str(Path(__file__).resolve()), "--memory-child", what]
    child = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    return float(child.stdout) / MB


def memory_child(what):
    """Print the bytes of this process: idle, or at the peak of a fit in a dtype."""
    if what == "idle":
        print(resident_bytes("VmRSS"))
        return
    X = np.empty(MEMORY_SHAPE, dtype=what)
    np.random.default_rng(0).standard_normal(out=X, dtype=what)  # in place: no peak before the fit
    y = X[:, 0] > 0
    DeepBinaryClassifier(max_iter=2, device="cpu", random_state=0).fit(X, y)
    print(resident_bytes("VmHWM"))


def resident_bytes(field):
    # Not getrusage's ru_maxrss, which includes the peak of the parent process.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024


def make_defaults(rows):
    """Return the models with their default parameters, by name."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    mlp = make_pipeline(StandardScaler(), MLPClassifier(random_state=0))
    models = {
        "skdnn": DeepBinaryClassifier(random_state=0, device="cpu"),
        "MLPClassifier": mlp,
        "HistGradientBoosting": HistGradientBoostingClassifier(random_state=0),
    }
    return models if rows <= MLP_ROWS else {n: m for n, m in models.items() if m is not mlp}


def measure_defaults(rows, features, repeats):
    """Return Timings of a fit, of many rows and of one row, by what was timed."""
    rng = np.random.default_rng(0)
    many = rng.standard_normal((DEFAULT_ROWS, features))
    X = rng.standard_normal((rows, features))
    y = X[:, 0] * X[:, 1] + X[:, 2] + rng.standard_normal(rows) > 0
    models = make_defaults(rows)

    def timing(method, *arguments, repeats=1, calls=1):
        calls_of = {n: partial(getattr(model, method), *arguments) for n, model in models.items()}
        timers = {n: partial(time_calls, function, calls) for n, function in calls_of.items()}
        return in_turn(timers, repeats)

    return {
        "fit": timing("fit", X, y),
        f"{DEFAULT_ROWS:,} rows": timing("predict_proba", many, repeats=1 + repeats),
        "one row": timing("predict_proba", many[:1], repeats=5 * repeats, calls=ONE_ROW_CALLS),
    }


def report_defaults(repeats):
    """Print the table of default against default; return the targets."""
    print("\n## defaults: seconds of a fit and of many rows, µs of one row\n")
    names, targets = list(make_defaults(0)), []
    print_header(["data", "what"], names)
    for rows, features in DEFAULT_SHAPES:
        shape = f"{rows:,} × {features}"
        for what, timing in measure_defaults(rows, features, repeats).items():
            text = (lambda s: f"{1e6 * s:.0f}") if what == "one row" else "{:.2f}".format
            times = [text(timing.best(name)) if name in timing else "–" for name in names]
            ratios = [f"{timing.ratio(n):.2f}" if n in timing else "–" for n in names[1:]]
            print_row(shape, what, *times, *ratios, timing.cells(str)[-1])
            name, wanted = {
                "fit": ("MLPClassifier", 3 if rows >= 10_000 else 1.5),
                "one row": ("MLPClassifier", 2),
            }.get(what, ("HistGradientBoosting", 1))
            if name in timing:
                text = f"defaults, {what} of {shape} against {name}"
                targets.append(ratio_target(text, timing.ratio(name), wanted))
    return targets


def report_fit(cases, repeats):
    """Print the table of fits; return the targets."""
    print("## fit: µs per optimizer step (seconds per fit)\n")
    print_header(["case", "array, network", "epochs"], [*CONTENDERS, "products"])
    timings = {precision: [] for precision in PRECISIONS}
    for case, precision in product(cases, PRECISIONS):
        timing = measure_fit(case, *precision, repeats)
        cells = timing.cells(lambda s, n=case.steps: f"{1e6 * s / n:,.0f} ({s:.2f})")
        print_row(case, ", ".join(precision), case.epochs, *cells)
        timings[precision].append(timing)
    for precision, its_timings in timings.items():
        means = mean_ratios(its_timings)
        blank = [""] * (1 + len(means))
        cells = [f"{mean:.2f}" for mean in list(means.values())[1:]]
        print_row("geometric mean", ", ".join(precision), *blank, *cells, "")
    return fit_targets(timings)


def mean_ratios(timings):
    """Return the geometric means of the times relative to skdnn, by contender."""
    return {name: geometric_mean(t.ratio(name) for t in timings) for name in timings[0]}


def fit_targets(timings):
    """Return the lines of the targets, for networks of the default dtype."""
    by_default = [t for precision in PRECISIONS[:2] for t in timings[precision]]
    means, least = mean_ratios(by_default), min(t.ratio("MLPClassifier") for t in by_default)
    wanted = [
        ("fit against MLPClassifier, geometric mean", means["MLPClassifier"], 3),
        ("fit against MLPClassifier, worst case", least, 1),
        ("fraction of the products, geometric mean", means["products"], 0.72),
    ]
    if HAS_SKORCH:
        skorch = mean_ratios(timings[PRECISIONS[0]])["skorch"]
        wanted.append(("fit against skorch in float32, geometric mean", skorch, 6.5))
    return [ratio_target(*each) for each in wanted]


def report_several(repeats):
    """Print the time of five networks; return the target."""
    print("\n## several: seconds for all epochs of the same training\n")
    case = Case(2_000, 30, (128, 128), 56, epochs=40)
    print_row("dtype", "one network", "n_networks=5", "five fits", "5 / one", "five fits / 5")
    print_row(*["---"] * 6)
    ratios = []
    for dtype in DTYPES:
        X, y = make_data(case, dtype)
        timers = {n: partial(time_several, case, dtype, X, y, n) for n in (1, 5)}
        timing = in_turn(timers, 1 + repeats)
        one, five = timing.best(1), timing.best(5)
        ratios.append(five / one)
        cells = f"{five / one:.2f}", f"{5 * one / five:.2f}"
        print_row(dtype, *(f"{s:.2f}" for s in (one, five, 5 * one)), *cells)
    ratio = max(ratios)
    text = "n_networks=5 against one network, worst"
    return [target(text, f"{ratio:.2f} ×", "≤ 3.5 ×", ratio <= 3.5)]


def time_several(case, dtype, X, y, n_networks):
    model = make_skdnn(case, dtype)
    model.set_params(n_networks=n_networks, early_stopping=True)
    return time_calls(partial(model.fit, X, y))


def report_fixed(repeats):
    """Print the overhead of a fit."""
    print("\n## fixed: ms of a fit of 300 × 20, (128, 128), for one epoch\n")
    case = Case(300, 20, (128, 128), 200, epochs=1)
    print_header(["dtype"], list(CONTENDERS))
    for dtype in DTYPES:
        X, y = make_data(case, dtype)
        timers = {name: partial(time_fit, name, case, dtype, X, y) for name in CONTENDERS}
        print_row(dtype, *in_turn(timers, 10 * repeats).cells(lambda s: f"{1000 * s:.1f}"))
    return []


def report_busy(repeats):
    """Print the time of fits on a busy machine."""
    print("\n## busy: seconds of a fit on an idle machine and beside two busy processes\n")
    print_row("case", *(f"{name}, {how}" for name in CONTENDERS for how in ("idle", "busy")))
    print_row(*["---"] * (1 + 2 * len(CONTENDERS)))
    for case in (FIT_CASES[3], FIT_CASES[4], FIT_CASES[6]):
        X, y = make_data(case, "float32")
        timers = {name: partial(time_fit, name, case, "float32", X, y) for name in CONTENDERS}
        idle = in_turn(timers, repeats)
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
        try:
            busy = in_turn(timers, repeats)
        finally:
            for process in others:
                process.kill()
                process.wait()
        medians = (median(timing[name]) for name in CONTENDERS for timing in (idle, busy))
        print_row(case, *(f"{seconds:.2f}" for seconds in medians))
    return []


def report_predict(cases, repeats):
    """Print the table of predictions; return the targets."""
    print("\n## predict_proba: µs per call\n")
    print_header(["network", "dtype", "rows"], list(CONTENDERS))
    # One row takes microseconds: more rounds are cheap and find an idle moment.
    rounds = {1: 5 * repeats, MANY_ROWS: repeats}
    return [predict_target(cases, rows, repeats) for rows, repeats in rounds.items()]


def predict_target(cases, rows, repeats):
    ratios = []
    for case, dtype in product(cases, DTYPES):
        timing = measure_predict(case, dtype, rows, repeats)
        cells = timing.cells(lambda seconds: f"{1e6 * seconds:,.0f}")
        print_row(f"{case.features} features, {case.hidden}", dtype, f"{rows:,}", *cells)
        ratios.append(timing.ratio("MLPClassifier"))
    text = f"predict_proba against MLPClassifier, rows: {rows:,}, worst case"
    return ratio_target(text, min(ratios), 1.8 if rows == 1 else 2)


def report_memory():
    """Print the table of memory; return the targets."""
    print("\n## memory of a fit on {:,} × {}, in MB\n".format(*MEMORY_SHAPE))
    if sys.platform != "linux":
        print("Skipped: the peak of a process is read from Linux's /proc.")
        return []
    print_header(["dtype", "peak", "− idle", "− user's array", "= of the fit", "one copy + 300"])
    idle = measure_memory("idle")
    return [memory_target(dtype, idle) for dtype in DTYPES]


def memory_target(dtype, idle):
    array = np.prod(MEMORY_SHAPE) * np.dtype(dtype).itemsize / MB
    peak = measure_memory(dtype)
    used, limit = peak - idle - array, array + MEMORY_ALLOWANCE
    print_row(dtype, *(f"{number:.0f}" for number in (peak, idle, array, used, limit)))
    return target(f"memory of a {dtype} fit, MB", f"{used:.0f}", f"≤ {limit:.0f}", used <= limit)


def target(what, reached, wanted, met):
    return f"- {what}: {reached} (wanted {wanted}): {'met' if met else 'NOT met'}"


def ratio_target(what, ratio, wanted):
    return target(what, f"{ratio:.2f} ×", f"≥ {wanted} ×", ratio >= wanted)


def print_header(names, contenders=()):
    ratios = [f"{name} / skdnn" for name in contenders[1:]]
    cells = [*names, *contenders, *ratios, *(["spread"] if contenders else [])]
    print_row(*cells)
    print_row(*["---"] * len(cells))


def print_row(*cells):
    print("|", " | ".join(str(cell) for cell in cells), "|", flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the epochs, one repeat")
    parser.add_argument("--cases", help="which fits, such as 0,3 (default: all)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contender")
    parser.add_argument(
        "--only", choices=("defaults", "fit", "several", "fixed", "busy", "predict", "memory")
    )
    parser.add_argument("--memory-child", choices=("idle", *DTYPES), help=argparse.SUPPRESS)
    return parser.parse_args()


def chosen_cases(arguments):
    chosen = map(int, arguments.cases.split(",")) if arguments.cases else range(len(FIT_CASES))
    divisor = 10 if arguments.quick else 1
    return [replace(FIT_CASES[i], epochs=max(1, FIT_CASES[i].epochs // divisor)) for i in chosen]


def main():
    restart_without_kernel_variables()
    arguments = parse_arguments()
    warnings.simplefilter("ignore")  # ConvergenceWarning, expected here
    if arguments.memory_child:
        return memory_child(arguments.memory_child)
    repeats = 1 if arguments.quick else arguments.repeats
    reports = {
        "defaults": partial(report_defaults, repeats),
        "fit": partial(report_fit, chosen_cases(arguments), repeats),
        "several": partial(report_several, repeats),
        "fixed": partial(report_fixed, repeats),
        "busy": partial(report_busy, repeats),
        "predict": partial(report_predict, PREDICT_CASES, repeats),
        "memory": report_memory,
    }
    print_machine()
    if not HAS_SKORCH:
        print("skorch is not installed: its columns and its target are left out.\n")
    wanted = [arguments.only] if arguments.only else list(reports)
    targets = [line for name in wanted for line in reports[name]()]
    print("\n## targets\n", *targets, sep="\n")


if __name__ == "__main__":
    main()
