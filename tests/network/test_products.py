"""Products by NumPy and by torch: the same results, chosen by what the machine has."""

from threading import Barrier, Thread

import numpy as np
import pytest
import torch

from skdnn import DeepBinaryClassifier
from skdnn.network import ACTIVATIONS, LOSSES, ONE_BLAS_THREAD, Network, _products


@pytest.fixture
def by_numpy(monkeypatch):
    if _products._openblas() is None:
        pytest.skip("NumPy multiplies with another library than OpenBLAS.")
    monkeypatch.setattr(_products, "numpy_is_faster", lambda: True)


@pytest.fixture
def blas_threads(by_numpy):
    """A function that returns the number of threads of NumPy's OpenBLAS, two at first."""
    library = _products._openblas()
    before = library.get_num_threads()
    library.set_num_threads(2)
    yield library.get_num_threads
    library.set_num_threads(before)


def gradients(n_networks, dtype, rates):
    """Return Z[L] and the gradients of batches of 40, of 9 and again of 40 examples."""
    activations = [ACTIVATIONS["tanh"], ACTIVATIONS["gelu"]]
    network = Network(
        (30, 20, 5, 1), activations, n_networks=n_networks, dropout=rates, dtype=dtype
    )
    generator = torch.Generator().manual_seed(0)
    network.theta.normal_(generator=generator).mul_(0.3)
    results = []
    for m in (40, 9, 40):
        X = torch.randn((m, 31), dtype=dtype, generator=generator).mT
        X[-1] = 1
        y = torch.randint(2, (1, m), generator=generator).to(dtype)
        weight = torch.full((1, m), 1 / m, dtype=dtype)
        masks = [torch.Generator().manual_seed(k) for k in range(n_networks or 1)]
        Z = network.propagate(X, y, weight, LOSSES["log_loss"], masks)
        results += [Z.clone(), network.gradient.clone(), network.raw_predict(X)]
    return results


@pytest.mark.parametrize("rates", [None, (0.5, 0.2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_networks", [None, 3])
def test_numpy_gives_the_gradients_and_predictions_of_torch(n_networks, dtype, rates, monkeypatch):
    by_library = []
    for is_numpy in (False, True):
        monkeypatch.setattr(_products, "numpy_is_faster", lambda is_numpy=is_numpy: is_numpy)
        by_library.append(gradients(n_networks, dtype, rates))
    eps = torch.finfo(dtype).eps
    for torchs, numpys in zip(*by_library, strict=True):
        torch.testing.assert_close(numpys, torchs, rtol=100 * eps, atol=10 * eps)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_fit_by_numpy_repeats_bit_by_bit(by_numpy, optimizer):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5))
    y = X[:, 0] * X[:, 1] > 0
    model = DeepBinaryClassifier(optimizer=optimizer, max_iter=5, random_state=0)
    first, second = (model.fit(X, y).predict_proba(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("has_mkl", "is_amd", "kernel", "expected"),
    [
        (True, True, "SkylakeX", True),
        (True, True, "Cooperlake", True),
        (True, True, "Zen", False),
        (True, True, None, False),
        (True, False, "SkylakeX", False),
        (False, True, "SkylakeX", False),
    ],
)
def test_numpy_multiplies_on_amd_with_avx512(has_mkl, is_amd, kernel, expected, monkeypatch):
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: has_mkl)
    monkeypatch.setattr(_products, "_is_amd", lambda: is_amd)
    monkeypatch.setattr(_products, "_openblas_kernel", lambda: kernel)
    assert _products.numpy_is_faster.__wrapped__() is expected


def test_numpy_has_one_thread_inside_nested_blocks_and_its_own_number_after(blas_threads):
    with ONE_BLAS_THREAD:
        with ONE_BLAS_THREAD:
            assert blas_threads() == 1
        assert blas_threads() == 1
    assert blas_threads() == 2


def test_numpy_has_one_thread_until_the_last_of_several_threads_leaves(blas_threads):
    both_inside, first_left = Barrier(2), Barrier(2)

    def enter_and_leave():
        with ONE_BLAS_THREAD:
            both_inside.wait(60)
        first_left.wait(60)

    with ONE_BLAS_THREAD:
        other = Thread(target=enter_and_leave)
        other.start()
        both_inside.wait(60)
        first_left.wait(60)
        assert blas_threads() == 1
    other.join()
    assert blas_threads() == 2


def test_a_fit_and_a_failed_fit_give_numpys_threads_back(blas_threads):
    X, y = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
    DeepBinaryClassifier(max_iter=2).fit(X, y)
    assert blas_threads() == 2
    with pytest.raises(ValueError, match="learning_rate"):
        DeepBinaryClassifier(learning_rate=-1).fit(X, y)
    assert blas_threads() == 2
