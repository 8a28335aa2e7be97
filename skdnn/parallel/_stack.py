"""Several trainings as one: their networks become a stack, their results are told apart again.

What they end with is what each would have reached alone: every network keeps its own generator,
rows, options and stopping, and only the products are computed together.
"""

import copy
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from skdnn.data.batches import StackedBatches
from skdnn.training import GradientDescent, WeightAverage, train

from ._request import moved_by


def train_stack(requests, are_over, n_threads, hand_out):
    """Train what requests of one kind ask for.

    Those without a result must be trained by themselves, since together they failed.

    Parameters
    ----------
    requests : list of Request
    are_over : callable
        Returns after an epoch for each whether nobody wants its result any more.
    n_threads : int or None
        None is as many as if each were trained alone.
    hand_out : callable
        Called with the results of those that end before the last ones, after their last epoch.

    Returns
    -------
    dict
        The other results: from the position of a request to its TrainingResult, or the exception
        that it raised.
    """
    if len(requests) == 1:
        return {0: _train_alone(*requests, are_over, n_threads)}
    waiting = dict(enumerate(requests))
    states = {k: [g.get_state() for g in request.generators()] for k, request in waiting.items()}
    try:
        return _train_stacked(requests, waiting, are_over, n_threads, hand_out)
    except BaseException:  # none must suffer from another, and each sees itself what is wrong
        for k, request in waiting.items():
            request.is_alone = True
            for generator, state in zip(request.generators(), states[k], strict=True):
                generator.set_state(state)
        return {}


def _train_alone(request, are_over, n_threads):
    def leave(progress):
        if any(are_over()):
            progress.stop()

    options = {**request.options, "observers": [*request.options["observers"], leave]}
    if options["n_threads"] is None and not request.needs_its_threads:
        options["n_threads"] = n_threads
    try:
        return train(request.network, request.batches, request.optimizer, **options)
    except BaseException as error:  # to be raised in the thread of its fit, whatever it is
        return error


def _train_stacked(requests, waiting, are_over, n_threads, hand_out):
    """Train requests as one stack; those whose results are handed out leave `waiting`, a dict."""
    network, members = _stacked_network(requests), _members(requests)
    first = requests[0].options

    def results_of(result, ended):
        return {k: _result_of(waiting.pop(k), result, members[k]) for k in ended}

    def end_epoch(progress):
        stopping = progress.stopping
        for own, is_over in zip(members, are_over(), strict=True):
            if is_over:
                stopping.running[own] = False
        is_trained = stopping.is_active(progress.epoch + 1)
        ended = [k for k in waiting if not is_trained[members[k]].any()]
        if 0 < len(ended) < len(waiting):
            hand_out(results_of(progress.result(), ended))

    result = train(
        network,
        _stacked_batches(requests, [request.batches for request in requests]),
        _stacked_optimizer(requests, network),
        validation=None if first["validation"] is None else _stacked_validation(requests),
        score=None if first["score"] is None else _score_of_each(requests, members),
        loss=first["loss"],
        max_grad_norm=_longest(requests, network),
        tol=np.array(_options(requests, "tol")),
        n_iter_no_change=np.array(_options(requests, "n_iter_no_change")),
        keep_best=first["keep_best"],
        generators=[g for request in requests for g in request.options["generators"]],
        observers=[end_epoch],
        n_threads=n_threads,
        fails_apart=True,
        **_rate(requests, network),
    )
    return results_of(result, list(waiting))


def _rate(requests, network):
    """Return the options of the learning rate; what all have in common as one."""
    rates, schedules, epochs = (
        _options(requests, name) for name in ("learning_rate", "schedule", "max_iter")
    )
    if len(set(rates)) == 1 and len(set(map(id, schedules))) == 1 and len(set(epochs)) == 1:
        return {"learning_rate": rates[0], "schedule": schedules[0], "max_iter": epochs[0]}
    rate = _column(network, rates)
    return {"learning_rate": rate, "schedule": schedules, "max_iter": np.array(epochs)}


def _longest(requests, network):
    """Return to what the gradient of each network is shortened, None where none is."""
    norms = _options(requests, "max_grad_norm")
    if all(norm is None for norm in norms):
        return None
    return _column(network, [math.inf if norm is None else norm for norm in norms])


