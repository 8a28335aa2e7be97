"""Fits of files compared with fits in memory, and their errors."""

import datetime as dt
import threading
import time
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, r2_score, roc_auc_score

from skdnn import DeepBinaryClassifier, DeepRegressor
from skdnn.data.streaming import _file_statistics, open_source
from skdnn.data.streaming._file_statistics import FileColumns, TrainingFile
from skdnn.data.streaming._streamed_batches import READER, StreamedBatches
from skdnn.data.targets import TwoClasses
from skdnn.processes import SingleProcess, use_processes

N = 600
SMALL = {"n_units": 8, "max_iter": 2, "random_state": 0}
ALL_ROWS = {**SMALL, "early_stopping": False}


def numbers(n, n_columns=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, n_columns))


def table_of(X, y):
    return pa.table([*X.T, y], names=[*(f"x{j}" for j in range(X.shape[1])), "y"])


@pytest.fixture(scope="module")
def table():
    """Return a table with a column of each type, and a label."""
    rng, X = np.random.default_rng(0), numbers(N)
    is_missing = rng.random(N) < 0.1
    columns = {
        "number": X[:, 0],
        "narrow": X[:, 1].astype(np.float32),
        "half": X[:, 2].astype(np.float16),
        "count": pa.array(rng.integers(0, 9, N), mask=is_missing),
        "decimal": [Decimal(k) / 4 for k in rng.integers(0, 99, N).tolist()],
        "day": [dt.date(2020, 1, 1) + dt.timedelta(k) for k in rng.integers(0, 900, N).tolist()],
        "time": [dt.datetime(2020, 1, 1, k % 24, tzinfo=dt.timezone.utc) for k in range(N)],
        "text": pa.array(np.array(["a", "b", "c"])[rng.integers(0, 3, N)], mask=is_missing),
        "coded": pa.array([f"category {k % 40}" for k in range(N)]).dictionary_encode(),
        "flag": rng.random(N) < 0.3,
        "nothing": pa.nulls(N),
        "y": X[:, 0] + X[:, 1] > 0,
    }
    return pa.table(columns)


@pytest.fixture
def write(tmp_path):
    def write(table, rows_of_a_group=100, name="t.parquet"):
        pq.write_table(table, tmp_path / name, row_group_size=rows_of_a_group)
        return tmp_path / name

    return write


@pytest.fixture
def small_buffers(monkeypatch):
    monkeypatch.setattr(_file_statistics, "_BUFFER_BYTES", 2**16)
    monkeypatch.setattr(_file_statistics, "_SAMPLE_BYTES", 2**17)


def fit_in_memory(estimator, table, weight=None, **parameters):
    X = table.drop_columns(["y"] if weight is None else ["y", weight])
    return estimator(**parameters).fit(X, table["y"], None if weight is None else table[weight])


def assert_same_encoding(fitted, other):
    assert fitted.input_encoding_.keys() == other.input_encoding_.keys()
    for name, array in fitted.input_encoding_.items():
        np.testing.assert_allclose(array, other.input_encoding_[name], rtol=1e-9, atol=1e-12)


# Statistics


@pytest.mark.filterwarnings("ignore:The output starts saturated")
@pytest.mark.parametrize("standardize", ["smooth_clip", True, "robust", False])
@pytest.mark.parametrize("rows_of_a_group", [N, 70])
def test_the_encoding_equals_that_of_a_fit_in_memory(table, write, standardize, rows_of_a_group):
    options = {**ALL_ROWS, "numeric_embedding": "piecewise_linear", "shuffle": False}
    options["standardize"] = standardize
    clf = DeepBinaryClassifier(**options).fit(write(table, rows_of_a_group), "y")
    other = fit_in_memory(DeepBinaryClassifier, table, **options)
    assert_same_encoding(clf, other)
    assert clf.column_kinds_ == other.column_kinds_
    assert clf.feature_names_in_.tolist() == other.feature_names_in_.tolist()
    assert [categories.tolist() for categories in clf.categories_] == [
        categories.tolist() for categories in other.categories_
    ]
    assert clf.t_ == other.t_ == 2 * N
    np.testing.assert_allclose(clf.loss_curve_, other.loss_curve_, rtol=1e-5)


@pytest.mark.parametrize("class_weight", [None, "balanced", {True: 3.0}])
def test_weights_have_the_same_effect_as_in_memory(table, write, class_weight):
    weight = np.random.default_rng(0).random(N) * (np.arange(N) % 3 > 0)
    weighted = table.append_column("weight", pa.array(weight))
    options = {**ALL_ROWS, "class_weight": class_weight}
    clf = DeepBinaryClassifier(**options).fit(write(weighted), "y", sample_weight="weight")
    assert_same_encoding(clf, fit_in_memory(DeepBinaryClassifier, weighted, "weight", **options))
    assert clf.t_ == 2 * 400


