"""What processes that share a fit must have in common."""


def check_same(processes, values):
    """Raise a ValueError where processes that share a fit do not have the same.

    Parameters
    ----------
    processes : SingleProcess or Communicator
    values : dict
        From what it is, for the error, to what this process has.
    """
    for rank, there in enumerate(processes.allgather(values)):
        for name, value in values.items():
            if there[name] != value:
                raise ValueError(
                    f"{name} must be the same in all processes that share a fit, got {value} in "
                    f"process {processes.rank} and {there[name]} in process {rank}."
                )
