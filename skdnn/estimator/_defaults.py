"""The values of "auto": for each parameter a table, in which the first row that holds decides.

The API page shows the tables; run ``python docs/write_defaults.py`` after a change here.
``init_scale="auto"``, which asks nothing of the data, is a formula of `skdnn.network`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch

from skdnn.data.batches import N_FOLDS, count_folds
from skdnn.data.encoding import MOST_BINS
from skdnn.training import OPTIMIZERS, OptimizerKind


@dataclass(frozen=True)
class Facts:
    """What the rules may ask about a fit."""

    parameters: SimpleNamespace  # checked
    optimizer: OptimizerKind
    is_classification: bool
    is_partial_fit: bool
    n_layers: int
    is_linear: bool  # one layer, or no nonlinear activation
    n_columns: int  # of X
    n_numbers: int  # numeric columns of X with more than two distinct numbers
    variance: float  # of all columns of X, standardised
    # As in `Totals`:
    n_rows: int
    weight: float
    n_rarest: int
    has_32_bits: bool
    can_hold_out: bool  # whether there are rows to hold out
    can_make_folds: bool
    needs_float64: bool  # whether float32 is too coarse for y
    cuda_device: torch.device | None  # of X, None if X is not on one
    previous_dtype: torch.dtype | None  # of the network whose training continues
    # Known later:
    device_type: str = "cpu"  # of the network
    holds_out: bool = False
    cross_validates: bool = False
    n_inputs: float = 0  # `variance` and the inputs that the encoding adds to a number
    rows_of_batch: int = 0


@dataclass(frozen=True)
class Rule:
    """A row of a table: a condition as users read it and as it runs, and the value of a parameter.

    The value may be a function of the Facts; `formula` is then what users read, else its repr.
    `measured` says on what the rule was measured and what difference it made.
    """

    condition: str
    holds: Callable[[Facts], bool]
    value: Any
    measured: str
    formula: str = ""


def value_of(parameter: str, fit: Facts) -> Any:
    """Return the value of a parameter, by its table if it is "auto"."""
    value = getattr(fit.parameters, parameter)
    if not (isinstance(value, str) and value == "auto"):
        return value
    rule = next(rule for rule in DEFAULTS[parameter] if rule.holds(fit))
    return rule.value(fit) if callable(rule.value) else rule.value


def usual_batch(fit: Facts) -> int:
    """Return the rows of a training step, about 30 of which make an epoch."""
    return min(256, max(32, fit.n_rows // 30))


def deep_rate(fit: Facts) -> float:
    """Return α for Adam and several layers.

    A step of Adam changes each weight by about α whatever its gradient, and so changes a unit the
    more the larger all inputs are. For independent inputs the change grows with the root of their
    total variance, as for those of a piecewise-linear encoding; for inputs that agree, such as
    pixels, it grows with the variance. Hence one root for the inputs and one for the columns.
    Longer batches have gradients with less noise, which allow longer steps.
    """
    rate = 0.003
    for n in (fit.n_inputs, fit.variance):
        rate *= min(1.0, math.sqrt(256 / max(1, n)))
    if fit.parameters.batch_size == "auto" and fit.rows_of_batch > 256:
        rate *= math.sqrt(fit.rows_of_batch / 256)
    return rate


def one_layer_decay(fit: Facts) -> float:
    """Return λ for one layer.

    It is a normal prior of the weights under which the logit has a variance of 4 for independent
    standardised features.
    """
    return fit.variance / (4.0 * max(100, fit.weight))


def deep_decay(fit: Facts) -> float:
    """Return λ for several layers.

    It is less where early stopping prevents overfitting, too, but not if that is cross-validated,
    and more where rows are few for the columns; there it is less for several networks, whose mean
    overfits less. Regression needs less, since a number is more informative than a class. A total
    weight below 100 is not a number of rows: the weights of AdaBoost sum to 1.
    """
    fraction = 0.3 if fit.is_classification else 0.03
    usual = min(0.01, 50.0 / fit.weight)
    if fit.holds_out:
        usual *= fraction
    if fit.cross_validates:
        usual = max(usual, min(0.03, 3.0 / fit.weight))
    several = 0.3 if fit.parameters.n_networks > 1 else 1.0
    columns_per_row = min(1.0, fit.variance / max(100, fit.weight))
    return max(usual, several * fraction * (1 / 3) * columns_per_row**2)


def cross_validates_few_rows(fit: Facts) -> bool:
    """Return whether there are so few rows that the epoch to keep is chosen by cross-validation."""
    is_possible = fit.can_make_folds and fit.parameters.n_networks == 1 and not fit.is_partial_fit
    return (
        is_possible
        and fit.is_classification
        and fit.optimizer.is_fast
        and fit.n_layers > 1
        and fit.n_rows < FEW_ROWS
        and fit.n_columns <= MOST_COLUMNS_OF_STACK
        and fit.parameters.scoring is None
        and fit.previous_dtype is None
    )


def _always(fit: Facts) -> bool:
    return True


def _names(fact: str) -> str:
    return " or ".join(f'"{name}"' for name, kind in OPTIMIZERS.items() if getattr(kind, fact))


SCHEDULES = [f'"{kind.default_schedule}" for "{name}"' for name, kind in OPTIMIZERS.items()]
FAST, PENALIZED, OWN_STEPS = map(_names, ("is_fast", "is_penalized", "chooses_steps"))
# The `numeric_embedding` of the networks of a stack, in turn.
ALTERNATING = ("periodic", "piecewise_linear")
# "auto" target-encodes the rare categories of a column if those that occur more than once make up
# more than this fraction of the rows.
TARGET_ENCODED_FRACTION = 0.02
# An `early_stopping`, and the number of rows below which "auto" is this.
CROSS_VALIDATION, FEW_ROWS = "cross_validation", 400
# With more columns, as of photographs, six networks would take too long.
MOST_COLUMNS_OF_STACK = 200
MOST_NUMBERS = 2**26
N_INPUTS_OF_NUMBER = MOST_BINS["piecewise_linear"] + 1

# On what a rule was measured. docs/guide/accuracy.rst says how; not all figures have been kept.
NOT_MEASURED = "not measured"
NO_FIGURES = "no figures kept"
WIDE = (
    "without columns of two numbers, and with v in the other tables: 17 tables after get_dummies, "
    "log-loss −0.023 ± 0.009, ROC AUC +0.008 ± 0.004; 17 others −0.0007 ± 0.0007, "
    "+0.0011 ± 0.0013; 70 as they are +0.0001 ± 0.0002, −0.0001 ± 0.0002"
)
TABLES = "34 tables, no figures kept"
LARGE = (
    "one network, 15 epochs with a warm-up, 10 tables: log-loss −0.0008 ± 0.0004, ROC AUC +0.0008 "
    "± 0.0004, 0.65 of the time"
)

# fmt: off
DEFAULTS: dict[str, tuple[Rule, ...]] = {
    "batch_size": (
        Rule("m <= 64", lambda fit: fit.n_rows <= 64, None, NOT_MEASURED, "all rows"),
        # Very many rows are enough steps even in longer batches.
        Rule(FAST, lambda fit: fit.optimizer.is_fast,
             lambda fit: max(usual_batch(fit), min(1024, fit.n_rows // 200)),
             "from 51,200 rows on half the time; no figures kept",
             "m / 30 in [32, 256], and at least min(m / 200, 1024)"),
        Rule("else", _always, usual_batch, NO_FIGURES, "m / 30 in [32, 256]"),
    ),
    "device": (
        Rule("X is a CUDA tensor", lambda fit: fit.cuda_device is not None,
             lambda fit: fit.cuda_device, NOT_MEASURED, "that of X"),
        Rule("CUDA is available", lambda fit: torch.cuda.is_available(), "cuda", NOT_MEASURED),
        Rule("else", _always, "cpu", NOT_MEASURED),
    ),
    "dtype": (
        Rule("training continues a previous fit", lambda fit: fit.previous_dtype is not None,
             lambda fit: fit.previous_dtype, NOT_MEASURED, "that of the previous fit"),
        Rule("float32 is too coarse for y", lambda fit: fit.needs_float64,
             torch.float64, NOT_MEASURED),
        # float64 is slow on CUDA.
        Rule("CUDA, or X has 32 bits or fewer",
             lambda fit: fit.device_type == "cuda" or fit.has_32_bits, torch.float32, NOT_MEASURED),
        # L-BFGS stops at gradients too small for float32. For partial_fit m is not known.
        Rule(f"{_names('needs_float64')}, or partial_fit, or m < 1,000",
             lambda fit: fit.optimizer.needs_float64 or fit.is_partial_fit or fit.n_rows < 1_000,
             torch.float64, NOT_MEASURED),
        # The noise of the data is far larger than the rounding.
        Rule("else", _always, torch.float32,
             "52 tables: log-loss +0.00005 ± 0.00009, ROC AUC −0.00003 ± 0.00007, half the time"),
    ),
    "early_stopping": (
        # A row that one network holds out is a training row of the others.
        Rule("several networks, and each fold can have a row of each class",
             lambda fit: fit.parameters.n_networks > 1
             and fit.n_rarest >= count_folds(fit.parameters.n_networks), True,
             "prototype, 18 tables, 8 networks, compared with a common hold-out: ROC AUC +0.002, "
             "log-loss −0.005"),
        # Few rows are overfitted soon, and too few could be held out to tell when.
        Rule(f"m < {FEW_ROWS}, n <= {MOST_COLUMNS_OF_STACK}, {FAST} with several layers, no "
             f"scoring, rows in memory and of one process, and each of {N_FOLDS} folds can have a "
             "row of each class",
             cross_validates_few_rows, CROSS_VALIDATION,
             "30 tables on which it was not chosen, 100 rows of each: log-loss −0.052 ± 0.010, ROC "
             "AUC +0.033 ± 0.008"),
        Rule("several networks, or no row of some class could be held out",
             lambda fit: fit.parameters.n_networks > 1 or not fit.can_hold_out
             or fit.n_rarest * fit.parameters.validation_fraction < 1, False, NOT_MEASURED),
        Rule("scoring is given", lambda fit: fit.parameters.scoring is not None, True,
             NOT_MEASURED),
        # L-BFGS has a criterion of its own; the weight decay of one layer prevents overfitting.
        Rule(f"{OWN_STEPS}, or {PENALIZED} with one layer", lambda fit: fit.optimizer.chooses_steps
             or (fit.optimizer.is_penalized and fit.n_layers == 1), False, NO_FIGURES),
        # Adam soon overfits few rows. A validation set of fewer than 100 rows is too noisy.
        Rule(f"{FAST}, and 100 <= m < 1,000",
             lambda fit: fit.optimizer.is_fast and 100 <= fit.n_rows < 1_000, True, TABLES),
        Rule(f"{FAST}, and 100 <= m < 4 n",
             lambda fit: fit.optimizer.is_fast and 100 <= fit.n_rows < 4 * fit.n_columns, True,
             "five sets of photographs, one network: log-loss −0.10"),
        # Of many rows some can be spared; in between they help more as training rows.
        Rule("m >= 10,000", lambda fit: fit.n_rows >= 10_000, True, NO_FIGURES),
        Rule("else", _always, False, TABLES),
    ),
    "learning_rate": (
        Rule(f"not {FAST}", lambda fit: not fit.optimizer.is_fast, 0.003, NO_FIGURES),
        Rule("one layer", lambda fit: fit.n_layers == 1,
             lambda fit: min(0.03, 3.0 / max(1, fit.n_inputs)), NO_FIGURES, "min(0.03, 3 / u)"),
        Rule("else", _always, deep_rate,
             "0.003: 34 tables, no figures kept; v: five sets of photographs, log-loss of one "
             "network 0.563 → 0.554, of five 0.539 → 0.526",
             "0.003 min(1, sqrt(256 / u)) min(1, sqrt(256 / v)), times sqrt(batch / 256) if "
             'batch_size is "auto" and above 256'),
    ),
    "learning_rate_schedule": (
        Rule(f"{FAST}, and m >= 20,000",
             lambda fit: fit.optimizer.is_fast and fit.n_rows >= 20_000, "warmup_cosine", LARGE),
        Rule("else", _always, lambda fit: fit.optimizer.default_schedule,
             'prototype, 18 tables, "cosine" for Adam: ROC AUC 0.843 → 0.862, log-loss '
             "0.701 → 0.433", f'{", ".join(SCHEDULES)}, else "{OptimizerKind.default_schedule}"'),
    ),
    "max_iter": (
        Rule("cross-validated", lambda fit: fit.cross_validates,
             lambda fit: min(200, max(50, 10_000 // fit.n_rows)),
             "21 sets of 50 and of 100 rows, no figures kept",
             "10,000 / m, at least 50 and at most 200"),
        Rule(f"{FAST}, m >= 20,000, and one network",
             lambda fit: fit.optimizer.is_fast and fit.n_rows >= 20_000
             and fit.parameters.n_networks == 1, 15, LARGE),
        Rule(f"{FAST}, and m >= 20,000",
             lambda fit: fit.optimizer.is_fast and fit.n_rows >= 20_000, 25,
             "instead of 50, 10 tables: log-loss −0.0016 ± 0.0006, ROC AUC +0.0012, half the time; "
             "with 15, five networks lose up to 0.003 of log-loss"),
        Rule("else", _always, 50, TABLES),
    ),
    "numeric_embedding": (
        # A linear model would not stay linear. For partial_fit m is not known.
        Rule(f"not {FAST}, or partial_fit or a linear model",
             lambda fit: not fit.optimizer.is_fast
             or fit.is_partial_fit or fit.is_linear, None, NOT_MEASURED),
        Rule("more than 200 numeric columns of more than two distinct numbers",
             lambda fit: fit.n_numbers > 200, None, WIDE),
        Rule("more than 16 such columns, and more than 2^26 inputs in all rows",
             lambda fit: fit.n_numbers > 16
             and fit.n_rows * fit.n_numbers * N_INPUTS_OF_NUMBER > MOST_NUMBERS, None,
             NOT_MEASURED),
        # Networks with cosines and networks with bins make different errors, which average out.
        Rule("several networks for classification",
             lambda fit: fit.is_classification and fit.parameters.n_networks > 1, ALTERNATING,
             "70 tables, five networks, in place of bins and none: log-loss −0.0010 ± 0.0004, ROC "
             "AUC +0.0005 ± 0.0004; regression, 16 tables: R² −0.0003 ± 0.0015",
             '"periodic" and "piecewise_linear" in turn'),
        # One network overfits few rows by the embedding.
        Rule("classification, and m < 1,000",
             lambda fit: fit.is_classification and fit.n_rows < 1_000, None, TABLES),
        Rule("else", _always, "piecewise_linear", "70 tables, up to 200 columns and bins between "
             "frequent numbers: log-loss −0.0016 ± 0.0009, ROC AUC +0.0005 ± 0.0005"),
    ),
    "target_encoding": (
        Rule("always", _always, TARGET_ENCODED_FRACTION,
             "the 8 tables with such columns: log-loss of one network −0.022, of five −0.016, "
             "ROC AUC +0.033 and +0.014", "for columns where rare categories that occur more than "
             f"once make up more than {TARGET_ENCODED_FRACTION:.0%} of the rows"),
    ),
    "weight_decay": (
        Rule(f"not {PENALIZED}, or partial_fit",
             lambda fit: not fit.optimizer.is_penalized or fit.is_partial_fit, 0.0, NO_FIGURES),
        Rule("one layer", lambda fit: fit.n_layers == 1, one_layer_decay, NO_FIGURES,
             "v / (4 max(w, 100))"),
        Rule("else", _always, deep_decay,
             "50 / w: 34 tables, no figures kept; n: 70 tables, one network, log-loss "
             "−0.0013 ± 0.0010, ROC AUC +0.0007 ± 0.0004, and five sets of photographs, "
             "log-loss 0.607 → 0.563",
             "the largest of min(0.01, 50 / w), times f if rows are held out, "
             "f / 3 min(1, v / max(w, 100))^2, times 0.3 for several networks, and with "
             "cross-validation min(0.03, 3 / w); f = 0.3 for classification, 0.03 for regression"),
    ),
}
# fmt: on