@pytest.mark.parametrize(
    "y", [np.where(np.arange(N) % 2, "yes", "no"), np.arange(N) % 2 > 0, np.arange(N) % 2 * 3]
)
@pytest.mark.parametrize("is_coded", [False, True])
def test_labels_may_be_text_booleans_or_integers(write, y, is_coded):
    y = pa.array(y).dictionary_encode() if is_coded else pa.array(y)
    table = pa.table({"x": numbers(N)[:, 0], "y": y})
    clf = DeepBinaryClassifier(**SMALL).fit(write(table), "y")
    other = fit_in_memory(DeepBinaryClassifier, table, **SMALL)
    assert clf.classes_.dtype == other.classes_.dtype
    assert clf.classes_.tolist() == other.classes_.tolist()


INSTANTS = [dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, 7)]
LABELS = {
    "days": pa.array([dt.date(2020, 1, 1), dt.date(2020, 1, 2)]),
    "days in ms": pa.array([dt.date(2020, 1, 1), dt.date(2020, 1, 2)], pa.date64()),
    **{unit: pa.array(INSTANTS, pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")},
    "zoned": pa.array(INSTANTS, pa.timestamp("us", "UTC")),
    "zoned in ns": pa.array(INSTANTS, pa.timestamp("ns", "Asia/Tokyo")),
    **{f"{unit} of time": pa.array([1, 2], pa.duration(unit)) for unit in ("s", "us", "ns")},
    "decimals": pa.array([Decimal(0), Decimal(1)]),
    "half": pa.array(np.array([0, 1], dtype=np.float16)),
    "unsigned": pa.array([2**63, 2**63 + 1], pa.uint64()),
    "large text": pa.array(["no", "yes"], pa.large_string()),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_of_any_type_equal_those_of_a_fit_in_memory(write, labels):
    table = pa.table({"x": numbers(N)[:, 0], "y": labels.take(pa.array(np.arange(N) % 2))})
    path = write(table)
    clf = DeepBinaryClassifier(**ALL_ROWS, class_weight="balanced").fit(path, "y")
    other = fit_in_memory(DeepBinaryClassifier, pq.read_table(path), **ALL_ROWS)
    assert clf.classes_.dtype == other.classes_.dtype
    np.testing.assert_array_equal(clf.classes_, other.classes_)
    assert clf.score(path, "y") == np.mean(clf.predict(path) == clf.classes_[np.arange(N) % 2])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (pa.array([dt.time(1), dt.time(2)]), "Unknown label type"),
        (pa.array([b"a", b"b"]), "Support for labels represented as bytes is not supported"),
        (pa.array([Decimal("0.5"), Decimal(1)]), "Unknown label type: continuous"),
    ],
)
def test_invalid_labels_are_rejected_as_in_memory(write, labels, message):
    table = pa.table({"x": numbers(N)[:, 0], "y": labels.take(pa.array(np.arange(N) % 2))})
    with pytest.raises((TypeError, ValueError), match=message):
        DeepBinaryClassifier(**SMALL).fit(write(table), "y")
    with pytest.raises((TypeError, ValueError), match=message):
        fit_in_memory(DeepBinaryClassifier, table, **SMALL)


@pytest.mark.parametrize("kind", ["numbers", "NaN", "text", "categories", "days"])
def test_missing_labels_are_counted_in_the_whole_file(write, kind):
    is_missing, whole = np.arange(N) % 100 == 99, np.arange(N) % 2
    y = {
        "numbers": pa.array(whole, mask=is_missing),
        "NaN": pa.array(np.where(is_missing, np.nan, whole)),
        "text": pa.array(np.where(whole, "a", "b"), mask=is_missing),
        "categories": pa.array(np.where(whole, "a", "b"), mask=is_missing).dictionary_encode(),
        "days": pa.array(whole.astype(np.int32), pa.date32(), mask=is_missing),
    }[kind]
    table = pa.table({"x": np.arange(N), "y": y})
    message = "Input y contains NaN: 6 of 600 labels are missing"
    with pytest.raises(ValueError, match=message):
        DeepBinaryClassifier(**SMALL).fit(write(table, 50), "y")
    with pytest.raises(ValueError, match=message):
        fit_in_memory(DeepBinaryClassifier, table, **SMALL)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_statistics_of_numeric_y_equal_those_in_memory(table, write, loss):
    table = table.set_column(table.column_names.index("y"), "y", pa.array(np.arange(N) * 1e6))
    options = {**ALL_ROWS, "loss": loss, "shuffle": False}
    reg = DeepRegressor(**options).fit(write(table), "y")
    other = fit_in_memory(DeepRegressor, table, **options)
    for name, values in reg._target.items():
        np.testing.assert_allclose(values, other._target[name], rtol=1e-12)
    np.testing.assert_allclose(reg.loss_curve_, other.loss_curve_, rtol=1e-6)


def test_a_constant_y_is_predicted_exactly(write):
    table = table_of(numbers(N), np.full(N, 0.1))
    assert (
        DeepRegressor(**SMALL).fit(write(table), "y").predict(table.drop_columns("y")) == 0.1
    ).all()


def test_an_outlier_does_not_distort_the_standardisation(write, small_buffers):
    X = numbers(20_000)
    X[77, 0] = 1e9
    clf = DeepBinaryClassifier(**ALL_ROWS).fit(write(table_of(X, X[:, 1] > 0), 5_000), "y")
    assert abs(clf.input_encoding_["center"][0]) < 0.1
    assert 0.8 < clf.input_encoding_["inverse_scale"][0] < 1.2


@pytest.mark.parametrize("n_ones", [1, 3, 300])
def test_a_column_of_two_numbers_is_scaled_by_all_rows(write, small_buffers, n_ones):
    X = numbers(20_000, 2)
    X[:, 1] = np.arange(20_000) >= 20_000 - n_ones  # a single one is not in the sample
    table, y = table_of(X, X[:, 0] > 0), X[:, 0] > 0
    options = {**ALL_ROWS, "max_iter": 1, "batch_size": 1_000}
    clf = DeepBinaryClassifier(**options).fit(write(table), "y")
    other = DeepBinaryClassifier(**options).fit(X, y)
    for name in ("center", "inverse_scale"):
        expected = other.input_encoding_[name][1]
        np.testing.assert_allclose(clf.input_encoding_[name][1], expected, rtol=1e-9)
    assert clf.input_encoding_["inverse_scale"][1] == 2


def test_categories_are_counted_in_all_rows_not_only_in_the_sample(write, small_buffers):
    n = 20_000
    category = np.where(np.arange(n) % 2_000 == 0, "rare", "common")
    table = pa.table({"x": numbers(n)[:, 0], "category": category, "y": np.arange(n) % 2})
    clf = DeepBinaryClassifier(**ALL_ROWS).fit(write(table, 1_000), "y")
    assert clf.categories_[0].tolist() == ["common", "rare"]


# Chunks without rows of some class, weight or value

FEW = np.arange(120)
HALVES = FEW // 60  # constant within each row group
SPARSE_COLUMNS = {
    "no row to hold out": {},
    "labels alike": {"y": HALVES},
    "no weight": {"weight": (FEW // 10 % 3 > 0) * 1.0},
    "one weight": {"weight": (FEW == 33) + (FEW == 44) * 1.0},
    "no value": {"x0": pa.array(FEW / 7, mask=HALVES > 0)},
    "one value": {"x0": HALVES * 1.0},
    "one category": {"x0": np.where(HALVES, "a", "b")},
}


@pytest.mark.parametrize("estimator", [DeepBinaryClassifier, DeepRegressor])
@pytest.mark.parametrize("columns", SPARSE_COLUMNS.values(), ids=SPARSE_COLUMNS)
@pytest.mark.parametrize("early_stopping", [False, "auto"])
def test_chunks_may_lack_labels_weights_and_values(write, estimator, columns, early_stopping):
    table = table_of(numbers(len(FEW)), FEW % 2)
    for name, values in columns.items():
        table = column(name, values)(table)
    weight = "weight" if "weight" in columns else None
    options = {**SMALL, "early_stopping": early_stopping}
    path = write(table, 10)
    fitted = estimator(**options).fit(path, "y", sample_weight=weight)
    assert np.isfinite(fitted.predict(path)).all()
    if not early_stopping:
        other = fit_in_memory(estimator, table, weight, **options)
        assert_same_encoding(fitted, other)
        for name, values in getattr(fitted, "_target", {}).items():
            np.testing.assert_allclose(values, other._target[name], rtol=1e-12)


@pytest.mark.parametrize("estimator", [DeepBinaryClassifier, DeepRegressor])
def test_chunks_may_have_no_held_out_rows(write, monkeypatch, estimator):
    """As with three million rows, where 2 % are held out."""
    monkeypatch.setattr(_file_statistics, "_MAX_SAMPLE_ROWS", 20)
    monkeypatch.setattr(_file_statistics, "_MAX_CHUNK_ROWS", 25)
    table = table_of(numbers(1_000), np.arange(1_000) % 2)
    fitted = estimator(**SMALL, early_stopping=True).fit(write(table, 50), "y")
    assert 5 < 1_000 - fitted.t_ / 2 < 40


def test_early_stopping_auto_is_off_without_rows_to_hold_out(write):
    path = write(table_of(numbers(100), np.arange(100) % 2))
    options = {**SMALL, "validation_fraction": 0.01}  # no row of this file is chosen
    fitted = DeepRegressor(**options).fit(path, "y")
    assert fitted.t_ == 2 * 100
    with pytest.raises(ValueError, match="early_stopping must find rows to hold out"):
        DeepRegressor(**options, early_stopping=True).fit(path, "y")


def test_early_stopping_needs_held_out_rows_of_both_classes(write):
    is_rare = np.isin(np.arange(N), [0, 1, 2, 3, 4, 7])  # none of these rows is chosen
    path = write(table_of(numbers(N), is_rare))
    options = {**SMALL, "validation_fraction": 0.2}
    fitted = DeepBinaryClassifier(**options).fit(path, "y")
    assert fitted.t_ == 2 * N
    with pytest.raises(ValueError, match="early_stopping must find rows of each class to hold"):
        DeepBinaryClassifier(**options, early_stopping=True).fit(path, "y")


def learn(estimator, table, test, path=None, **options):
    """Return the test scores of a fit of a file, or of a table in memory."""
    options = {"max_iter": 6, "n_units": 32, "batch_size": 256, "random_state": 0, **options}
    if path is None:
        fitted = fit_in_memory(estimator, table, early_stopping=False, **options)
    else:
        fitted = estimator(early_stopping=False, **options).fit(path, "y")
    X, y = test.drop_columns("y"), test["y"].to_numpy()
    if estimator is DeepRegressor:
        return {"R²": r2_score(y, fitted.predict(X))}
    p = fitted.predict_proba(X)[:, 1].astype(float)
    return {"ROC AUC": roc_auc_score(y, p), "log-loss": log_loss(y, p)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "rows_of_a_group"),
    [("half", 1_000), ("half", 10**6), ("3 %", 10**6), ("numbers", 1_000)],
)
def test_a_sorted_file_gives_the_same_scores_as_rows_in_memory(
    write, small_buffers, kind, rows_of_a_group
):
    rng, w = np.random.default_rng(1), np.random.default_rng(2).normal(size=6)

    def draw(n):
        X = rng.normal(size=(n, 6)).astype(np.float32)
        z = X @ w + X[:, 0] * X[:, 1]
        if kind == "numbers":
            return table_of(X, z + 0.3 * rng.normal(size=n))
        return table_of(X, z + rng.logistic(size=n) > (0 if kind == "half" else 6))

    table, test = draw(30_000), draw(20_000)
    order = np.argsort(table["y"].to_numpy(), kind="stable")
    path = write(table.take(order), rows_of_a_group)
    estimator = DeepRegressor if kind == "numbers" else DeepBinaryClassifier
    in_memory, of_file = learn(estimator, table, test), learn(estimator, table, test, path)
    assert of_file == pytest.approx(in_memory, abs=0.01)


@pytest.mark.slow
def test_the_validation_set_is_not_trained_on(write, small_buffers):
    X = numbers(20_000)
    path = write(table_of(X, X[:, 0] > 0), 3_000)
    clf = DeepBinaryClassifier(n_units=8, max_iter=3, random_state=0).fit(path, "y")
    n_held = 20_000 - clf.t_ / 3
    assert 1_600 < n_held < 2_400
    assert len(clf.validation_loss_curve_) == 3
    assert clf.best_validation_score_ > 0.95
    with_validation_set = DeepBinaryClassifier(n_units=8, max_iter=3, random_state=0)
    with_validation_set.fit(
        path, "y", X_val=table_of(X, X[:, 0] > 0).drop_columns("y"), y_val=X[:, 0] > 0
    )
    assert with_validation_set.t_ == 60_000
    assert len(with_validation_set.validation_loss_curve_) == 3


def test_nearly_all_weights_may_be_zero(write, small_buffers):
    X, weight = numbers(20_000), np.zeros(20_000)
    weight[[5, 800, 9_000, 19_000]] = 1
    table = table_of(X, np.arange(20_000) % 2).append_column("w", pa.array(weight))
    table = table.set_column(4, "y", pa.array((np.arange(20_000) > 1_000).astype(int)))
    clf = DeepBinaryClassifier(**ALL_ROWS).fit(write(table, 1_000), "y", sample_weight="w")
    assert clf.t_ == 8


# Batches


@settings(max_examples=20, deadline=None)
@given(
    rows_of_a_group=st.integers(10, 200),
    batch_size=st.integers(1, 300),
    buffer_rows=st.integers(30, 250),
    n_micro_batches=st.integers(1, 3),
    shuffles=st.booleans(),
)
def test_each_row_is_in_one_batch_and_batches_have_the_right_size(
    rows_of_a_group, batch_size, buffer_rows, n_micro_batches, shuffles
):
    import torch

    from skdnn.data.encoding import identity_encoder
    from skdnn.data.streaming import Rows

    n = 200
    number = np.arange(n, dtype=np.float64)
    whole = pa.table({"x": number, "y": number % 2})
    parts = [whole.slice(k, rows_of_a_group) for k in range(0, n, rows_of_a_group)]
    source = open_source(ds.dataset(parts))
    columns = FileColumns(source, ["x"], None, "y", None, TwoClasses)
    statistics = columns.statistics(0.1)
    statistics.buffer_rows = buffer_rows
    target = TwoClasses(np.array([0.0, 1.0]))
    file = TrainingFile(statistics, target, None, number[:2, None], with_held_out=True)
    generators = [torch.Generator("cpu").manual_seed(0)] if shuffles else []
    batches = StreamedBatches(
        file,
        statistics.summary({}, with_held_out=True),
        identity_encoder(1),
        target,
        Rows(number[:2, None], np.array([0, 1]), np.ones(2)),
        torch.float64,
        torch.device("cpu"),
        batch_size=batch_size,
        generators=generators,
    ).in_micro_batches(n_micro_batches)
    steps, seen = [], []
    for part in batches.parts():
        assert part.y.shape[-1] <= batches.n_rows_in_memory
        for micro_batches in part.steps:
            rows = torch.cat([X()[0] for X, _, _ in micro_batches])
            y = torch.cat([y[0] for _, y, _ in micro_batches])
            assert torch.equal(rows % 2, y)
            assert (
                len(micro_batches) >= min(n_micro_batches, len(rows))
                or len(rows) < batches.batch_size
            )
            steps.append(len(rows))
            seen += rows.int().tolist()
    assert len(steps) == batches.n_steps
    assert set(steps[:-1]) <= {batches.batch_size}
    assert sorted(seen) == list(range(n))
    assert shuffles or seen == list(range(n))


def test_random_state_determines_the_result(write, small_buffers):
    X = numbers(5_000)
    path = write(table_of(X, X[:, 0] > 0), 500)
    first, again, other = (
        DeepBinaryClassifier(**{**SMALL, "random_state": seed}).fit(path, "y") for seed in (0, 0, 1)
    )
    assert all(map(np.array_equal, first.coefs_, again.coefs_))
    assert not np.array_equal(first.coefs_[0], other.coefs_[0])


def test_a_fit_resumed_from_a_checkpoint_is_bit_identical(write, small_buffers, tmp_path):
    from sklearn.utils.validation import check_is_fitted

    from skdnn import Checkpoint

    class Killed(Exception):
        pass

    X, epochs = numbers(5_000), []
    path = write(table_of(X, X[:, 0] > 0), 500)

    def schedule(epoch, max_iter):
        epochs.append(epoch)
        if len(epochs) == 60 and epoch > 1:
            raise Killed
        return 1 - epoch / max_iter

    options = {"n_units": 8, "max_iter": 4, "random_state": 0, "dropout": 0.1, "batch_size": 256}
    whole = DeepBinaryClassifier(**options, learning_rate_schedule=schedule)
    epochs += [0] * 100
    whole.fit(path, "y")
    epochs.clear()
    checkpoint = Checkpoint(tmp_path / "c", every_epochs=1)
    clf = DeepBinaryClassifier(**options, learning_rate_schedule=schedule, checkpoint=checkpoint)
    with pytest.raises(Killed):
        clf.fit(path, "y")
    clf.fit(path, "y")
    check_is_fitted(clf)
    assert all(map(np.array_equal, clf.coefs_, whole.coefs_))
    pq.write_table(table_of(X, X[:, 1] > 0), path)
    with pytest.raises(ValueError, match="belongs to a fit with other parameters or data"):
        clf.fit(path, "y")


def threads_end():
    """Wait for reader threads to end, and return whether they did."""

    def is_reading():
        return any(thread.name.startswith(READER) for thread in threading.enumerate())

    deadline = time.monotonic() + 60
    while is_reading() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_reading()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_threads_end_after_an_error(write, small_buffers, error):
    X = numbers(20_000)
    path = write(table_of(X, X[:, 0] > 0), 500)

    def schedule(epoch, max_iter):
        if epoch > 0.5:
            raise error
        return 1.0

    clf = DeepBinaryClassifier(**SMALL, learning_rate_schedule=schedule)
    with pytest.raises(error):
        clf.fit(path, "y")
    assert threads_end()
    assert not hasattr(clf, "coefs_")


def test_a_file_changed_during_the_fit_is_an_error(write, small_buffers):
    X = numbers(20_000)
    path = write(table_of(X, X[:, 0] > 0), 500)

    def schedule(epoch, max_iter):
        if epoch == 1:
            write(table_of(X[:10_000], X[:10_000, 0] > 0), 500)
        return 1.0

    clf = DeepBinaryClassifier(**SMALL, learning_rate_schedule=schedule)
    with pytest.raises(ValueError, match=r"X has changed while it was read"):
        clf.fit(path, "y")
    assert threads_end()


def test_verbose_prints_the_number_of_rows_read(write, capsys):
    X = numbers(N)
    DeepBinaryClassifier(**SMALL, verbose=1).fit(write(table_of(X, X[:, 0] > 0)), "y")
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("read 600 of 600 rows, 0.")
    assert second.startswith("epoch 1/2: cost ")


# Sources


def assert_same_as_in_memory(X, table):
    clf = DeepBinaryClassifier(**ALL_ROWS).fit(X, "y")
    other = fit_in_memory(
        DeepBinaryClassifier, table.select([*clf.feature_names_in_, "y"]), **ALL_ROWS
    )
    assert_same_encoding(clf, other)
    assert clf.t_ == other.t_
    found, wanted = clf.predict_proba(X), clf.predict_proba(table.drop_columns("y"))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert clf.score(X, "y") == clf.score(table.drop_columns("y"), table["y"])


@pytest.fixture(scope="module")
def mixed_table():
    X = numbers(N)
    part = np.array(["a", "b", "c"])[np.arange(N) * 3 // N]
    columns = {"x": X[:, 0], "z": X[:, 1], "part": part, "y": X[:, 0] + X[:, 1] > 0}
    return pa.table(columns)


def test_a_folder_partitioned_by_a_column(mixed_table, tmp_path):
    pq.write_to_dataset(mixed_table, tmp_path / "d", partition_cols=["part"], row_group_size=50)
    assert_same_as_in_memory(str(tmp_path / "d"), mixed_table)
    assert_same_as_in_memory(ds.dataset(tmp_path / "d", partitioning="hive"), mixed_table)


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_filtered_dataset_is_an_error_that_says_how_to_write_its_rows(
    mixed_table, write, tmp_path, in_memory
):
    path, chosen = write(mixed_table), ds.field("x") > 0.1
    filtered = ds.dataset(mixed_table if in_memory else path).filter(chosen)
    clf = DeepBinaryClassifier(**SMALL).fit(path, "y")
    with pytest.raises(ValueError, match="X must be a PyArrow dataset without a filter"):
        clf.predict(filtered)
    with pytest.raises(ValueError, match=r"write_dataset\(X, folder, format='parquet'\)"):
        DeepBinaryClassifier(**SMALL).fit(filtered, "y")
    ds.write_dataset(filtered, tmp_path / "d", format="parquet")
    assert_same_as_in_memory(tmp_path / "d", mixed_table.filter(chosen))


@pytest.mark.parametrize("kind", ["csv", "ipc", "parquet"])
def test_a_dataset_of_other_formats(mixed_table, tmp_path, kind):
    ds.write_dataset(mixed_table, tmp_path / "d", format=kind)
    assert_same_as_in_memory(ds.dataset(tmp_path / "d", format=kind), mixed_table)


def test_a_dataset_of_tables_in_memory(mixed_table):
    assert_same_as_in_memory(
        ds.dataset([mixed_table.slice(0, 100), mixed_table.slice(100)]), mixed_table
    )


def test_a_polars_lazyframe_is_an_error_that_says_what_to_pass(mixed_table, tmp_path):
    pl = pytest.importorskip("polars")
    pl.from_arrow(mixed_table).write_parquet(tmp_path / "p.parquet", row_group_size=77)
    scan = pl.scan_parquet(tmp_path / "p.parquet")
    clf = DeepBinaryClassifier(**SMALL).fit(tmp_path / "p.parquet", "y")
    for call in (lambda: clf.fit(scan, "y"), lambda: clf.predict(scan)):
        with pytest.raises(TypeError, match=r"got a polars LazyFrame\. Pass the paths .*collect"):
            call()
    assert_same_as_in_memory(tmp_path / "p.parquet", mixed_table)
    scan.filter(pl.col("x") > 0.1).sink_parquet(tmp_path / "f.parquet")
    assert_same_as_in_memory(tmp_path / "f.parquet", mixed_table.filter(ds.field("x") > 0.1))


def test_files_written_by_pandas_and_empty_row_groups(mixed_table, tmp_path):
    frame = mixed_table.to_pandas().astype({"part": "category"})
    frame.to_parquet(tmp_path / "f.parquet", row_group_size=99)
    assert_same_as_in_memory(tmp_path / "f.parquet", mixed_table)
    with pq.ParquetWriter(tmp_path / "e.parquet", mixed_table.schema) as writer:
        for part in (mixed_table.slice(0, 200), mixed_table.slice(0, 0), mixed_table.slice(200)):
            writer.write_table(part)
    assert_same_as_in_memory(tmp_path / "e.parquet", mixed_table)


@pytest.mark.parametrize("index", [None, "id", ["id", "day"]])
def test_the_index_of_a_pandas_frame_is_not_a_feature(mixed_table, tmp_path, index):
    frame = mixed_table.to_pandas().sample(frac=1, random_state=0)
    names = [name for name in frame.columns if name != "y"]
    if index is not None:
        categories = dict.fromkeys(np.atleast_1d(index).tolist(), np.arange(len(frame)))
        frame = frame.assign(**categories).set_index(index)
    frame.to_parquet(tmp_path / "t.parquet")
    clf = DeepBinaryClassifier(**SMALL).fit(tmp_path / "t.parquet", "y")
    assert clf.feature_names_in_.tolist() == names
    assert clf.predict(tmp_path / "t.parquet").shape == (len(frame),)


@pytest.mark.parametrize(
    ("library", "read"), [("pyarrow.parquet", "read_table"), ("polars", "read_parquet")]
)
def test_an_index_read_as_a_column_is_a_warning(mixed_table, tmp_path, library, read):
    read = getattr(pytest.importorskip(library), read)
    mixed_table.to_pandas().sample(frac=1, random_state=0).to_parquet(tmp_path / "t.parquet")
    rows = read(tmp_path / "t.parquet")
    X = rows.drop_columns("y") if isinstance(rows, pa.Table) else rows.drop("y")
    with pytest.warns(UserWarning, match="X has a column '__index_level_0__', which was the index"):
        DeepBinaryClassifier(**SMALL).fit(X, rows["y"])


def test_a_column_absent_from_some_files_is_missing_there(mixed_table, tmp_path):
    later = mixed_table.append_column("late", pa.array(numbers(N)[:, 0]))
    paths = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    for part, path in zip((mixed_table, later), paths, strict=True):
        pq.write_table(part, path)
    clf = DeepBinaryClassifier(**SMALL).fit(ds.dataset(paths, schema=later.schema), "y")
    assert clf.input_encoding_["indicator_column"].tolist() == [2]


# Predictions


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("predict", ["prediction"]),
        ("predict_proba", ["False", "True"]),
        ("predict_log_proba", ["False", "True"]),
        ("decision_function", ["decision_function"]),
    ],
)
def test_predictions_are_written_to_a_file(mixed_table, write, tmp_path, method, names):
    path, out = write(mixed_table), tmp_path / "out.parquet"
    clf = DeepBinaryClassifier(**SMALL).fit(path, "y")
    table = mixed_table.drop_columns("y")
    wanted = getattr(clf, method)(table)
    for X in (path, table, table.to_pandas()):
        clf.write_predictions(X, out, method=method, keep=["part", "x"])
        found = pq.read_table(out)
        assert found.column_names == ["part", "x", *names]
        assert found["part"].to_pylist() == mixed_table["part"].to_pylist()
        numbers = np.column_stack([found[name].to_numpy() for name in names])
        np.testing.assert_allclose(numbers.squeeze(), wanted, rtol=1e-5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.parquet", "t.parquet"]


def test_predictions_of_a_polars_frame_are_written_to_a_file(mixed_table, tmp_path):
    X = pytest.importorskip("polars").from_arrow(mixed_table.drop_columns("y"))
    clf = DeepBinaryClassifier(**SMALL).fit(X, mixed_table["y"])
    clf.write_predictions(X, tmp_path / "out.parquet", method="predict_proba", keep=["x"])
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.column_names == ["x", "False", "True"]
    np.testing.assert_allclose(found["True"], clf.predict_proba(X)[:, 1], rtol=1e-5)


def test_predictions_of_a_dataset_in_memory_replace_a_file(mixed_table, tmp_path):
    dataset, path = ds.dataset([mixed_table]), tmp_path / "out.parquet"
    clf = DeepBinaryClassifier(**SMALL).fit(dataset, "y")
    for _ in range(2):
        clf.write_predictions(dataset, path)
    assert pq.read_table(path)["prediction"].to_pylist() == clf.predict(dataset).tolist()


def test_predictions_of_several_targets_are_written_to_a_file(mixed_table, write, tmp_path):
    y = np.column_stack([mixed_table["x"], mixed_table["z"]])
    reg = DeepRegressor(**SMALL).fit(mixed_table.select(["x", "z"]), y)
    reg.write_predictions(write(mixed_table), tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.column_names == ["prediction_0", "prediction_1"]
    np.testing.assert_allclose(
        reg.predict(write(mixed_table))[:, 1], found["prediction_1"], rtol=1e-5
    )


def test_an_error_keeps_the_earlier_file_of_predictions(mixed_table, write, tmp_path):
    path, out = write(mixed_table), tmp_path / "out.parquet"
    clf = DeepBinaryClassifier(**SMALL).fit(path, "y")
    clf.write_predictions(path, out)
    before = out.read_bytes()
    broken = mixed_table.set_column(0, "x", pa.array(np.where(np.arange(N) == 599, np.inf, 0.0)))
    with pytest.raises(ValueError, match="infinity in column 'x'"):
        clf.write_predictions(write(broken, name="broken.parquet"), out)
    assert out.read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "fit"}, "method must be one of 'predict'"),
        ({"keep": ["no"]}, "keep must name a column of X"),
        ({"path": "no/out.parquet"}, "path must be a file in a folder that exists"),
    ],
)
def test_invalid_arguments_of_write_predictions_are_rejected(
    mixed_table, write, tmp_path, options, message
):
    path = write(mixed_table)
    clf = DeepBinaryClassifier(**SMALL).fit(path, "y")
    with pytest.raises(ValueError, match=message):
        clf.write_predictions(path, **{"path": tmp_path / "out.parquet", **options})


