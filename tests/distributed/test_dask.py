"""Tests of fits on the workers of Dask that hold the rows, and of predictions on the workers."""

import asyncio
import os
import pickle
import signal
import threading
import time
import warnings
from itertools import pairwise

import joblib
import numpy as np
import pandas as pd
import pytest
import torch.distributed as dist
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from skdnn import DeepBinaryClassifier, DeepRegressor
from skdnn.distributed import _dask

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
da, dd = pytest.importorskip("dask.array"), pytest.importorskip("dask.dataframe")

pytestmark = [
    pytest.mark.slow,
    # Warnings that Dask and Tornado cause themselves.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::UserWarning:distributed"),
]

N = 1200
COLUMNS = ["a", "b", "colour"]


def a_frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=N), "b": rng.normal(5, 3, size=N)})
    frame["colour"] = rng.choice(["red", "green", "blue"], N)
    frame["y"] = np.where(frame["a"] * (frame["b"] - 5) > 0, "yes", "no")
    frame["weight"] = rng.integers(0, 3, N) * 1.0
    return frame


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, dashboard_address=None, memory_limit=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def divided(frame, edges):
    """Return a Dask data frame with partitions between these rows."""
    parts = [frame.iloc[start:end] for start, end in pairwise(edges)]
    return dd.from_delayed([dask.delayed(part) for part in parts], meta=frame.iloc[:0])


def make(kind=DeepBinaryClassifier, **parameters):
    settings = {"n_units": 8, "max_iter": 6, "random_state": 1, "dtype": "float64", **parameters}
    return kind(**settings)


def assert_same(fitted, separate, atol=1e-9):
    assert (fitted.n_iter_, fitted.best_iter_) == (separate.n_iter_, separate.best_iter_)
    for got, expected in zip(fitted.coefs_, separate.coefs_, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=atol)


EDGES = {
    "even": [0, 300, 600, 900, N],
    "one with 5 rows, one empty": [0, 5, 700, 700, N],
    "fewer than workers": [0, N],
    "many": list(range(0, N + 1, 75)),
}


@pytest.mark.parametrize("edges", EDGES.values(), ids=EDGES)
def test_a_frame_in_partitions_is_fitted_as_one_frame(client, edges):
    frame = a_frame()
    rows = divided(frame, edges)
    clf = make(early_stopping=True).fit(rows[COLUMNS], rows["y"])
    assert_same(clf, make(early_stopping=True).fit(frame[COLUMNS], frame["y"]))
    assert list(clf.feature_names_in_) == COLUMNS
    assert b"dask" not in pickle.dumps(clf)


def test_sample_weight_is_used(client):
    frame = a_frame()
    rows = divided(frame, EDGES["even"])
    clf = make().fit(rows[COLUMNS], rows["y"], sample_weight=rows["weight"])
    assert_same(clf, make().fit(frame[COLUMNS], frame["y"], frame["weight"]))


def test_workers_may_hold_rows_of_one_class_only(client):
    frame = a_frame().sort_values("y", kind="stable")
    rows = divided(frame, [0, 100, 200, 1100, N])
    assert_same(make().fit(rows[COLUMNS], rows["y"]), make().fit(frame[COLUMNS], frame["y"]))


def test_categories_may_differ_by_partition(client):
    frame = a_frame()
    parts = [frame.iloc[:500].copy(), frame.iloc[500:].copy()]
    parts[0] = parts[0][parts[0]["colour"] != "blue"]
    whole = pd.concat(parts)
    for part in parts:
        part["colour"] = part["colour"].astype("category")
    meta = parts[0].iloc[:0].assign(colour=pd.Categorical([], categories=["__UNKNOWN__"]))
    rows = dd.from_delayed(list(map(dask.delayed, parts)), meta=meta, verify_meta=False)
    clf = make().fit(rows[COLUMNS], rows["y"])
    assert_same(clf, make().fit(whole[COLUMNS], whole["y"]))
    assert set(clf.categories_[0]) == {"red", "green", "blue"}


def test_a_regressor_is_fitted_on_arrays(client):
    frame = a_frame()
    X, y = frame[["a", "b"]].to_numpy(), frame["a"].to_numpy() * 3 + 100
    rows, numbers = da.from_array(X, chunks=(250, 1)), da.from_array(y, chunks=250)
    assert_same(make(DeepRegressor).fit(rows, numbers), make(DeepRegressor).fit(X, y))


