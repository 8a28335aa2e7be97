"""What processes that share a fit must have in common."""


def check_same(processes, told):
    """Raise a ValueError where processes that share a fit do not have the same.

    Parameters
    ----------
    processes : Alone or ProcessGroup
    told : dict
        From what it is, for the error, to what this process has.
    """
    for rank, there in enumerate(processes.gathered(told)):
        for name, value in told.items():
            if there[name] != value:
                raise ValueError(
                    f"{name} must be the same in all processes that share a fit, got {value} in "
                    f"process {processes.rank} and {there[name]} in process {rank}."
                )
