"""Measure large fits: rows in memory, in a Parquet file, and divided among two processes.

    python benchmarks/scale.py              # up to 10 million rows, 3 GB of disk, ten minutes
    python benchmarks/scale.py --rows 100000 --groups 65536 1048576
    python benchmarks/scale.py --only steps

Rows
    30 float32 numbers and a label. The network has two hidden layers of 128 units; the batch size
    is 2,048, with one thread in each process. "First" is the time before the first epoch. Memory is
    the peak of a process minus its memory after a fit of four rows; it includes the import of
    PyArrow for a file, and the rows otherwise.
Steps
    Milliseconds of one step, by the units of both hidden layers and the batch size, in one process
    and divided among two.

Each fit runs in its own process, or in two processes that torchrun starts.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from skdnn import DeepBinaryClassifier
from skdnn.distributed import data_parallel

# PyArrow is imported in functions, so that its memory counts only for fits that use it.

N_COLUMNS = 30
PLACES = ("memory", "file", "two processes")
UNITS, BATCHES, N_STEPS = (32, 128, 512, 1024), (256, 2048, 8192), 20
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


def write(folder, n_rows, rows_of_a_group):
    """Write the same rows as arrays and as a Parquet file with row groups of this size."""
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    w = rng.normal(size=N_COLUMNS)
    names = [f"x{j}" for j in range(N_COLUMNS)]
    schema = pa.schema([*((name, pa.float32()) for name in names), ("y", pa.int8())])
    all_X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, (n_rows, N_COLUMNS))
    all_y = np.lib.format.open_memmap(folder / "y.npy", "w+", np.int8, (n_rows,))
    with parquet.ParquetWriter(folder / "rows.parquet", schema) as writer:
        for start in range(0, n_rows, rows_of_a_group):
            rows = slice(start, min(n_rows, start + rows_of_a_group))
            n = rows.stop - rows.start
            all_X[rows] = X = rng.standard_normal((n, N_COLUMNS), dtype=np.float32)
            all_y[rows] = y = (X @ w + 2 * rng.normal(size=n) > 0).astype(np.int8)
            writer.write_table(pa.table([*X.T, y], schema=schema), row_group_size=rows_of_a_group)


def read(folder, part=0, n_parts=1):
    """Return X and y, or a part of their rows, in memory."""
    arrays = [np.load(Path(folder, name), mmap_mode="r") for name in ("X.npy", "y.npy")]
    first, stop = (len(arrays[0]) * k // n_parts for k in (part, part + 1))
    return [np.array(array[first:stop]) for array in arrays]


def peak():
    """Return the peak memory of this process in MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1000


class Clock:
    """A constant learning rate schedule that records when epochs begin and end."""

    def __init__(self):
        self.times = []

    def __call__(self, epoch, max_iter):
        if epoch == len(self.times):
            self.times.append(time.perf_counter())
        self.last = time.perf_counter()
        return 1.0

    def __repr__(self):
        return "Clock"


def make_classifier(clock, **parameters):
    return DeepBinaryClassifier(
        numeric_embedding=None,
        tol=0,
        n_iter_no_change=10**6,
        learning_rate_schedule=clock,
        n_threads=1,
        device="cpu",
        random_state=0,
        **parameters,
    )


def measure_rows(place, folder, n_epochs):
    """Fit, and return seconds before the first epoch, seconds per epoch, MB and accuracy."""
    DeepBinaryClassifier(max_iter=1).fit(np.eye(4), [0, 1, 0, 1])
    before, clock = peak(), Clock()
    clf = make_classifier(clock, batch_size=2048, max_iter=n_epochs, early_stopping=True)
    with data_parallel("part") if place == "two processes" else nullcontext() as group:
        if place == "file":
            data = Path(folder, "rows.parquet"), "y"
        else:
            data = read(folder) if group is None else read(folder, group.rank, group.size)
        start = time.perf_counter()
        clf.fit(*data)
    seconds = (clock.last - clock.times[0]) / n_epochs
    return clock.times[0] - start, seconds, peak() - before, clf.best_validation_score_


def measure_steps(is_shared, units, batch_size):
    """Return milliseconds per step."""
    rng, clock = np.random.default_rng(0), Clock()
    X = rng.standard_normal((N_STEPS * batch_size, N_COLUMNS), dtype=np.float32)
    y = X[:, 0] > 0
    clf = make_classifier(
        clock, n_units=units, batch_size=batch_size, max_iter=4, early_stopping=False
    )
    with data_parallel("all") if is_shared else nullcontext():
        clf.fit(X, y)
    return 1000 * min(np.diff([*clock.times, clock.last])[1:-1]) / N_STEPS


MEASURES = {"rows": measure_rows, "steps": measure_steps}


def measured(what, *arguments, n_processes=1):
    """Return the result of a measurement in its own process, or in the first of two."""
    launcher = TORCHRUN if n_processes == 2 else ()
    command = [sys.executable, *launcher, __file__, "--measure", json.dumps([what, *arguments])]
    run = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    return json.loads(run.stdout)


def print_rows(all_n_rows, all_groups, n_epochs, folder):
    """Print the table of rows."""
    print("\n## rows\n")
    print("| rows | where | first, s | per epoch, s | memory, MB | accuracy |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(dir=folder) as folder:
        for n_rows in all_n_rows:
            for k, rows_of_a_group in enumerate(all_groups):
                write(Path(folder), n_rows, rows_of_a_group)
                for place in PLACES if k == 0 else ("file",):
                    n = 1 + (place == "two processes")
                    found = measured("rows", place, folder, n_epochs, n_processes=n)
                    first, seconds, memory, score = found
                    name = place if place != "file" else f"file, groups of {rows_of_a_group:,}"
                    numbers = f"{first:.1f} | {seconds:.2f} | {memory:,.0f} | {score:.4f}"
                    print(f"| {n_rows:,} | {name} | {numbers} |", flush=True)


def print_steps():
    """Print the table of steps."""
    print("\n## a step, in ms: in one process, in two, and the ratio\n")
    print("| units | parameters |", " | ".join(f"{n:,} rows" for n in BATCHES), "|")
    print("| --- " * (2 + len(BATCHES)) + "|")
    for units in UNITS:
        cells = []
        for batch_size in BATCHES:
            one = measured("steps", False, units, batch_size)
            two = measured("steps", True, units, batch_size, n_processes=2)
            cells.append(f"{one:.2f}, {two:.2f}: {one / two:.2f}")
        n_parameters = units * (N_COLUMNS + 1) + units * (units + 1) + units + 1
        print(f"| {units} | {n_parameters:,} |", " | ".join(cells), "|", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=MEASURES)
    parser.add_argument("--rows", type=int, nargs="+", default=[10**k for k in range(4, 8)])
    parser.add_argument("--groups", type=int, nargs="+", default=[2**16])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--folder", help="folder for the file, which is deleted afterwards")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        what, *arguments = json.loads(options.measure)
        result = json.dumps(MEASURES[what](*arguments))
        if os.environ.get("RANK", "0") == "0":
            print(result)
        return
    if options.only != "steps":
        print_rows(options.rows, options.groups, options.epochs, options.folder)
    if options.only != "rows":
        print_steps()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