def _stacked_batches(requests, batches):
    return StackedBatches(batches, [request.n_members for request in requests])


def _stacked_validation(requests):
    return _stacked_batches(requests, [request.options["validation"] for request in requests])


def _of_each(requests, value):
    """Return for each network what a function says of its request."""
    return [value(request) for request in requests for _ in range(request.n_members)]


def _options(requests, name):
    """Return an option of each network."""
    return _of_each(requests, lambda request: request.options[name])


def _column(network, numbers):
    """Return a number of each network as a tensor of shape (M, 1)."""
    return network.theta.new_tensor(numbers).unsqueeze(-1)


def _members(requests):
    """Return for each request which networks of the stack are its own, as slices."""
    edges = np.cumsum([0, *(request.n_members for request in requests)]).tolist()
    return [slice(*pair) for pair in pairwise(edges)]


def _stacked_network(requests):
    one = requests[0].network
    network = one.new_stack(sum(request.n_members for request in requests))
    network.theta.copy_(_rows([request.network.theta for request in requests]))
    if one.input_mask is not None:
        network.input_mask = torch.cat([request.network.input_mask for request in requests])
    return network


def _rows(tensors):
    """Return tensors of shape (P,) or (M, P) as one of shape (M, P)."""
    return torch.cat([tensor if tensor.ndim == 2 else tensor.unsqueeze(0) for tensor in tensors])


def _stacked_optimizer(requests, network):
    optimizers = [moved_by(request.optimizer) for request in requests]
    optimizer = copy.copy(optimizers[0])
    optimizer.theta, optimizer.gradient = network.theta, network.gradient
    optimizer.penalty = _stacked_penalty([optimizer.penalty for optimizer in optimizers], network)
    for name in optimizer.tensors:
        setattr(optimizer, name, _rows([getattr(one, name) for one in optimizers]))
    if isinstance(optimizer, GradientDescent):
        momenta = _of_each(requests, lambda request: moved_by(request.optimizer).momentum)
        optimizer.momentum = _column(network, momenta)
    if not any(isinstance(request.optimizer, WeightAverage) for request in requests):
        return optimizer
    # One that is not averaged has the mean of its last weights alone.
    decays = _of_each(requests, lambda request: getattr(request.optimizer, "decay", 0.0))
    return WeightAverage(optimizer, network.theta, _column(network, decays))


def _stacked_penalty(penalties, network):
    stacked = copy.copy(penalties[0])
    stacked.theta = network.theta
    if any(penalty.decay is not None for penalty in penalties):
        stacked.decay = _rows(
            [
                torch.zeros_like(penalty.theta) if penalty.decay is None else penalty.decay
                for penalty in penalties
            ]
        )
    return stacked


def _score_of_each(requests, members):
    """Return the function from the stack and some of its networks to the score of each."""

    def score(network, pending):
        return np.concatenate(
            [
                _scores(request, network, own, [k for k in pending if own.start <= k < own.stop])
                for request, own in zip(requests, members, strict=True)
            ]
        )

    return score


def _scores(request, network, own, pending):
    """Return what the score of a request says of some networks of the stack."""
    if not pending:
        return []
    is_stack = request.network.n_networks is not None
    its_networks = network.part(list(range(own.start, own.stop)) if is_stack else own.start)
    return request.options["score"](its_networks, [k - own.start for k in pending])


def _result_of(request, result, own):
    """Return the TrainingResult of a request from that of the stack, or what it failed with."""
    failures = [result.failed[k] for k in range(own.start, own.stop) if k in result.failed]
    if failures:
        return failures[0]
    n_epochs = result.n_iter[own].max()
    theta = result.theta[own if request.network.n_networks else own.start]
    request.network.theta.copy_(theta)
    curves = {
        name: None if curve is None else curve[:n_epochs, own]
        for name, curve in vars(result).items()
        if name.endswith("_curve")
    }
    per_network = ("n_iter", "best_iter", "endings")
    return replace(
        result,
        theta=theta.clone(),
        failed={},
        **curves,
        **{name: getattr(result, name)[own] for name in per_network},
    )