def test_missing_feature_columns_are_an_error(mixed_table, write):
    clf = DeepBinaryClassifier(**SMALL).fit(write(mixed_table), "y")
    with pytest.raises(ValueError, match=r"feature_names_in_ must name a column of X.*got 'z'"):
        clf.predict(write(mixed_table.drop_columns("z")))


# Errors


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_networks": 5},
        {"warm_start": True},
        {"scoring": "roc_auc"},
        {"optimizer": "lbfgs"},
        {"batch_size": None},
        {"target_encoding": True},
    ],
)
def test_parameters_that_need_all_rows_in_memory_are_rejected(mixed_table, write, parameters):
    (name,) = parameters
    with pytest.raises(ValueError, match=rf"{name} must be .* where X is in a file, got"):
        DeepBinaryClassifier(**{**SMALL, **parameters}).fit(write(mixed_table), "y")


def test_several_processes_are_rejected(mixed_table, write):
    class Two(SingleProcess):
        size = 2

    with use_processes(Two()), pytest.raises(ValueError, match="where several processes share"):
        DeepBinaryClassifier(**SMALL).fit(write(mixed_table), "y")


def test_invalid_arguments_are_rejected(mixed_table, write):
    path, clf = write(mixed_table), DeepBinaryClassifier(**SMALL)
    with pytest.raises(ValueError, match="groups must be None where X is in a file"):
        clf.fit(path, "y", groups=np.arange(N))
    with pytest.raises(ValueError, match="X_val must hold its rows in memory"):
        clf.fit(path, "y", X_val=path, y_val="y")
    with pytest.raises(TypeError, match="X must hold its rows in memory for partial_fit"):
        clf.partial_fit(path, "y", classes=[False, True])
    with pytest.raises(TypeError, match="y must name a column where X is in a file, got a ndarray"):
        clf.fit(path, np.ones(N))
    with pytest.raises(TypeError, match="sample_weight must name a column"):
        clf.fit(path, "y", sample_weight=np.ones(N))
    with pytest.raises(ValueError, match="y must hold one label or number for each row of X"):
        clf.fit(mixed_table, "y")
    assert not hasattr(clf, "coefs_")


