"""The reference of the tests: the lecture's formulas in float64, as plain loops.

It does not import skdnn, and is written to be obviously correct, not fast: one example at a time,
and one unit at a time if that is clearer.
"""

import math

import numpy as np


def sigmoid(z):
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def normal_density(z):
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def normal_distribution(z):
    return (1 + math.erf(z / math.sqrt(2))) / 2


def softplus(z):
    return math.log1p(math.exp(-abs(z))) + max(z, 0)


# name: (g, g'), numbers to numbers
ACTIVATIONS = {
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z))),
    "tanh": (math.tanh, lambda z: 1 - math.tanh(z) ** 2),
    "relu": (lambda z: max(0.0, z), lambda z: 1.0 if z > 0 else 0.0),
    "leaky_relu": (lambda z: max(0.01 * z, z), lambda z: 1.0 if z > 0 else 0.01),
    "identity": (lambda z: z, lambda z: 1.0),
    "elu": (lambda z: z if z > 0 else math.expm1(z), lambda z: 1.0 if z > 0 else math.exp(z)),
    "selu": (
        lambda z: 1.0507009873554805 * (z if z > 0 else 1.6732632423543772 * math.expm1(z)),
        lambda z: 1.0507009873554805 * (1.0 if z > 0 else 1.6732632423543772 * math.exp(z)),
    ),
    "gelu": (
        lambda z: z * normal_distribution(z),
        lambda z: normal_distribution(z) + z * normal_density(z),
    ),
    "silu": (
        lambda z: z * sigmoid(z),
        lambda z: sigmoid(z) * (1 + z * (1 - sigmoid(z))),
    ),
    "mish": (
        lambda z: z * math.tanh(softplus(z)),
        lambda z: math.tanh(softplus(z)) + z * (1 - math.tanh(softplus(z)) ** 2) * sigmoid(z),
    ),
}


def cross_entropy(z, y):
    """-(y log ŷ + (1 - y) log(1 - ŷ)) with ŷ = σ(z)."""
    return y * softplus(-z) + (1 - y) * softplus(z)


def squared_error_of_sigmoid(z, y):
    return (sigmoid(z) - y) ** 2 / 2


def sign(z):
    return int(z > 0) - int(z < 0)


def quantile_error(z, y, q=0.3):
    return q * (y - z) if z < y else (1 - q) * (z - y)


# 1 - σ(z) is computed as σ(-z), which loses no digits if σ(z) is close to 1.
# name: (loss, its derivative with respect to the logit)
LOSSES = {
    "log_loss": (cross_entropy, lambda z, y: sigmoid(z) - y),
    "squared_error": (
        squared_error_of_sigmoid,
        lambda z, y: (sigmoid(z) - y) * sigmoid(z) * sigmoid(-z),
    ),
}
# Losses for regression, with a linear output; the quantile is 0.3.
LINEAR_LOSSES = {
    "squared_error": (lambda z, y: (z - y) ** 2 / 2, lambda z, y: z - y),
    "absolute_error": (lambda z, y: abs(z - y), lambda z, y: sign(z - y)),
    "quantile": (quantile_error, lambda z, y: -0.3 if z < y else 0.7 if z > y else 0.0),
}


def forward_one(x, W, b, activation):
    """Propagate one example forward; return lists of its Z[l] and A[l], A[0] = x."""
    g = ACTIVATIONS[activation][0]
    Z, A = [None], [np.asarray(x, dtype=float)]
    for l in range(len(W)):
        Z.append(W[l].T @ A[l] + b[l])
        is_output = l == len(W) - 1
        A.append(Z[-1] if is_output else np.array([g(z) for z in Z[-1]]))
    return Z, A


def logits(X, W, b, activation):
    return np.array([forward_one(x, W, b, activation)[0][-1][0] for x in X])


def cost(X, y, weight, W, b, activation, loss="log_loss"):
    """J = Σ weight * loss / Σ weight."""
    Z = logits(X, W, b, activation)
    total = sum(w * LOSSES[loss][0](z, t) for z, t, w in zip(Z, y, weight, strict=True))
    return total / sum(weight)


def gradients(X, y, weight, W, b, activation, derivative=LOSSES["log_loss"][1]):
    """Return dJ/dW and dJ/db, the weighted mean of the gradients of the examples.

    With several outputs, y has a row for each example, and the loss is averaged over the outputs.
    """
    g_prime = ACTIVATIONS[activation][1]
    dW, db = [np.zeros_like(w) for w in W], [np.zeros_like(v) for v in b]
    for x, t, w in zip(X, y, weight, strict=True):
        Z, A = forward_one(x, W, b, activation)
        slopes = [derivative(z, number) for z, number in zip(Z[-1], np.atleast_1d(t), strict=True)]
        dZ = w / sum(weight) * np.array(slopes) / len(slopes)
        for l in range(len(W) - 1, -1, -1):
            dW[l] += np.outer(A[l], dZ)
            db[l] += dZ
            if l > 0:
                dZ = (W[l] @ dZ) * np.array([g_prime(z) for z in Z[l]])
    return dW, db


def gradient_descent(X, y, W, b, activation, learning_rate, n_steps):
    """Take full-batch steps W := W - α dW; return W, b and the cost before each step."""
    W, b, weight = [w.copy() for w in W], [v.copy() for v in b], np.ones(len(y))
    costs = []
    for _ in range(n_steps):
        costs.append(cost(X, y, weight, W, b, activation))
        dW, db = gradients(X, y, weight, W, b, activation)
        W = [w - learning_rate * d for w, d in zip(W, dW, strict=True)]
        b = [v - learning_rate * d for v, d in zip(b, db, strict=True)]
    return W, b, costs