def test_attributes_of_an_earlier_fit_are_removed(client):
    frame, rows = a_frame(), da.from_array(a_frame()[["a", "b"]].to_numpy(), chunks=(400, 2))
    clf = make().fit(frame[COLUMNS], frame["y"])
    y = (frame["y"] == "yes").to_numpy()
    clf.fit(rows, da.from_array(y, chunks=400))
    separate = make().fit(rows.compute(), y)
    assert vars(clf).keys() == vars(separate).keys()
    assert_same(clf, separate)


def test_the_validation_set_is_in_memory(client):
    frame = a_frame()
    rows, validation = divided(frame, EDGES["even"]), frame.iloc[:100]
    options = {"X_val": validation[COLUMNS], "y_val": validation["y"]}
    options["sample_weight_val"] = np.arange(100) % 3
    clf = make(early_stopping=True).fit(rows[COLUMNS], rows["y"], **options)
    separate = make(early_stopping=True).fit(frame[COLUMNS], frame["y"], **options)
    assert_same(clf, separate)
    np.testing.assert_allclose(clf.validation_scores_, separate.validation_scores_)


@pytest.mark.parametrize("edges", [EDGES["even"], EDGES["one with 5 rows, one empty"]])
@pytest.mark.parametrize("name", ["predict", "predict_proba", "decision_function"])
def test_predictions_are_lazy_collections(client, name, edges):
    frame = a_frame()
    clf = make().fit(frame[COLUMNS], frame["y"])
    rows = divided(frame, edges)
    predictions = getattr(clf, name)(rows[COLUMNS])
    expected = getattr(clf, name)(frame[COLUMNS])
    assert isinstance(predictions, da.Array)
    assert predictions.dtype == expected.dtype
    np.testing.assert_allclose(*map(as_numbers, (predictions.compute(), expected)))
    assert clf.score(rows[COLUMNS], rows["y"]) == clf.score(frame[COLUMNS], frame["y"])


def as_numbers(predictions):
    return predictions if predictions.dtype.kind == "f" else predictions == "yes"


@pytest.mark.parametrize("name", ["predict", "predict_proba"])
def test_predictions_of_an_array_keep_its_chunks(client, name):
    frame = a_frame()
    X = frame[["a", "b"]].to_numpy(dtype=np.float32)
    clf = make().fit(X, frame["y"])
    predictions = getattr(clf, name)(da.from_array(X, chunks=(500, 1)))
    assert predictions.chunks[0] == (500, 500, 200)
    assert predictions.shape == getattr(clf, name)(X).shape
    np.testing.assert_allclose(*map(as_numbers, (predictions.compute(), getattr(clf, name)(X))))


def test_a_regressor_predicts_several_outputs(client):
    X = np.random.default_rng(0).normal(size=(90, 3))
    model = make(DeepRegressor).fit(X, X[:, :2])
    rows, numbers = da.from_array(X, chunks=(40, 3)), da.from_array(X[:, :2], chunks=(40, 2))
    np.testing.assert_allclose(model.predict(rows).compute(), model.predict(X), rtol=1e-6)
    assert model.score(rows, numbers) == pytest.approx(model.score(X, X[:, :2]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_have_the_dtype_that_dask_announces(client, dtype):
    frame = a_frame().astype({"a": dtype, "b": "float32"})
    clf = make(dtype="float32").fit(frame[COLUMNS], frame["y"])
    rows = divided(frame, EDGES["one with 5 rows, one empty"])[COLUMNS]
    for name in ("predict_proba", "decision_function"):
        found = getattr(clf, name)(rows)
        assert found.dtype == found.compute().dtype == dtype
        expected = getattr(clf, name)(frame[COLUMNS])
        np.testing.assert_allclose(found.compute(), expected, rtol=1e-4, atol=1e-6)


def test_text_of_numbers_is_predicted_as_in_memory(client):
    frame = a_frame()
    clf = make().fit(frame[["a", "b"]], frame["y"])
    text = frame[["a", "b"]].astype({"a": str})
    found = clf.decision_function(divided(text, EDGES["even"])).compute()
    np.testing.assert_allclose(found, clf.decision_function(text))


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array, sparse.coo_matrix])
def test_sparse_blocks_are_fitted_and_predicted_as_one_matrix(client, kind):
    X, y = a_frame()[["a", "b"]].clip(lower=0).to_numpy(), (a_frame()["y"] == "yes").to_numpy()
    blocks = da.from_array(X, chunks=(250, 1)).map_blocks(kind)
    labels = da.from_array(y, chunks=250)
    clf, separate = make().fit(blocks, labels), make().fit(sparse.csr_matrix(X), y)
    assert_same(clf, separate)
    for name in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        found, expected = getattr(clf, name)(blocks), getattr(separate, name)(X)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(1.0 * found.compute(), 1.0 * expected, atol=1e-9)
    assert clf.score(blocks, labels) == separate.score(X, y)


