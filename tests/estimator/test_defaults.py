"""The values of "auto": which rule decides, and that the API page shows the rules that run."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from skdnn import DeepBinaryClassifier, DeepRegressor
from skdnn.estimator._defaults import ALTERNATING, CROSS_VALIDATION, DEFAULTS, Facts, value_of
from skdnn.training import optimizer_kind

DOCS = Path(__file__).parents[2] / "docs"
ADAM, ADAMW, SGD, LBFGS = map(optimizer_kind, ("adam", "adamw", "sgd", "lbfgs"))


def facts(n_networks=1, scoring=None, **changes):
    """Return the facts of a fit of 2,000 rows and 10 columns with the default parameters."""
    parameters = SimpleNamespace(**DeepBinaryClassifier().get_params())
    parameters.n_networks, parameters.scoring = n_networks, scoring
    usual = Facts(
        parameters=parameters, optimizer=ADAM, is_classification=True, is_partial_fit=False,
        n_layers=3, is_linear=False, n_columns=10, n_numbers=10, variance=10.0, n_rows=2_000,
        weight=2_000.0, n_rarest=900, has_32_bits=False, can_hold_out=True, needs_float64=False,
        can_make_folds=True, cuda_device=None, previous_dtype=None, n_inputs=170, rows_of_batch=66,
    )  # fmt: skip
    return replace(usual, **changes)


# Each row of each table decides in one of these cases, in the order of the rows.
CASES = {
    "batch_size": [({"n_rows": 64}, None), ({}, 66), ({"optimizer": SGD, "n_rows": 10**6}, 256)],
    "device": [({"cuda_device": torch.device("cuda:1")}, torch.device("cuda:1"))],
    "dtype": [
        ({"previous_dtype": torch.float64, "has_32_bits": True}, torch.float64),
        ({"needs_float64": True, "has_32_bits": True}, torch.float64),
        ({"device_type": "cuda", "n_rows": 10}, torch.float32),
        ({"n_rows": 999}, torch.float64),
        ({"n_rows": 1_000}, torch.float32),
    ],
    "early_stopping": [
        ({"n_networks": 2, "n_rarest": 5}, True),
        ({"n_rows": 399}, CROSS_VALIDATION),
        ({"n_networks": 2, "n_rarest": 4}, False),
        ({"n_rows": 399, "scoring": "roc_auc"}, True),
        ({"n_layers": 1, "n_rows": 20_000}, False),
        ({"n_rows": 400}, True),
        ({"n_rows": 3_999, "n_columns": 1_000}, True),
        ({"optimizer": SGD, "n_rows": 10_000}, True),
        ({"n_rows": 4_000, "n_columns": 1_000}, False),
    ],
    "learning_rate": [
        ({"optimizer": SGD, "n_inputs": 10_000}, 0.003),
        ({"n_layers": 1, "n_inputs": 300}, 0.01),
        ({"n_inputs": 1_024, "variance": 1_024, "rows_of_batch": 1_024}, 0.0015),
    ],
    "learning_rate_schedule": [
        ({"n_rows": 20_000}, "warmup_cosine"),
        ({"optimizer": ADAMW}, "cosine"),
    ],
    "max_iter": [
        ({"n_rows": 100, "cross_validates": True}, 100),
        ({"n_rows": 20_000}, 15),
        ({"n_rows": 20_000, "n_networks": 2}, 25),
        ({"n_rows": 20_000, "optimizer": SGD}, 50),
    ],
    "numeric_embedding": [
        ({"is_linear": True}, None),
        ({"n_numbers": 201}, None),
        ({"n_numbers": 17, "n_rows": 2**26 // (17 * 17) + 1}, None),
        ({"n_networks": 2, "n_rows": 100}, ALTERNATING),
        ({"n_rows": 999}, None),
        ({"is_classification": False, "n_rows": 10}, "piecewise_linear"),
    ],
    "weight_decay": [
        ({"optimizer": ADAMW}, 0.0),
        ({"n_layers": 1, "weight": 50.0}, 10 / 400),
        ({"weight": 10_000.0, "holds_out": True}, 0.3 * 0.005),
    ],
}


@pytest.mark.parametrize(
    ("parameter", "changes", "value"),
    [(parameter, *case) for parameter, cases in CASES.items() for case in cases],
)
def test_the_first_rule_that_holds_decides(parameter, changes, value):
    found = value_of(parameter, facts(**changes))
    assert found == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value)


@pytest.mark.parametrize("parameter", sorted(CASES.keys() - {"device"}))
def test_every_rule_decides_in_some_case(parameter):
    rules = DEFAULTS[parameter]
    for rule, (changes, _) in zip(rules, CASES[parameter], strict=True):
        assert rule == next(rule for rule in rules if rule.holds(facts(**changes)))


@pytest.mark.parametrize("parameter", DEFAULTS)
def test_the_last_rule_always_holds(parameter):
    assert DEFAULTS[parameter][-1].condition in ("else", "always")
    assert DEFAULTS[parameter][-1].holds(facts())


def test_a_given_value_is_not_changed():
    given = facts()
    given.parameters.max_iter = 7
    assert value_of("max_iter", given) == 7


def test_partial_fit_asks_for_nothing_that_depends_on_the_number_of_rows():
    given = facts(is_partial_fit=True)
    assert value_of("weight_decay", given) == 0
    assert value_of("numeric_embedding", given) is None
    assert value_of("dtype", given) == torch.float64


@pytest.mark.parametrize("estimator", [DeepBinaryClassifier, DeepRegressor])
def test_every_parameter_that_is_auto_has_a_table(estimator):
    auto = {name for name, value in estimator().get_params().items() if value == "auto"}
    assert auto - {"init_scale"} == {*DEFAULTS}


def test_the_api_page_shows_the_tables():
    spec = importlib.util.spec_from_file_location("write_defaults", DOCS / "write_defaults.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (DOCS / "defaults.rst").read_text(encoding="utf-8")
    assert page == module.tables(), "run docs/write_defaults.py"
    assert ".. include:: defaults.rst" in (DOCS / "api.rst").read_text(encoding="utf-8")
