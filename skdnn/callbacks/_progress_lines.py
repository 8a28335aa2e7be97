"""Lines on the screen while a network learns."""

import math
import time
from collections import Counter

import numpy as np

# So that a fit of short epochs does not flood the screen.
SECONDS_BETWEEN_LINES = 0.25
SECONDS_BETWEEN_READING_LINES = 2.0
# By the endings of a TrainingResult.
_REASONS = {
    "no_improvement": "no improvement of the {watched} for {patience}",
    "max_iter": "max_iter={max_iter} reached",
    "stopped": "a callback stopped it",
    "interrupted": "interrupted by Ctrl-C",
    "gradient": "converged, no component of the gradient exceeds tol={tol:g}",
    "cost": "converged, the cost decreases no further",
    "evaluations": "too many evaluations of the cost",
    "line_search": "the line search found no lower cost",
}


class EpochLines:
    """Prints a line after an epoch: the first, the last, and between them a few a second.

    Parameters
    ----------
    n_rows : int
        Rows of an epoch.
    score_name : str
        Of the scores of the validation set.
    file : str or None, default=None
        The checkpoint.
    clock : callable, default=time.perf_counter
        Gives the seconds.
    """

    def __init__(self, n_rows, score_name, file=None, clock=time.perf_counter):
        self.n_rows, self.score_name, self.file, self.clock = n_rows, score_name, file, clock
        self.started, self.printed, self.n_epochs = clock(), -math.inf, 0

    def start(self, progress):
        """Print from which epoch a fit is resumed, if it is."""
        if progress.epoch and progress.is_last:
            print(f"The fit of {self.file} is already finished")
        elif progress.epoch:
            print(f"Resumed from epoch {progress.epoch} of {self.file}")

    def __call__(self, progress):
        """Print the line of an epoch, if it is time."""
        now = self.clock()
        self.n_epochs += 1
        if progress.is_last or now - self.printed >= SECONDS_BETWEEN_LINES:
            self.printed = now
            print(self._line(progress, now - self.started))

    def _line(self, progress, seconds):
        cost = _mean(progress.costs[-1])
        parts = [f"epoch {progress.epoch}/{progress.max_iter}: cost {cost:.6f}"]
        if progress.validation_costs:
            parts += [
                f"validation cost {_mean(progress.validation_costs[-1]):.6f}",
                f"validation {self.score_name} {_mean(progress.scores[-1]):.4f}",
            ]
        rate = self.n_epochs * self.n_rows / max(seconds, 1e-9)
        return ", ".join([*parts, f"{seconds:.1f} s", f"{rate:,.0f} rows/s"])


def ending_line(result, validation, max_iter, n_iter_no_change, tol):
    """Return a line that says why the training ended, and which weights are kept.

    Parameters
    ----------
    result : TrainingResult
    validation : str
        The quantity that had to improve.
    max_iter, n_iter_no_change, tol : int, int, float

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> from skdnn.callbacks import ending_line
    >>> result = SimpleNamespace(
    ...     endings=np.array(["max_iter"]), n_iter=np.array([50]), best_iter=np.array([41])
    ... )
    >>> ending_line(result, "validation cost", max_iter=50, n_iter_no_change=10, tol=1e-4)
    'Stopped after epoch 50: max_iter=50 reached; weights of epoch 41 kept'
    """
    facts = {
        "watched": validation,
        "max_iter": max_iter,
        "patience": f"{n_iter_no_change} epoch{'s' if n_iter_no_change > 1 else ''}",
        "tol": tol,
    }
    counts = Counter(result.endings.tolist())
    reasons = []
    for ending, n in counts.items():
        of_all = f" ({n} of {counts.total()} networks)" if len(counts) > 1 else ""
        reasons.append(_REASONS[ending].format(**facts) + of_all)
    kept = "initial weights"
    if result.best_iter.any():
        kept = f"weights of {_epochs(result.best_iter)}"
    return f"Stopped after {_epochs(result.n_iter)}: {', '.join(reasons)}; {kept} kept"


def _epochs(numbers):
    if len(set(numbers.tolist())) == 1:
        return f"epoch {numbers[0]}"
    return f"epochs {', '.join(map(str, numbers.tolist()))}"


def _mean(numbers):
    """Return the mean over the networks that were still trained."""
    return np.nanmean(numbers)


class ReadingLines:
    """Prints a line while a file is read, every other second, and the last.

    Parameters
    ----------
    n_rows : int
        Of the file.
    clock : callable, default=time.perf_counter
        Gives the seconds.
    """

    def __init__(self, n_rows, clock=time.perf_counter):
        self.n_rows, self.clock = n_rows, clock
        self.started = self.printed = clock()

    def __call__(self, n_read):
        """Print a line for so many rows, if it is time."""
        now = self.clock()
        if n_read >= self.n_rows or now - self.printed >= SECONDS_BETWEEN_READING_LINES:
            self.printed = now
            print(f"read {n_read:,} of {self.n_rows:,} rows, {now - self.started:.1f} s")