def test_chunks_of_y_and_weights_need_not_be_those_of_x(client):
    frame = a_frame()
    X, y, weight = frame[["a", "b"]].to_numpy(), frame["y"].to_numpy(), frame["weight"].to_numpy()
    rows, labels = da.from_array(X, chunks=(400, 2)), da.from_array(y, chunks=((300, 500, 400),))
    clf = make().fit(rows, labels, sample_weight=da.from_array(weight, chunks=170))
    assert_same(clf, make().fit(X, y, weight))


def test_a_column_may_have_the_name_of_an_attribute_of_dask_arrays(client):
    frame = a_frame().rename(columns={"a": "chunks"})
    columns, rows = ["chunks", "b", "colour"], divided(frame, EDGES["even"])
    clf = make().fit(rows[columns], rows["y"], sample_weight=rows["weight"])
    assert_same(clf, make().fit(frame[columns], frame["y"], frame["weight"]))


def test_score_checks_labels_and_weights_as_in_memory(client):
    frame = a_frame()
    clf, rows = make().fit(frame[COLUMNS], frame["y"]), divided(frame, EDGES["even"])
    X, y, shifted = rows[COLUMNS], rows["y"], divided(frame, [0, 200, 600, 900, N])
    expected = clf.score(frame[COLUMNS], frame["y"], frame["weight"])
    assert clf.score(X, shifted["y"], shifted["weight"]) == pytest.approx(expected)
    assert clf.score(X, y == "yes") == 0.0  # labels of another type
    with pytest.raises(ValueError, match="one label for each of 1200 rows, got 900"):
        clf.score(X, y.partitions[:3])
    with pytest.raises(ValueError, match="sample_weight must not be negative"):
        clf.score(X, y, -rows["weight"] - 1)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda X, y: {"y": y.repartition(npartitions=2)}, ValueError, "y must have as many part"),
        (lambda X, y: {"y": y.compute()}, TypeError, "y must be a Dask collection, as X is"),
        (lambda X, y: {"groups": np.arange(N)}, ValueError, "groups must be None"),
        (lambda X, y: {"X_val": X, "y_val": y}, TypeError, "X_val must be in memory"),
        (lambda X, y: {"sample_weight_val": y}, TypeError, "sample_weight_val must be in memory"),
        (lambda X, y: {"sample_weight_val": [1]}, ValueError, "must be given with X_val and y_val"),
        (lambda X, y: {"X": X.to_bag()}, TypeError, "X must be a Dask DataFrame or array"),
        (lambda X, y: {"y": y.to_bag()}, TypeError, "got a Bag. Convert .* a Bag by to_dataframe"),
        (lambda X, y: {"X": dask.delayed(X)}, TypeError, "X must be .* by dask.dataframe.from_del"),
        (lambda X, y: {"X": X["a"].values}, ValueError, "Expected 2D array for X, got a 1D Dask"),
        (
            lambda X, y: {"y": divided(a_frame()["y"], [0, 300, 500, 900, N])},
            ValueError,
            "partition 1 has 300 rows of X and 200 of y",
        ),
        (
            lambda X, y: {"sample_weight": divided(a_frame()["a"] ** 2, [0, 1, 600, 900, N])},
            ValueError,
            "partition 0 has 300 rows of X and 1 of sample_weight",
        ),
        (
            lambda X, y: {"X": da.zeros((N, 2), chunks=100), "y": da.zeros(N - 1, chunks=100)},
            ValueError,
            "y must have as many rows as X, 1200, got 1199",
        ),
        (lambda X, y: {"y": y.where(y == "yes", "yes")}, ValueError, "one class: \\['yes'\\]"),
        (lambda X, y: {"X": X.assign(a=np.inf)}, ValueError, "infinity in column 'a'"),
    ],
)
def test_invalid_data_raise_and_leave_the_estimator_unfitted(client, change, kind, message):
    rows = divided(a_frame(), EDGES["even"])
    X, y = rows[COLUMNS], rows["y"]
    clf = make()
    with pytest.raises(kind, match=message):
        clf.fit(**{"X": X, "y": y, **change(X, y)})
    assert not hasattr(clf, "coefs_")


