"""TrainingConfig: what networks of a stack must have equal, and in what they may differ."""

from dataclasses import field, fields, make_dataclass, replace

import pytest
import torch

from skdnn.network import LOSSES
from skdnn.training import MAY_DIFFER, MUST_BE_EQUAL, TrainingConfig
from skdnn.training._config import option

# Two values of each field.
VALUES = {
    "optimizer": ("adam", "adamw"),
    "loss": (LOSSES["log_loss"], LOSSES["squared_error"]),
    "learning_rate": (0.1, 0.2),
    "schedule": ("constant", "cosine"),
    "momentum": (0.0, 0.9),
    "nesterov": (False, True),
    "weight_decay": (0.0, 0.1),
    "weight_averaging": (0.0, 0.9),
    "max_grad_norm": (None, 1.0),
    "max_iter": (10, 20),
    "tol": (0.0, 1e-4),
    "n_iter_no_change": (5, 10),
    "keep_best": (True, False),
    "first_kept": (1, 3),
    "n_threads": (None, 2),
    "drop_diverged": (False, True),
}


@pytest.mark.parametrize("name", [each.name for each in fields(TrainingConfig)])
def test_configs_that_differ_have_equal_stack_keys_only_where_networks_may_differ(name):
    one, other = (TrainingConfig(**{name: value}) for value in VALUES[name])
    stack = TrainingConfig.stack([one, other])
    (metadata,) = (each.metadata for each in fields(one) if each.name == name)
    assert (one.stack_key() == other.stack_key()) == (metadata == MAY_DIFFER)
    if metadata == MAY_DIFFER:
        assert getattr(stack, name) == VALUES[name]
        assert [stack.part(k) for k in (0, 1)] == [one, other]
        assert stack.part([1, 0]) == TrainingConfig.stack([other, one])


def test_a_part_of_settings_that_all_networks_share_is_the_same():
    config = TrainingConfig(learning_rate=0.5, max_iter=7)
    assert config.part([2, 3]) == config.part(1) == config


def with_field(**options):
    """Return a config with one more field, and one that differs in it."""
    added = [("patience", int, field(default=1, **options))]
    config = make_dataclass("Config", added, bases=(TrainingConfig,), frozen=True)()
    return config, replace(config, patience=2)


def test_a_field_is_refused_until_it_says_whether_networks_may_differ_in_it():
    configs = with_field()
    for use in (configs[0].stack_key, lambda: TrainingConfig.stack(configs)):
        with pytest.raises(TypeError, match=r"Config.patience .*MUST_BE_EQUAL or MAY_DIFFER"):
            use()
    one, other = with_field(metadata=MUST_BE_EQUAL)
    assert one.stack_key() != other.stack_key()
    one, other = with_field(metadata=MAY_DIFFER)
    assert one.stack_key() == other.stack_key()
    assert TrainingConfig.stack([one, other]).patience == (1, 2)


def test_an_option_is_a_column_only_where_networks_differ():
    theta = torch.zeros(3, 5)
    assert option(0.5, theta) == option((0.5, 0.5, 0.5), theta) == 0.5
    assert option((None, None, None), theta) is None
    column = option((None, 0.5, 1.0), theta)
    assert torch.equal(column, torch.tensor([[torch.inf], [0.5], [1.0]]))
