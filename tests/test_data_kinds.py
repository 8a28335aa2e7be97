"""Containers and dtypes that fit and predict accept; results equal those of a NumPy array."""

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.datasets import make_moons
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from skdnn import DeepBinaryClassifier

X, Y = make_moons(120, noise=0.2, random_state=0)
FRAME = pd.DataFrame(X, columns=["width", "height"])


def fit(X=X, y=Y, **arguments):
    clf = DeepBinaryClassifier(n_units=8, max_iter=5, batch_size=32, random_state=0)
    return clf.fit(X, y, **arguments)


EXPECTED = fit().predict_proba(X)


def polars_frame():
    return pytest.importorskip("polars").DataFrame({name: FRAME[name] for name in FRAME})


def arrow_table():
    return pytest.importorskip("pyarrow").table(dict(FRAME))


def arrow_backed():
    pytest.importorskip("pyarrow")
    return FRAME.convert_dtypes(dtype_backend="pyarrow")


FRAMES = {
    "pandas": lambda: FRAME,
    "pandas nullable": FRAME.convert_dtypes,
    "pandas on arrow": arrow_backed,
    "polars": polars_frame,
    "arrow": arrow_table,
}
LABELS = {
    "list": Y.tolist,
    "pandas": lambda: pd.Series(Y, dtype="Int64"),
    "arrow": lambda: pytest.importorskip("pyarrow").array(Y),
    "polars": lambda: pytest.importorskip("polars").Series(Y),
    "tensor": lambda: torch.from_numpy(Y),
    "tensor of bool": lambda: torch.from_numpy(Y).bool(),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_and_arrays_give_equal_results(kind):
    frame = FRAMES[kind]()
    clf = fit(frame)
    np.testing.assert_allclose(clf.predict_proba(frame), EXPECTED, rtol=1e-12)
    if kind in ("polars", "arrow") and parse_version(sklearn.__version__) < parse_version("1.9"):
        return  # it may not read the names of newer frames
    assert clf.feature_names_in_.tolist() == ["width", "height"]


@pytest.mark.parametrize("kind", LABELS)
def test_labels_can_be_in_any_container(kind):
    np.testing.assert_allclose(fit(y=LABELS[kind]()).predict_proba(X), EXPECTED, rtol=1e-12)


@pytest.mark.parametrize("missing", [pd.NA, None, np.nan])
def test_kinds_of_missing_values_give_equal_results(missing):
    frame = FRAME.convert_dtypes() if missing is pd.NA else FRAME.copy()
    frame.iloc[3, 1] = missing
    array = X.copy()
    array[3, 1] = np.nan
    expected = fit(array).predict_proba(array)
    np.testing.assert_allclose(fit(frame).predict_proba(frame), expected, rtol=1e-12)
    tensor = torch.from_numpy(array)
    np.testing.assert_allclose(fit(tensor).predict_proba(tensor), expected, rtol=1e-9)


@pytest.mark.parametrize(
    "dtype",
    ["float16", "float32", "float64", "int8", "uint8", "int32", "int64", "bool"],
)
def test_dtypes_of_equal_values_give_equal_results(dtype):
    data = (40 * X).clip(0, 120).astype(dtype)
    narrow = data.dtype in (np.float16, np.float32)
    expected = fit(data.astype("float32" if narrow else "float64")).predict_proba(data)
    clf = fit(data)
    np.testing.assert_allclose(clf.predict_proba(data), expected, rtol=1e-5 if narrow else 1e-12)
    assert expected.dtype == clf.coefs_[0].dtype == ("float32" if narrow else "float64")


LAYOUTS = {
    "by column": np.asfortranarray,
    "backwards": lambda X: X[::-1].copy()[::-1],
    "other byte order": lambda X: X.astype(">f8"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layouts_give_equal_results(layout):
    data = LAYOUTS[layout](X)
    np.testing.assert_allclose(fit(data).predict_proba(data), EXPECTED, rtol=1e-12)


# -- tensors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [lambda T: T, lambda T: T.t().contiguous().t()])
def test_tensors_and_arrays_give_equal_results(layout):
    tensor = layout(torch.from_numpy(X)).requires_grad_()
    clf = fit(tensor, sample_weight=torch.ones(120))
    for method in ("predict_proba", "predict", "decision_function"):
        got = getattr(clf, method)(tensor)
        assert isinstance(got, np.ndarray)
        np.testing.assert_allclose(got, getattr(clf, method)(X), rtol=1e-9)
    np.testing.assert_allclose(clf.predict_proba(X), EXPECTED, rtol=1e-9)


def test_weights_and_validation_sets_can_be_tensors():
    weight = np.random.default_rng(0).integers(0, 3, size=120)
    arguments = {"sample_weight": weight, "X_val": X, "y_val": Y}
    expected = fit(**arguments)
    tensors = {name: torch.from_numpy(value) for name, value in arguments.items()}
    clf = fit(torch.from_numpy(X), torch.from_numpy(Y), **tensors)
    np.testing.assert_allclose(clf.predict_proba(X), expected.predict_proba(X), rtol=1e-9)
    assert clf.validation_loss_curve_ == pytest.approx(expected.validation_loss_curve_, rel=1e-9)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float64, "float64"), (torch.float32, "float32"), (torch.float16, "float32"),
        (torch.bfloat16, "float32"), (torch.int32, "float64"), (torch.uint8, "float64"),
        (torch.bool, "float64"),
    ],
    ids=str,
)  # fmt: skip
def test_the_network_has_the_dtype_of_the_tensor(dtype, expected):
    tensor = torch.from_numpy(40 * X).clamp(0, 120).to(dtype)
    clf = fit(tensor)
    assert clf.coefs_[0].dtype == expected
    numbers = tensor.double().numpy()
    np.testing.assert_allclose(clf.predict_proba(tensor), clf.predict_proba(numbers), atol=1e-6)