@pytest.mark.parametrize(
    ("parameters", "name"),
    [({"n_networks": 2}, "n_networks"), ({"warm_start": True}, "warm_start"),
     ({"scoring": "roc_auc"}, "scoring")],
)  # fmt: skip
def test_parameters_that_need_a_single_process_raise(client, parameters, name):
    rows = divided(a_frame(), EDGES["even"])
    with pytest.raises(ValueError, match=f"{name} must be .* where several processes share a fit"):
        make(**parameters).fit(rows[COLUMNS], rows["y"])


def test_callbacks_raise(client):
    callback = pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")
    rows = divided(a_frame(), EDGES["even"])
    clf = make().set_callbacks(callback.ProgressBar())
    with pytest.raises(ValueError, match="Callbacks are not supported for Dask"):
        clf.fit(rows[COLUMNS], rows["y"])


def test_partial_fit_of_dask_collections_raises(client):
    rows = divided(a_frame(), EDGES["even"])
    with pytest.raises(
        TypeError, match=r"X must hold its rows in memory, got a DataFrame: pass X\.compute\(\)"
    ):
        make().partial_fit(rows[COLUMNS], rows["y"], classes=["no", "yes"])


def test_y_of_dask_with_x_in_memory_raises(client):
    rows = divided(a_frame(), EDGES["even"])
    for options in ({"y": rows["y"]}, {"y": a_frame()["y"], "sample_weight": rows["weight"]}):
        with pytest.raises(TypeError, match="must hold its rows in memory, got a Series"):
            make().fit(a_frame()[COLUMNS], **options)


def test_a_search_runs_on_the_workers(client):
    frame = a_frame()
    search = GridSearchCV(make(), {"n_layers": [1, 2]}, cv=2, n_jobs=-1)
    separate = clone(search).set_params(n_jobs=None).fit(frame[COLUMNS], frame["y"])
    with joblib.parallel_config("dask"):
        search.fit(frame[COLUMNS], frame["y"])
    for name in ("mean_test_score", "rank_test_score"):
        np.testing.assert_allclose(search.cv_results_[name], separate.cv_results_[name])


def test_an_error_says_that_there_is_no_client(monkeypatch):
    rows = divided(a_frame(), EDGES["even"])

    def no_client():
        raise ValueError("No global client found and no address provided")

    monkeypatch.setattr(distributed, "get_client", no_client)
    with pytest.raises(RuntimeError, match=r"Create a distributed\.Client first"):
        make().fit(rows[COLUMNS], rows["y"])


