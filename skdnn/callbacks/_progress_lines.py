"""Lines printed by `verbose`: the progress of training and reading, and why training stopped."""

import math
import time
from collections import Counter
from collections.abc import Callable

import numpy as np

from skdnn.training import Progress, TrainingResult

# So that a fit of short epochs does not flood the screen.
SECONDS_BETWEEN_LINES = 0.25
SECONDS_BETWEEN_READING_LINES = 2.0
# By the endings of a TrainingResult.
_REASONS = {
    "no_improvement": "no improvement of the {criterion} for {patience}",
    "max_iter": "max_iter={max_iter} reached",
    "stopped": "a callback stopped it",
    "interrupted": "interrupted by Ctrl-C",
    "gradient": "converged, no component of the gradient exceeds tol={tol:g}",
    "cost": "converged, the cost decreases no further",
    "evaluations": "too many evaluations of the cost",
    "line_search": "the line search found no lower cost",
}


class EpochLines:
    """Print lines about epochs: the first, the last, and a few each second in between.

    Parameters
    ----------
    n_rows : int
        Number of training rows of an epoch.
    score_name : str
        Name of the scores of the validation set.
    clock : callable, default=time.perf_counter
        Returns the time in seconds.
    """

    def __init__(
        self,
        n_rows: int,
        score_name: str,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.n_rows, self.score_name, self.clock = n_rows, score_name, clock
        self.started, self.printed, self.n_epochs = clock(), -math.inf, 0

    def __call__(self, progress: Progress) -> None:
        """Print the line of an epoch, unless the last line is too recent.

        Costs and scores are means over the networks that were still trained in this epoch.
        """
        now = self.clock()
        self.n_epochs += 1
        if not progress.is_last and now - self.printed < SECONDS_BETWEEN_LINES:
            return
        self.printed, seconds = now, now - self.started
        cost = np.nanmean(progress.costs[-1])
        line = f"epoch {progress.epoch}/{progress.max_iter}: cost {cost:.6f}"
        if progress.validation_costs:
            line += f", validation cost {np.nanmean(progress.validation_costs[-1]):.6f}"
            line += f", validation {self.score_name} {np.nanmean(progress.scores[-1]):.4f}"
        rate = self.n_epochs * self.n_rows / max(seconds, 1e-9)
        print(f"{line}, {seconds:.1f} s, {rate:,.0f} rows/s")


def ending_line(
    result: TrainingResult, criterion: str, max_iter: int, n_iter_no_change: int, tol: float
) -> str:
    """Return a line that says why training stopped, and the weights of which epoch are kept.

    Parameters
    ----------
    result : TrainingResult
    criterion : str
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
        "criterion": criterion,
        "max_iter": max_iter,
        "patience": f"{n_iter_no_change} epoch{'s' if n_iter_no_change > 1 else ''}",
        "tol": tol,
    }
    counts = Counter(result.endings.tolist())
    reasons = []
    for ending, n in counts.items():
        of_all = f" ({n} of {counts.total()} networks)" if len(counts) > 1 else ""
        reasons.append(_REASONS[ending].format(**facts) + of_all)
    last, best = (
        f"epochs {', '.join(map(str, epochs))}" if len(set(epochs)) > 1 else f"epoch {epochs[0]}"
        for epochs in (result.n_iter.tolist(), result.best_iter.tolist())
    )
    kept = f"weights of {best}" if result.best_iter.any() else "initial weights"
    return f"Stopped after {last}: {', '.join(reasons)}; {kept} kept"


class ReadingLines:
    """Print lines while a file is read: one every other second, and the last.

    Parameters
    ----------
    n_rows : int
        Number of rows of the file.
    clock : callable, default=time.perf_counter
        Returns the time in seconds.
    """

    def __init__(self, n_rows: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self.n_rows, self.clock = n_rows, clock
        self.started = self.printed = clock()

    def __call__(self, n_read: int) -> None:
        """Print how many rows have been read, unless the last line is too recent."""
        now = self.clock()
        if n_read >= self.n_rows or now - self.printed >= SECONDS_BETWEEN_READING_LINES:
            self.printed = now
            print(f"read {n_read:,} of {self.n_rows:,} rows, {now - self.started:.1f} s")
