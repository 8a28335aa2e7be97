"""Several trainings as one: their networks are stacked, their results separated again.

Every network keeps its own generator, rows, options and early stopping; only the matrix products
are computed together. So each training gives the result of a separate one.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from skdnn.data.batches import StackedBatches
from skdnn.network import Network
from skdnn.training import Progress, TrainingConfig, TrainingResult, make_optimizer, train

from ._request import Request

Results = dict[int, TrainingResult | BaseException]  # by the index of a request


def train_stack(
    requests: list[Request], n_threads: int | None, deliver: Callable[[Results], None]
) -> Results:
    """Train requests with equal stack keys together.

    Requests without a result must be trained again, each alone, because the stack failed.

    Parameters
    ----------
    requests : list of Request
    n_threads : int or None
        None uses as many threads as a separate training.
    deliver : callable
        Called after an epoch with the results of requests that have ended before others.

    Returns
    -------
    dict
        The other results: from the index of a request to its TrainingResult, or to the exception
        that it raised.
    """
    if len(requests) == 1:
        return {0: _train_alone(requests[0], n_threads)}
    states = [[g.get_state() for g in request.generators] for request in requests]
    waiting = dict(enumerate(requests))
    try:
        return _train_together(requests, waiting, n_threads, deliver)
    except BaseException:  # an error of one request must not reach the fits of the others
        for k, request in waiting.items():
            request.stack_key = object()  # alone
            for generator, state in zip(request.generators, states[k], strict=True):
                generator.set_state(state)
        return {}


def _train_alone(request: Request, n_threads: int | None) -> TrainingResult | BaseException:
    def stop_if_cancelled(progress: Progress) -> None:
        if request.call.is_cancelled:
            progress.stop()

    options = {**request.options, "observers": [*request.options["observers"], stop_if_cancelled]}
    config = request.config
    if config.n_threads is None and not request.fixes_n_threads:
        config = replace(config, n_threads=n_threads)
    try:
        return train(request.network, request.batches, request.optimizer, config, **options)
    except BaseException as error:  # raised in the thread of its fit
        return error


def _train_together(
    requests: list[Request],
    waiting: dict[int, Request],
    n_threads: int | None,
    deliver: Callable[[Results], None],
) -> Results:
    """Train requests as one stack; requests with a result are removed from `waiting`."""
    sizes = [request.n_networks for request in requests]
    members = [slice(*pair) for pair in pairwise(np.cumsum([0, *sizes]).tolist())]
    first = requests[0].options
    network = _stacked_network(requests)
    owners = [request for request in requests for _ in range(request.n_networks)]
    config = TrainingConfig.stack([request.config for request in owners])
    config = replace(config, n_threads=n_threads, drop_diverged=True)

    def end_epoch(progress: Progress) -> None:
        stopping = progress.stopping
        for request, own in zip(requests, members, strict=True):
            if request.call.is_cancelled:
                stopping.running[own] = False
        is_active = stopping.is_active(progress.epoch + 1)
        ended = [k for k in waiting if not is_active[members[k]].any()]
        if 0 < len(ended) < len(waiting):
            result = progress.result()
            deliver({k: _result_of(waiting.pop(k), result, members[k]) for k in ended})

    validation, functions = None, dict[str, Any]()
    if first["validation"] is not None:
        of_each = [request.options["validation"] for request in requests]
        validation = StackedBatches(of_each, sizes)
    for name in ("score", "criterion"):
        if first[name] is not None:
            functions[name] = partial(_of_each, name, requests, members)
    result = train(
        network,
        StackedBatches([request.batches for request in requests], sizes),
        make_optimizer(config, network),
        config,
        validation=validation,
        **functions,
        generators=[g for request in requests for g in request.options["generators"]],
        observers=[end_epoch],
    )
    return {k: _result_of(waiting.pop(k), result, members[k]) for k in list(waiting)}


def _stacked_network(requests: list[Request]) -> Network:
    networks = [request.network for request in requests]
    stacked = networks[0].new_stack(sum(request.n_networks for request in requests))
    stacked.theta.copy_(
        torch.cat([network.theta.reshape(-1, stacked.theta.shape[-1]) for network in networks])
    )
    if stacked.embedding is not None:  # then all networks have an equal one, by their stack key
        stacked.embedding = stacked.embedding.concatenated(
            [network.embedding for network in networks if network.embedding is not None]
        )
    return stacked


def _of_each(
    name: str, requests: list[Request], members: list[slice], network: Network, pending: list[int]
) -> np.ndarray:
    """Return the scores of some networks of the stack, each by the function of its request."""
    scores = []
    for request, own in zip(requests, members, strict=True):
        own_pending = [k - own.start for k in pending if own.start <= k < own.stop]
        if own_pending:
            is_stack = request.network.n_networks is not None
            part = network.part(list(range(own.start, own.stop)) if is_stack else own.start)
            scores.append(request.options[name](part, own_pending))
    return np.concatenate(scores)


def _result_of(
    request: Request, result: TrainingResult, own: slice
) -> TrainingResult | BaseException:
    """Return the result of a request from that of the stack, or the error of its networks."""
    failures = [result.failed[k] for k in range(own.start, own.stop) if k in result.failed]
    if failures:
        return failures[0]
    n_epochs = result.n_iter[own].max()
    theta = result.theta[own if request.network.n_networks else own.start]
    request.network.theta.copy_(theta)
    curves: dict[str, Any] = {
        name: None if curve is None else curve[:n_epochs, own]
        for name, curve in vars(result).items()
        if name.endswith("_curve")
    }
    return replace(
        result,
        theta=theta.clone(),
        failed={},
        n_iter=result.n_iter[own],
        best_iter=result.best_iter[own],
        endings=result.endings[own],
        **curves,
    )