def test_two_fits_at_the_same_time_end(client):
    frame = a_frame()
    rows = client.persist(divided(frame, EDGES["many"]))
    fitted = [make(), make(n_units=5)]

    def fit(clf):
        with client.as_current():
            clf.fit(rows[COLUMNS], rows["y"])

    threads = [threading.Thread(target=fit, args=(clf,)) for clf in fitted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    for clf in fitted:
        assert_same(clf, clone(clf).fit(frame[COLUMNS], frame["y"]))


def test_as_many_tasks_that_fit_as_threads_end(client):
    frame = a_frame()
    rows = divided(frame, EDGES["even"])
    models = [make(random_state=seed) for seed in range(4)]  # as many as threads
    fits = [client.submit(model.fit, rows[COLUMNS], rows["y"]) for model in models]
    for model, fitted in zip(models, client.gather(fits), strict=True):
        assert_same(fitted, model.fit(frame[COLUMNS], frame["y"]))
    scores = [client.submit(models[0].score, rows[COLUMNS], rows["y"], pure=False) for _ in fits]
    assert set(client.gather(scores)) == {models[0].score(frame[COLUMNS], frame["y"])}


def test_fit_and_score_raise_in_the_event_loop_of_an_asynchronous_client(client):
    frame = a_frame()
    rows, separate = divided(frame, EDGES["even"]), make().fit(frame[COLUMNS], frame["y"])

    async def use():
        async with distributed.Client(client.scheduler.address, asynchronous=True) as other:
            for method in (make().fit, separate.score):
                with pytest.raises(RuntimeError, match=r"await asyncio.to_thread\(estimator"):
                    method(rows[COLUMNS], rows["y"])
            found = await other.compute(separate.predict_proba(rows[COLUMNS]))
            clf = await asyncio.to_thread(make().fit, rows[COLUMNS], rows["y"])
            return found, clf, await asyncio.to_thread(separate.score, rows[COLUMNS], rows["y"])

    found, clf, score = asyncio.run(use())
    np.testing.assert_allclose(found, separate.predict_proba(frame[COLUMNS]))
    assert_same(clf, separate)
    assert score == separate.score(frame[COLUMNS], frame["y"])


def tanh_with_event(Z):
    """Compute tanh, and set an event of Dask once the training has begun."""
    worker = distributed.get_worker()
    worker.n_steps = getattr(worker, "n_steps", 0) + 1
    if worker.n_steps == 100:
        distributed.Event("has begun").set()
    return Z.tanh()


def n_running(dask_worker):
    return len(dask_worker.state.executing) + len(dask_worker.state.long_running)


def n_stores(dask_worker):
    return sum(isinstance(value, dist.TCPStore) for value in dask_worker.data.values())


@pytest.mark.parametrize("edges", ["even", "fewer than workers"])
def test_ctrl_c_stops_the_workers_after_the_epoch(client, monkeypatch, edges):
    frame = a_frame()
    rows = divided(frame, EDGES[edges])
    endless = make(activation=tanh_with_event, max_iter=10**6, n_iter_no_change=10**6)
    distributed.Event("has begun").clear()
    client.run(lambda dask_worker: setattr(dask_worker, "n_steps", 0))

    def interrupt(fits):
        distributed.Event("has begun").wait()
        assert sum(client.run(n_stores).values()) == 1
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(distributed, "as_completed", interrupt)
        with pytest.raises(KeyboardInterrupt):
            endless.fit(rows[COLUMNS], rows["y"])
    assert not hasattr(endless, "coefs_")
    while any(client.run(n_running).values()) or any(client.run(n_stores).values()):
        time.sleep(0.01)  # until the timeout of the test if they are not stopped
    clf = make().fit(rows[COLUMNS], rows["y"])  # no lock is left, and no thread is busy
    assert_same(clf, make().fit(frame[COLUMNS], frame["y"]))


def test_a_cancelled_fit_does_not_wait_for_a_busy_worker(client):
    worker, frame = min(client.scheduler_info(n_workers=-1)["workers"]), a_frame()
    store = client.submit(_dask._open_store, worker, workers=[worker], pure=False)
    parts = [(0, (frame[COLUMNS], frame["y"]))]
    task = client.submit(  # the second of two processes never starts
        _dask._fit_part, store, 0, 2, worker, make(), parts, (None, None), workers=[worker],
    )  # fmt: skip
    while not any(client.run(n_running).values()):
        time.sleep(0.01)
    task.cancel()
    while any(client.run(n_running).values()):
        time.sleep(0.01)


def test_ctrl_c_cancels_the_computation_of_partitions(client, monkeypatch):
    rows = divided(a_frame(), EDGES["even"])

    def interrupt(parts):
        raise KeyboardInterrupt

    monkeypatch.setattr(distributed, "wait", interrupt)
    before = set(client.futures)
    with pytest.raises(KeyboardInterrupt):
        make().fit(rows[COLUMNS], rows["y"])
    assert set(client.futures) <= before


def tanh_until_killed(Z):
    """Compute tanh, and kill the process of one worker after some calls."""
    worker = distributed.get_worker()
    worker.n_calls = getattr(worker, "n_calls", 0) + 1
    if worker.n_calls > 100 and worker.is_to_die:
        os.kill(os.getpid(), signal.SIGKILL)
    return Z.tanh()


def choose_victim(who, dask_worker):
    dask_worker.is_to_die = dask_worker.address == who


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_worker_raises_an_error_and_the_next_fit_works(client):
    frame = a_frame()
    rows = divided(frame, EDGES["many"])
    victim = max(client.scheduler_info(n_workers=-1)["workers"])
    client.run(choose_victim, who=victim)
    with pytest.raises(RuntimeError, match="has ended"):
        make(activation=tanh_until_killed, max_iter=100).fit(rows[COLUMNS], rows["y"])
    client.wait_for_workers(2, timeout=240)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf = make().fit(rows[COLUMNS], rows["y"])
    assert_same(clf, make().fit(frame[COLUMNS], frame["y"]))
