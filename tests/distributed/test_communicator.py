"""Tests that a communicator of several processes has methods of its own."""

from skdnn.distributed import Communicator
from skdnn.processes import SingleProcess


def test_a_communicator_overrides_every_method_of_a_single_process():
    methods = {name for name, value in vars(SingleProcess).items() if callable(value)}
    assert {name for name in methods if not name.startswith("_")} <= vars(Communicator).keys()