def test_tensors_are_standardised_in_float64():
    shifted = torch.from_numpy(X + 1e8)
    clf = fit(shifted)
    np.testing.assert_allclose(clf.predict_proba(shifted), EXPECTED, atol=1e-5)


def test_partial_fit_accepts_tensors():
    tensors, arrays = (DeepBinaryClassifier(n_units=8, random_state=0) for _ in range(2))
    for rows in (slice(0, 60), slice(60, 120)):
        arrays.partial_fit(X[rows], Y[rows], classes=[0, 1])
        tensors.partial_fit(torch.from_numpy(X[rows]), torch.from_numpy(Y[rows]), classes=[0, 1])
    np.testing.assert_allclose(tensors.predict_proba(X), arrays.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.full((120, 2), -torch.inf), "Input X contains infinity"),
        (torch.zeros(120), "Expected 2D array, got 1D array"),
        (torch.zeros(120, 2, 1), "Found array with dim 3"),
        (torch.zeros(0, 2), r"0 sample\(s\)"),
        (torch.zeros(7, 2), "inconsistent numbers of samples"),
        (torch.zeros(120, 2, dtype=torch.complex64), "Complex data not supported"),
        (torch.eye(120, 2).to_sparse(), "X must be a dense tensor"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_invalid_tensors_raise(tensor, message):
    with pytest.raises(ValueError, match=message):
        fit(tensor)


def test_tensors_with_another_number_of_columns_raise():
    with pytest.raises(ValueError, match=r"3 features, but .* expecting 2 features"):
        fit().predict(torch.zeros(4, 3))


def test_tensors_work_in_a_pipeline_that_converts_them_to_arrays():
    model = make_pipeline(StandardScaler(), DeepBinaryClassifier(max_iter=5, random_state=0))
    assert model.fit(torch.from_numpy(X), torch.from_numpy(Y)).score(X, Y) > 0.7


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_tensors_stay_on_their_device(monkeypatch):
    tensor = torch.from_numpy(X).cuda()
    expected = fit(torch.from_numpy(X), y=torch.from_numpy(Y))
    host = torch.Tensor.cpu

    def record(self, *args, **kwargs):
        assert self.numel() < tensor.numel(), "the data went to the host"
        return host(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "cpu", record)
    clf = DeepBinaryClassifier(n_units=1, max_iter=5, dtype="float64", random_state=0)
    clf.fit(tensor, torch.from_numpy(Y).cuda())
    assert clf.device_ == "cuda:0"
    assert clf.predict_proba(tensor).shape == expected.predict_proba(X).shape


# -- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [None, 32])
def test_a_large_file_is_read_batch_by_batch(tmp_path, monkeypatch, batch_size):
    monkeypatch.setattr("skdnn.data.batches._inputs._FILE_WORTH_COPYING", 0)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    parameters = {"n_units": 8, "max_iter": 5, "batch_size": batch_size, "random_state": 0}
    parameters["early_stopping"] = True
    expected = DeepBinaryClassifier(**parameters).fit(X, Y)
    made = []
    original = torch.from_numpy

    def record(array):
        made.append(array.size)
        return original(array)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "from_numpy", record)
        clf = DeepBinaryClassifier(**parameters).fit(mapped, Y)
    np.testing.assert_allclose(clf.predict_proba(mapped), expected.predict_proba(X), rtol=1e-9)
    if batch_size:
        assert max(made) <= 32 * 2 * 8