def column(name, values):
    return lambda table: (
        table.append_column(name, pa.array(values))
        if (name not in table.column_names)
        else table.set_column(table.column_names.index(name), name, pa.array(values))
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (column("y", [None, *[True] * (N - 1)]), "Input y contains NaN"),
        (column("y", np.arange(N) % 3), "Only binary classification is supported"),
        (column("y", np.arange(N) / 7), "Unknown label type: continuous"),
        (column("y", np.ones(N)), "y must hold two classes, got one class"),
        (column("y", [[1]] * N), "y must hold labels"),
        (column("l", [[1]] * N), "column 'l'.* not list"),
        (column("l", [{"a": 1}] * N), "column 'l'.* not struct"),
        (column("i", np.where(np.arange(N) == 500, np.inf, 0)), "infinity in column 'i'"),
        (column("w", np.arange(N) - 1.0), "sample_weight must not be negative, got -1"),
        (column("w", [None, *[1.0] * (N - 1)]), "sample_weight must be finite"),
        (column("w", ["a"] * N), "sample_weight must be numbers"),
        (column("w", np.zeros(N)), "sample_weight must hold a weight above zero"),
        (column("w", np.arange(N) >= N), "sample_weight must hold a weight above zero"),
        (lambda table: table.slice(0, 0), "X must hold rows, got none"),
        (lambda table: table.select(["y"]), r"X must have columns besides \['y'\]"),
        (
            lambda table: table.drop_columns("y"),
            "y must name a column of X, got 'y'. The columns are ",
        ),
    ],
)
def test_invalid_content_is_an_error(mixed_table, write, change, message):
    table = change(mixed_table)
    weight = "w" if "w" in table.column_names else None
    clf = DeepBinaryClassifier(**SMALL)
    with pytest.raises((ValueError, TypeError), match=message):
        clf.fit(write(table), "y", sample_weight=weight)
    assert threads_end()
    assert not hasattr(clf, "classes_")


def test_unreadable_paths_are_errors(tmp_path):
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    clf = DeepBinaryClassifier()
    with pytest.raises(ValueError, match=r"X must be the path of a Parquet file .* does not exist"):
        clf.fit(tmp_path / "no.parquet", "y")
    with pytest.raises(ValueError, match=r"X must be .* but '.*notes.txt' cannot be read"):
        clf.fit(str(tmp_path / "notes.txt"), "y")
    for X in (tmp_path / "empty", [tmp_path / "empty"]):
        with pytest.raises(ValueError, match=r"but the folder .*empty. has no files"):
            clf.fit(X, "y")


def test_pyarrow_is_required_for_paths(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        DeepBinaryClassifier().fit(tmp_path / "t.parquet", "y")


def test_dask_frames_are_not_computed_implicitly(mixed_table, tmp_path):
    dataframe = pytest.importorskip("dask.dataframe")
    frame = mixed_table.to_pandas()
    clf = DeepBinaryClassifier(**SMALL).fit(frame.drop(columns="y"), frame["y"])
    rows = dataframe.from_pandas(frame.drop(columns="y"), npartitions=2)
    with pytest.raises(TypeError, match=r"X must hold its rows in memory.*pass X\.compute\(\)"):
        clf.write_predictions(rows, tmp_path / "predictions.parquet")
    assert not list(tmp_path.iterdir())


def test_the_sample_is_hashed_for_a_checkpoint_only(mixed_table, write, tmp_path, monkeypatch):
    def digest_of(examples):
        raise AssertionError("the sample is hashed")

    monkeypatch.setattr("skdnn.estimator._file_examples.digest_of", digest_of)
    path = write(mixed_table)
    DeepBinaryClassifier(**SMALL).fit(path, "y")
    with pytest.raises(AssertionError, match="the sample is hashed"):
        DeepBinaryClassifier(**SMALL, checkpoint=tmp_path / "c").fit(path, "y")
