"""The server over HTTP, in this process: the protocol, what is refused, what withstands faults."""

import asyncio
import contextlib
import gc
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pyarrow as pa
import pytest
from models import categories, make_folder, numbers, without_circuits
from pyarrow import parquet
from served import wait_until
from starlette.testclient import TestClient

from fockjax import cli, inference
from fockjax.inference import Predictions
from fockjax.prediction import PredictConfig, predict
from fockjax.runtime import RunError
from fockjax.runtime.run_record import RunRecord
from fockjax.serving import app as app_module
from fockjax.serving import model as model_module
from fockjax.serving import openapi, protocol, supervisor
from fockjax.serving import rows as rows_module
from fockjax.serving import server as server_module
from fockjax.serving import service as service_module
from fockjax.serving.app import LARGE_BODY, make_app
from fockjax.serving.batcher import Full
from fockjax.serving.config import ServeConfig
from fockjax.serving.errors import Refused
from fockjax.serving.idle import IdleConnections
from fockjax.serving.metrics import Metrics
from fockjax.serving.server import serve
from fockjax.serving.service import Service
from fockjax.serving.tensors import from_bytes, from_json
from fockjax.training import UserError
from fockjax.training.reading import read_table

pytestmark = pytest.mark.loose_promotion  # Flax promotes

LARGEST = 16
ROWS = numbers().features
INFER = "/v2/models/numbers/infer"


class Client(TestClient):
    """Speaks to a service of its own, which is ready."""

    def __init__(self, path, **options):
        config = ServeConfig(path, deadline=options.pop("deadline", 20.0), queue_rows=100)
        self.service = Service(config, **options)
        self.service.load_first()
        super().__init__(make_app(self.service), raise_server_exceptions=False)

    def __enter__(self):
        super().__enter__()
        return self.until("/v2/health/ready", 200)

    @property
    def model(self):
        assert self.service.model is not None
        return self.service.model

    def until(self, path, status):
        for _ in range(2000):
            if self.get(path).status_code == status:
                return self
            time.sleep(0.005)
        raise AssertionError(f"{path} never became {status}")

    def metric(self, line):
        found = [each for each in self.get("/metrics").text.splitlines() if each.startswith(line)]
        return float(found[0].split()[-1]) if found else 0.0


@pytest.fixture(scope="module", autouse=True)
def small():
    with without_circuits(), pytest.MonkeyPatch.context() as patch:
        for module in (model_module, service_module):
            patch.setattr(module, "LARGEST", LARGEST)
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    make_folder(place / "numbers", numbers())
    make_folder(place / "mixed", categories(), impute="median")
    return place


@pytest.fixture(scope="module")
def client(folders):
    with Client(folders / "numbers") as client:
        yield client


@pytest.fixture(scope="module")
def mixed(folders):
    with Client(folders / "mixed") as client:
        yield client


def as_json(values, **more):
    values = np.asarray(values)
    about = {"name": "features", "datatype": "FP64", "shape": list(values.shape)}
    return {"inputs": [about | {"data": values.tolist()}], **more}


def as_bytes(values, kind="<f8", datatype="FP64", **more):
    content = np.asarray(values).astype(kind).tobytes()
    about = {"name": "features", "datatype": datatype, "shape": list(np.shape(values))}
    about["parameters"] = {"binary_data_size": len(content)}
    header = json.dumps({"inputs": [about], **more}).encode()
    return header + content, {"Inference-Header-Content-Length": str(len(header))}


def tensors(response):
    """The outputs by name, from JSON or bytes."""
    assert response.status_code == 200, response.text
    content = response.content
    end = int(response.headers.get("Inference-Header-Content-Length", len(content)))
    value, rest, found = json.loads(content[:end]), content[end:], {}
    for each in value["outputs"]:
        if "data" in each:
            found[each["name"]] = np.array(each["data"]).reshape(each["shape"])
            continue
        own = rest[: each["parameters"]["binary_data_size"]]
        rest = rest[len(own) :]
        if each["datatype"] == "FP64":
            found[each["name"]] = np.frombuffer(own).reshape(each["shape"])
            continue
        texts = []
        while own:
            size = int.from_bytes(own[:4], "little")
            texts.append(own[4 : 4 + size].decode())
            own = own[4 + size :]
        found[each["name"]] = np.array(texts)
    assert not rest
    return found


def same(found, expected):
    np.testing.assert_array_equal(found["prediction"], expected.prediction)
    np.testing.assert_allclose(found["probability"], expected.probability, atol=1e-6)
    np.testing.assert_allclose(found["leakage"], expected.leakage, atol=1e-6)


@pytest.fixture(scope="module")
def expected(client):
    return client.model.predictor(ROWS)


# the protocol


def test_tensors_in_json_and_as_bytes_are_answered_alike(client, expected):
    same(tensors(client.post(INFER, json=as_json(ROWS))), expected)
    flat = as_json(ROWS)
    flat["inputs"][0]["data"] = ROWS.ravel().tolist()
    same(tensors(client.post(INFER, json=flat)), expected)
    for more in ({}, {"parameters": {"binary_data_output": True}}):
        body, headers = as_bytes(ROWS, **more)
        response = client.post(INFER, content=body, headers=headers)
        same(tensors(response), expected)
        assert ("Inference-Header-Content-Length" in response.headers) == bool(more)


def test_other_numbers_are_taken(client):
    whole = np.round(ROWS[:5])
    answers = []
    for kind, datatype in (("<f8", "FP64"), ("<f4", "FP32"), ("<i4", "INT32")):
        body, headers = as_bytes(whole, kind, datatype)
        answers.append(tensors(client.post(INFER, content=body, headers=headers))["probability"])
    assert (answers[0] == answers[1]).all() and (answers[0] == answers[2]).all()


def test_a_client_gets_the_outputs_it_asks_for(client, expected):
    outputs = [
        {"name": "leakage"},
        {"name": "prediction", "parameters": {"binary_data": True}},
    ]
    response = client.post(INFER, json=as_json(ROWS[:2], outputs=outputs, id="seven"))
    header = json.loads(
        response.content[: int(response.headers["Inference-Header-Content-Length"])]
    )
    assert header["id"] == "seven" and [each["name"] for each in header["outputs"]] == [
        "leakage",
        "prediction",
    ]
    assert tensors(response)["prediction"].tolist() == expected.prediction[:2].tolist()


def test_server_and_model_describe_themselves(client, mixed):
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").json() == {"live": True}
    about = client.get("/v2/models/numbers").json()
    assert about["inputs"] == [{"name": "features", "datatype": "FP64", "shape": [-1, 3]}]
    assert [each["name"] for each in about["outputs"]] == ["prediction", "probability", "leakage"]
    (version,) = about["versions"]
    assert client.get(f"/v2/models/numbers/versions/{version}/ready").json()["ready"] is True
    about = mixed.get("/v2/models/mixed").json()
    assert about["inputs"][1] == {"name": "place", "datatype": "BYTES", "shape": [-1]}
    assert [each["datatype"] for each in about["outputs"]] == ["INT64", "FP64", "FP64"]
    assert about["outputs"][1]["shape"] == [-1, 3]


def test_columns_of_categories_are_tensors_of_their_own(mixed):
    columns = {"a": [0.5, None, 2.5], "place": ["there", None, "here"], "c": [1, 2, 3]}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    inputs = [
        {
            "name": name,
            "datatype": "BYTES" if name == "place" else "FP64",
            "shape": [3] if name == "a" else [3, 1],
            "data": values,
        }
        for name, values in columns.items()
    ]
    found = tensors(mixed.post("/v2/models/mixed/infer", json={"inputs": inputs}))
    plain = mixed.post("/predict", json={"rows": rows}).json()["predictions"]
    assert found["prediction"].tolist() == [row["prediction"] for row in plain]
    names = ["probability_10", "probability_20", "probability_30"]
    assert found["probability"].tolist() == [[row[name] for name in names] for row in plain]


def test_predictions_are_those_of_fockjax_predict(mixed, folders, tmp_path, monkeypatch):
    data = categories()
    place = ["" if np.isnan(v) else data.categories["place"][int(v)] for v in data.features[:, 1]]
    numeric = [[None if np.isnan(v) else v for v in data.features[:, k].tolist()] for k in (0, 2)]
    rows = [
        {"place": p, "c": c, "a": a, "more": []}
        for a, p, c in zip(numeric[0], place, numeric[1], strict=True)
    ]
    lines = [
        ",".join("" if v is None else str(v) for v in (r["a"], r["place"], r["c"])) for r in rows
    ]
    (tmp_path / "rows.csv").write_text("\n".join(["a,place,c", *lines]))
    predict(PredictConfig(folders / "mixed", tmp_path / "rows.csv", tmp_path / "out.npy"))
    expected = np.load(tmp_path / "out.npy")
    found = mixed.post("/predict", json={"rows": rows}).json()["predictions"]
    assert list(found[0]) == list(expected.dtype.names)
    for name in found[0]:
        np.testing.assert_allclose([row[name] for row in found], expected[name], atol=1e-6)


@pytest.fixture(scope="module")
def truths(tmp_path_factory):
    """A model of a column of truth values and one of long codes, and its table in two formats."""
    place = tmp_path_factory.mktemp("truths")
    rng = np.random.default_rng(1)
    codes = [2**53 - 1, 2**53, 2**53 + 1, 2**63]
    columns = {
        "ill": rng.random(60) < 0.5,
        "code": np.array(codes, np.uint64)[np.arange(60) % 4],
        "x": rng.normal(size=60),
    }
    columns["y"] = columns["ill"] ^ (columns["x"] > 0)
    parquet.write_table(pa.table(columns), place / "t.parquet")
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    lines = [",".join(map(str, row)) for row in rows]
    (place / "t.csv").write_text("\n".join(["ill,code,x,y", *lines]))
    data = [read_table(place / name, "y", categorical=("code",)) for name in ("t.csv", "t.parquet")]
    assert data[0].fingerprint() == data[1].fingerprint()
    assert data[0].classes == ("False", "True") == data[0].categories["ill"]
    make_folder(place / "model", data[0], impute="median")
    with Client(place / "model") as client:
        yield client, place, {name: values.tolist() for name, values in columns.items()}


def test_truth_values_and_long_integers_mean_the_same_in_every_format(truths):
    client, place, columns = truths
    predict(PredictConfig(place / "model", place / "t.csv", place / "out.npy"))
    expected = np.load(place / "out.npy")
    assert len(np.unique(expected["probability"])) == 60
    predict(PredictConfig(place / "model", place / "t.parquet", place / "other.npy"))
    np.testing.assert_array_equal(np.load(place / "other.npy"), expected)
    given = {name: columns[name] for name in ("ill", "code", "x")}
    rows = [list(row) for row in zip(*given.values(), strict=True)]
    found = client.post("/predict", json={"rows": rows}).json()["predictions"]
    same = {"atol": 1e-6, "rtol": 0}
    np.testing.assert_allclose([r["probability"] for r in found], expected["probability"], **same)
    assert [row["prediction"] for row in found] == expected["prediction"].tolist()
    for kinds in (("BOOL", "UINT64"), ("BYTES", "BYTES")):
        inputs = [
            {"name": name, "datatype": kind, "shape": [60], "data": values}
            for (name, values), kind in zip(given.items(), (*kinds, "FP64"), strict=True)
        ]
        for each in inputs:
            if each["datatype"] == "BYTES":
                each["data"] = list(map(str, each["data"]))
        answer = tensors(client.post("/v2/models/model/infer", json={"inputs": inputs}))
        np.testing.assert_allclose(answer["probability"], expected["probability"], **same)


def test_a_long_integer_is_not_taken_for_its_neighbour(truths):
    client, *_ = truths
    for code in (2**53 + 2, 2**63 + 1, 2**64):
        response = client.post("/predict", json={"rows": [[True, code, 0.5]]})
        assert response.status_code == 400 and "is not among" in response.json()["error"]


def test_the_probe_is_a_request(client, folders):
    probe = json.loads((folders / "numbers" / "probe.json").read_text())
    found = client.post("/predict", json=probe).json()["predictions"]
    assert found[0]["probability"] == pytest.approx(probe["answer"][0], abs=1e-6)


def test_the_description_of_a_model_does_not_keep_it_in_memory(folders):
    predictor = inference.load_model(folders / "mixed")
    described, kept = protocol.Interface.of(predictor), weakref.ref(predictor)
    del predictor
    gc.collect()
    assert kept() is None and described.columns == ["a", "place", "c"]


# what is refused


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"rows": [[1, 2, NaN]]}', "not JSON"),
        (b'{"rows": [[1, 2, 1e999]]}', "not JSON"),
        (b'"rows"', "must be a JSON object"),
        (b"{}", '"rows" must be a list'),
        (b'{"rows": []}', "at least one"),
        (b'{"rows": [1]}', "row 1 must be an object"),
        (b'{"rows": [[1, 2, 3], [1, 2]]}', "row 2 has 2 values"),
        (b'{"rows": [{"a": 1, "b": 2}]}', "row 1 lacks columns: 'c'"),
        (b'{"rows": [[1, 2, 3], [1, [2], 3]]}', "row 2, column 'b': neither a number nor"),
        (b'{"rows": [[1, 2, 3], [1, null, 3]]}', "row 2, column 'b': the value is missing"),
        (b'{"rows": [[1, 2, "x"]]}', "row 1, column 'c': 'x' is not a finite number"),
        (b'{"rows": [[1, 2, "inf"]]}', "row 1, column 'c': 'inf' is not a finite number"),
        (
            b'{"rows": [[1, 1e300, 3], [1, 2, 3], [1, -1e300, 3]]}',
            "row 1: a value is too large; row 3",
        ),
        (b'{"rows": [[1, 2, 3]], "parameters": {"timeout": -1}}', "microseconds"),
        (b'{"rows": [[1, 2, 3]], "parameters": 3}', "must be an object"),
        (b"", "no body"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(client, body, message):
    response = client.post("/predict", content=body)
    assert response.status_code == 400 and message in response.json()["error"]


def test_a_body_lost_to_an_upgrade_is_told_how_to_keep_it(client):
    response = client.post("/predict", content=b"", headers={"Upgrade": "h2c"})
    assert response.status_code == 400
    assert "without the header Upgrade: h2c" in response.json()["error"]


def wrong(**changes):
    body = as_json(ROWS[:2])
    body["inputs"][0] |= changes
    return body


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, '"inputs" must be a list'),
        ({"inputs": []}, "the inputs must be 'features'; got none"),
        ({"inputs": [{"name": "x"}]}, "the inputs must be 'features'; got 'x'"),
        (wrong(datatype=None), "unknown datatype: None"),
        (wrong(name="x"), "the inputs must be 'features'; got 'x'"),
        (wrong(datatype="FP63"), "unknown datatype: 'FP63'"),
        (wrong(shape=[2, -1]), '"shape" must be a list of sizes'),
        (wrong(shape=[3, 3]), "its shape says [3, 3]"),
        (wrong(shape=[3, 2]), "must have shape [-1, 3], got [3, 2]"),
        (wrong(shape=[1] * 65, data=[1.0]), "must have shape [-1, 3], got [1, 1,"),
        (wrong(shape=[0, 2**63 - 1], data=[]), "must have shape [-1, 3]"),
        (wrong(shape=[0, 1, 3], data=[]), "have no rows"),
        (wrong(shape=[6], data=list(range(6))), "must have shape [-1, 3], got [6]"),
        (wrong(shape=[0, 3], data=[]), "have no rows"),
        (wrong(shape=[], data=[]), "must have shape [-1, 3], got []"),
        (wrong(data=[[1, 2, 3], [4, 5]]), "its shape says [2, 3]"),
        (wrong(data=[1, 2, 3, 4, 5, [6]]), "not numbers"),
        (wrong(data=[[1, 2, 3], 4]), "its shape says [2, 3]"),
        (wrong(data=7), "its shape says [2, 3]"),
        (wrong(data=[[1, 2, 3], [4, 5, "6"]]), "not numbers"),
        (wrong(data=[[1, 2, 3], [4, 5, {}]]), "not numbers"),
        (wrong(data=[[1, 2, 3], [4, 5, None]]), "row 2, column 'c': the value is missing"),
        (wrong(datatype="INT8", data=[[1, 2, 3], [4, 5, 300]]), "not of datatype INT8"),
        (wrong(datatype="UINT8", data=[[1, 2, 3], [4, 5, None]]), "not of datatype UINT8"),
        (wrong(datatype="INT64", data=[[1, 2, 3], [4, 5, 0.5]]), "not of datatype INT64"),
        (wrong(datatype="BOOL", data=[[1, 0, 1], [1, 0, 2]]), "not of datatype BOOL"),
        (wrong(datatype="BYTES"), "not UTF-8 text"),
        (
            wrong(datatype="BYTES", data=[["1", "2", "x"], ["1", "2", "3"]]),
            "features' must be numb",
        ),
        (wrong(parameters={"binary_data_size": 8}), 'either "data" or'),
        (as_json(ROWS[:1], outputs=[{"name": "x"}]), "unknown output 'x'"),
        (as_json(ROWS[:1], outputs=3), '"outputs" must be a list'),
        (as_json(ROWS[:1], id=3), '"id" must be text'),
        (
            as_json(ROWS[:1], outputs=[{"name": "leakage", "parameters": {"classification": 2}}]),
            "not supported",
        ),
    ],
)
def test_a_bad_tensor_is_told_what_is_wrong(client, body, message):
    response = client.post(INFER, json=body)
    assert response.status_code == 400 and message in response.json()["error"]


def test_a_tensor_of_any_shape_is_read_or_refused():
    """With the shape checked only against the data, as here, and not against the model."""
    assert from_json("x", "FP64", [1] * 65, [1.0]).tolist() == [1.0]
    assert from_json("x", "FP64", [0, 2**63 - 1], []).size == 0
    assert from_bytes("x", "FP64", [0, 2**62], b"").size == 0
    for shape in ([2**62, 4], [2**63 - 1]):
        with pytest.raises(Refused, match="its shape says"):
            from_json("x", "FP64", shape, [1.0])
        with pytest.raises(Refused, match="has 8 bytes"):
            from_bytes("x", "FP64", shape, bytes(8))


def test_bytes_that_say_nothing_of_the_model_are_refused(client):
    about = {"name": "features", "datatype": "FP64", "shape": [0, 2**62]}
    header = json.dumps({"inputs": [about | {"parameters": {"binary_data_size": 0}}]})
    length = {"Inference-Header-Content-Length": str(len(header))}
    response = client.post(INFER, content=header.encode(), headers=length)
    assert response.status_code == 400 and "must have shape" in response.json()["error"]


def test_text_takes_the_memory_of_its_letters():
    texts = ["x" * 200_000, *[""] * 4000]
    tracemalloc.start()
    try:
        assert from_json("x", "BYTES", [4001], texts).tolist() == texts
        assert tracemalloc.get_traced_memory()[1] < 1e6  # of one length it would be 3.2 GB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", {"rows": [[None] * 3] * 101}),
        (INFER, as_json(np.zeros((101, 3)))),
        (INFER, {"inputs": [as_json(ROWS[:1])["inputs"][0] | {"shape": [101, 3]}]}),
    ],
)
def test_too_many_rows_are_refused_before_they_are_read(client, path, body, monkeypatch):
    for module in (rows_module, protocol):
        for name in ("encode", "tensors"):
            monkeypatch.delattr(module, name, raising=False)  # an attempt to read would be a 500
    response = client.post(path, json=body)
    assert response.status_code == 413 and "101 rows; at most 100" in response.json()["error"]


def test_the_first_bad_rows_are_described_and_all_are_counted(client, mixed):
    error = client.post("/predict", json={"rows": [[1, None, 1e300]] * 99}).json()["error"]
    assert error.count("the value is missing") == 10 and error.endswith("and 89 more")
    error = client.post("/predict", json={"rows": [[1, 1e300, 1]] * 99}).json()["error"]
    assert error.count("too large") == 10 and error.endswith("and 89 more")
    rows = [[None, None, None], [1, "nowhere", 1e300]] * 30  # of which every second can be used
    error = mixed.post("/predict", json={"rows": rows}).json()["error"]
    assert error.count("'nowhere' is not among") == 10 and error.endswith("and 20 more")
    assert error.startswith("row 2, ") and "row 20, " in error


def test_a_large_request_holds_up_no_other(client, monkeypatch):
    reached, released = threading.Event(), threading.Event()
    encode = inference.encode

    def slow(raw, *args, **options):
        if raw.count > 1:
            reached.set()
            assert released.wait(20)
        return encode(raw, *args, **options)

    monkeypatch.setattr(inference, "encode", slow)
    large = json.dumps({"rows": [[1, 2, 3]] * 2}) + " " * LARGE_BODY
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, "/predict", content=large)
        try:
            assert reached.wait(20)
            small = client.post("/predict", json={"rows": [[1, 2, 3]]})
            assert small.status_code == 200 and not answer.done()
        finally:
            released.set()
        found = answer.result()
    assert found.json()["predictions"][1] == pytest.approx(small.json()["predictions"][0])


def test_bytes_that_do_not_fit_are_refused(client):
    body, headers = as_bytes(ROWS[:2])
    for content, length in (
        (body[:-1], None),
        (body + b"1", None),
        (body, "-1"),
        (body, "1e3"),
        (body, "1" * 5000),  # more digits than Python reads
        (body, str(len(body) + 1)),
        (body, "7"),
    ):
        own = headers if length is None else {"Inference-Header-Content-Length": length}
        response = client.post(INFER, content=content, headers=own)
        assert response.status_code == 400 and response.json()["error"], (content, length)


def test_routes_that_are_not_there_are_told_so(client):
    for method, path, status in (
        ("GET", "/", 404),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/numbers/versions/1", 404),
        ("POST", "/v2/repository/models/other/load", 404),
        ("GET", "/predict", 405),
    ):
        response = client.request(method, path)
        assert response.status_code == status and response.json()["error"]


def test_bodies_have_a_limit_whether_they_say_so_or_not(client, monkeypatch):
    large = b" " * (16_000_001)
    assert client.post("/predict", content=large).status_code == 413
    parts = (large[:1_000_000] for _ in range(17))
    assert client.post("/predict", content=parts).status_code == 413
    assert (
        client.post("/predict", content=b"x", headers={"Content-Encoding": "gzip"}).status_code
        == 415
    )
    assert client.post("/predict", json={"rows": [[1, 2, 3]] * 101}).status_code == 413


def test_a_key_opens_all_but_health(folders, tmp_path):
    (tmp_path / "key").write_text("secret\n")
    service = Service(ServeConfig(folders / "numbers", api_key_file=tmp_path / "key"))
    client = TestClient(make_app(service))  # not started: nothing is compiled
    assert client.get("/v2/health/live").status_code == 503
    for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": "Basic secret"}):
        response = client.get("/v2", headers=headers)
        assert response.status_code == 401 and response.headers["WWW-Authenticate"] == "Bearer"
    assert client.get("/v2", headers={"Authorization": "Bearer secret"}).status_code == 200
    for path in service_paths(client):
        assert "/health/" in path or client.get(path).status_code in (401, 405)


def service_paths(client):
    return {route.path for route in client.app.routes}


# what others do not feel


def test_neighbours_in_a_batch_change_no_bit(client):
    values, model = ROWS[:10], client.model
    alone = model.run(values)
    beside = model.run(np.concatenate([values, 1e3 * ROWS[20:26]]))
    for name, part in alone.items():
        np.testing.assert_array_equal(beside[name][:10], part)


def test_metrics_and_report_tell_what_ran(client):
    before = client.metric('fockjax_requests_total{route="/predict",status="200"}')
    client.post("/predict", json={"rows": ROWS[:3].tolist()})
    assert client.metric('fockjax_requests_total{route="/predict",status="200"}') == before + 1
    assert client.metric("fockjax_batch_rows_sum") >= 3 and client.metric("fockjax_ready") == 1
    assert client.metric("fockjax_compiles_total") == 3  # of 1, 4 and 16 rows
    none = 'fockjax_requests_total{route="none",status="404"}'
    before = client.metric(none)
    client.get("/nowhere")
    assert client.metric(none) == before + 1
    assert "100.0% of them completed" in client.get("/report").text


def test_every_route_is_described(client):
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == service_paths(client)
    assert "security" not in described and openapi.description(True)["security"]
    for path, item in described["paths"].items():
        if "get" in item:
            status = client.get(path.format(name="numbers", version="1")).status_code
            assert str(status) in item["get"]["responses"], path


# faults


@pytest.fixture
def own(folders, tmp_path):
    """A client whose service may be spoilt; it has compiled nothing but one size."""
    path = shutil.copytree(folders / "numbers", tmp_path / "numbers")
    with Client(path, deadline=2.0, idle=0.05) as client:
        yield client


def test_reload_takes_a_good_model_and_refuses_a_bad_one(own):
    load, path = "/v2/repository/models/numbers/load", own.service.config.model
    (old,) = own.get("/v2/models/numbers").json()["versions"]
    probe = (path / "probe.json").read_text()
    for spoilt in (
        "{}",
        probe.replace('"answer": [', '"answer": [0.5 , '),
        probe.replace("0.", "0.7"),
    ):
        (path / "probe.json").write_text(spoilt)
        response = own.post(load)
        assert response.status_code == 400 and "the one before goes on" in response.json()["error"]
    assert own.get("/v2/models/numbers").json()["versions"] == [old]
    assert own.post("/predict", json={"rows": ROWS[:1].tolist()}).status_code == 200
    shutil.rmtree(path)
    assert own.post(load).status_code == 400
    make_folder(path, numbers(), seed=1)
    assert own.post(load).status_code == 200
    assert own.get("/v2/models/numbers").json()["versions"] != [old]
    assert own.metric('fockjax_reloads_total{taken="false"}') == 4


def test_a_reload_that_cannot_be_tried_says_when_to_try_again(own, monkeypatch):
    def fails(model):
        raise RunError("UNAVAILABLE: it is gone", None, np.arange(1))

    monkeypatch.setattr(own.service, "_is_right", fails)
    answer = own.post("/v2/repository/models/numbers/load")
    assert answer.status_code == 503 and answer.headers["Retry-After"]


def test_a_device_that_fails_is_noticed_at_once(own, monkeypatch, caplog):
    """Whatever the traffic. If it does not recover, the server has to be restarted."""
    run = own.model.run
    body = {"rows": ROWS[:1].tolist()}

    def fails(values):
        raise RunError("UNAVAILABLE: it is gone", None, np.arange(1))

    monkeypatch.setattr(own.service, "idle", 0.3)
    monkeypatch.setattr(service_module, "MOST_FAILED", 3)
    monkeypatch.setattr(own.model, "run", fails)
    before = own.metric('fockjax_probes_total{right="false"}')
    assert own.post("/predict", json=body).status_code == 503
    own.until("/v2/health/ready", 503)
    assert own.get("/v2/health/live").status_code == 200 and "the device failed" in caplog.text
    assert own.metric('fockjax_probes_total{right="false"}') > before
    own.until("/v2/health/live", 503)
    monkeypatch.setattr(own.model, "run", run)
    own.until("/v2/health/ready", 200)
    assert own.post("/predict", json=body).status_code == 200


def test_a_probe_for_which_there_is_no_room_is_made_later(own, monkeypatch):
    is_right, run, crowded = own.service._is_right, own.model.run, [Full(100)]

    async def at_first_full(model):
        if crowded:
            raise crowded.pop()
        return await is_right(model)

    def fails(values):
        monkeypatch.setattr(own.model, "run", run)
        raise RunError("UNAVAILABLE: it is gone", None, np.arange(1))

    monkeypatch.setattr(own.service, "idle", 1e9)
    monkeypatch.setattr(service_module, "AGAIN", 0.01)
    monkeypatch.setattr(own.service, "_is_right", at_first_full)
    monkeypatch.setattr(own.model, "run", fails)
    probes = 'fockjax_probes_total{right="true"}'
    before = own.metric(probes)
    assert own.post("/predict", json={"rows": ROWS[:1].tolist()}).status_code == 503
    wait_until(lambda: own.metric(probes) == before + 1)
    assert not crowded


def test_a_batch_that_fails_is_in_the_metrics_and_the_report(own, monkeypatch):
    def fails(*_):
        raise jax.errors.JaxRuntimeError("INVALID_ARGUMENT: so it is")

    monkeypatch.setattr(own.service, "idle", 1e9)
    for runner in own.model.runners:
        monkeypatch.setattr(runner.gateway, "execute", fails)
    assert own.post("/predict", json={"rows": ROWS[:1].tolist()}).status_code == 503
    assert own.metric("fockjax_failed_batches_total") >= 1  # the probe row, too
    assert "INVALID_ARGUMENT" in own.get("/report").text


def test_results_that_are_not_finite_are_counted(own, monkeypatch):
    monkeypatch.setattr(own.service, "idle", 1e9)
    for runner in own.model.runners:
        runner.params = jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), runner.params)
    assert own.post("/predict", json={"rows": ROWS[:3].tolist()}).status_code == 400
    assert own.metric("fockjax_rows_not_finite_total") == 3


def test_the_deadline_is_that_of_the_whole_request(own, monkeypatch):
    """Of the body, reading it and answering together."""
    monkeypatch.setattr(own.service, "idle", 1e9)
    read, run = app_module.protocol.parse, own.model.run

    def slowly(function):
        def slow(*arguments):
            time.sleep(0.4)
            return function(*arguments)

        return slow

    monkeypatch.setattr(app_module.protocol, "parse", slowly(read))
    monkeypatch.setattr(own.model, "run", slowly(run))
    body = {"rows": ROWS[:1].tolist(), "parameters": {"timeout": 600_000}}
    answer = own.post("/predict", json=body)
    assert answer.status_code == 504
    body["parameters"]["timeout"] = 15_000_000
    assert own.post("/predict", json=body).status_code == 200


def test_many_large_bodies_at_a_time_are_refused(own, monkeypatch):
    monkeypatch.setattr(app_module, "BODIES", 0)
    refused = own.post("/predict", json={"rows": ROWS[:1].tolist()})
    assert refused.status_code == 503 and refused.headers["Retry-After"] == "1"
    monkeypatch.undo()
    assert own.post("/predict", json={"rows": ROWS[:1].tolist()}).status_code == 200


def test_a_server_that_ends_asks_its_clients_to_go(own):
    assert "connection" not in own.get("/metrics").headers
    own.service.draining = True
    assert own.get("/metrics").headers["connection"] == "close"


def make_certificate(place, name, kind):
    """A certificate and its key in files of that name; `kind` is that of the key."""
    command = f"openssl req -x509 -newkey {kind} -nodes -days 1 -subj /CN={name}"
    files = ("-out", place / f"{name}.pem", "-keyout", place / f"{name}.key")
    subprocess.run([*command.split(), *files], check=True, stderr=subprocess.PIPE)
    return place / f"{name}.pem", place / f"{name}.key"


def shown(context):
    """The certificate that a client gets to see, as in a file."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = client.wrap_bio(down, up), context.wrap_bio(up, down, server_side=True)
    for end in 2 * ends:
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return ssl.DER_cert_to_PEM_cert(ends[0].getpeercert(binary_form=True))


def test_a_certificate_is_replaced_whole_or_not_at_all(folders, tmp_path, caplog):
    """Whatever is wrong with the API key."""
    curve = "ec -pkeyopt ec_paramgen_curve:P-256"
    certificate, key = make_certificate(tmp_path, "served", curve)
    (tmp_path / "api").write_text("secret")
    files = {"ssl_certfile": certificate, "ssl_keyfile": key, "api_key_file": tmp_path / "api"}
    service = Service(ServeConfig(folders / "none", **files))
    server = server_module._Server(make_app(service), service)
    server.config.load()

    def reload():
        caplog.clear()
        asyncio.run(server._try_reload())
        return shown(server.config.ssl), caplog.text

    old = certificate.read_text()
    other = make_certificate(tmp_path, "other", curve)
    certificate.write_text(other[0].read_text())
    (tmp_path / "api").unlink()
    found, logged = reload()
    assert found == old and service.key == "secret"
    assert f"--ssl-keyfile {key} cannot be used" in logged and "--api-key-file" in logged
    key.unlink()
    assert reload()[0] == old
    for kind in (curve, "rsa:2048"):
        made = make_certificate(tmp_path, "other", kind)
        certificate.write_text(made[0].read_text())
        key.write_text(made[1].read_text())
        found, logged = reload()
        assert found == made[0].read_text() and "--ssl" not in logged


def test_a_path_with_a_slash_at_its_end_is_no_route(client):
    before = client.metric('fockjax_requests_total{route="none",status="404"}')
    answer = client.post("/predict/", json={}, follow_redirects=False)
    assert answer.status_code == 404 and answer.json()["error"]
    assert client.metric('fockjax_requests_total{route="none",status="404"}') == before + 1


def test_a_fault_in_the_model_is_an_error_of_the_server(own, monkeypatch):
    monkeypatch.setattr(own.service, "idle", 1e9)

    def fails(values):
        raise ZeroDivisionError

    monkeypatch.setattr(own.model, "run", fails)
    response = own.post("/predict", json={"rows": ROWS[:1].tolist()})
    assert response.status_code == 503 and response.headers["Retry-After"]
    own.until("/v2/health/ready", 503)  # it tries the probe row at once
    assert own.get("/v2/health/live").status_code == 200


def test_connections_without_a_request_are_closed():
    now, closed = [0.0], []

    class Connection:
        def __init__(self, name):
            self.cycle = None
            self.transport = SimpleNamespace(
                close=lambda: closed.append(name), get_write_buffer_size=lambda: 0
            )

    silent, busy, lively = Connection("silent"), Connection("busy"), Connection("lively")
    busy.cycle = SimpleNamespace(response_complete=False)
    idle = IdleConnections(5.0, 7.0, clock=lambda: now[0])
    for _ in range(6):
        lively.cycle = SimpleNamespace(response_complete=True)
        idle.close([silent, busy, lively])
        now[0] += 1.0
    assert closed == ["silent"]
    busy.cycle.response_complete = True
    idle.close([busy, lively])
    assert closed == ["silent"]  # it has longer for its next request
    now[0] += 1.0
    idle.close([busy, lively])
    assert closed == ["silent", "busy"]


@pytest.mark.parametrize("complete", [False, True])
def test_connections_whose_clients_read_nothing_are_cut(complete):
    now, cut = [0.0], []

    class Connection:
        def __init__(self, name):
            self.cycle, self.unsent = SimpleNamespace(response_complete=complete), 0
            self.transport = SimpleNamespace(
                close=lambda: None,
                abort=lambda: cut.append(name),
                get_write_buffer_size=lambda: self.unsent,
            )

    stuck, slow, late = Connection("stuck"), Connection("slow"), Connection("late")
    idle = IdleConnections(5.0, 7.0, clock=lambda: now[0])
    for second in range(15):
        stuck.unsent = 100 + second  # an answer more
        slow.unsent = 100 - second
        late.unsent = 100 if second > 7 else 0
        idle.close([stuck, slow, late])
        assert cut == ["stuck"] * max(second - 6, 0)
        now[0] += 1.0
    idle.close([slow, late])
    assert cut[-1] == "late"


# the command


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--queue-rows", "0"], "--queue-rows must be at least 1"),
        (["--max-wait", "-1"], "--max-wait must be finite and not negative"),
        (["--deadline", "0"], "--deadline must be positive"),
        (["--port", "70000"], "--port must lie between"),
        (["--ssl-certfile", "x"], "belong together"),
        (["--max-body", "lots"], "--max-body must be a number of bytes or like '16MB', got 'lots'"),
        (["--api-key-file", "none"], "cannot be read"),
        (
            ["--ssl-certfile", "none", "--ssl-keyfile", "none"],
            "--ssl-certfile none and --ssl-keyfile",
        ),
        (["--host", "a" * 70], "cannot listen on aaa"),
        ([], "is not a model folder"),
    ],
)
def test_what_cannot_be_served_is_one_line(tmp_path, capsys, options, message):
    assert cli.main(["serve", str(tmp_path / "none"), "--port", "0", *options]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_without_the_libraries_it_says_how_to_install_them(capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fockjax.serving.server", None)
    assert cli.main(["serve", "model"]) == 2
    assert 'pip install -e ".[serve]"' in capsys.readouterr().err


def test_a_model_has_the_name_of_the_link_to_it(folders, tmp_path, monkeypatch):
    (tmp_path / "current").symlink_to(folders / "numbers")
    assert ServeConfig(tmp_path / "current").model_name == "current"
    monkeypatch.chdir(folders / "numbers")
    assert ServeConfig(Path(".")).model_name == "numbers"


def test_without_a_home_the_folder_of_programs_must_be_given(tmp_path, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert ServeConfig(tmp_path, compiled=tmp_path).compiled_folder() == tmp_path
    with pytest.raises(UserError, match="--compiled must be given here: Could not determine home"):
        ServeConfig(tmp_path).compiled_folder()


def test_every_address_is_of_both_kinds():
    if not socket.has_dualstack_ipv6():
        pytest.skip("needs IPv6")
    with server_module._listen("::", 0) as listener:
        socket.create_connection(("127.0.0.1", listener.getsockname()[1])).close()


def test_a_port_in_use_is_told(folders, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1, port {port}"):
            serve(ServeConfig(folders / "numbers", port=port, compiled=tmp_path))


def test_a_leakage_that_is_not_finite_does_not_spoil_the_sum():
    metrics = Metrics()
    for leakage in (np.array([0.1, np.nan, 0.2]), np.array([np.nan])):
        record = RunRecord.begin("", jax.devices(), ["0"])
        record.seconds["total"], record.not_finite = 0.1, 1
        found = Predictions(leakage, None, leakage, leakage, np.isfinite(leakage))
        metrics.batch(len(leakage), record, found)
    text = metrics.text().decode()
    assert "fockjax_leakage_sum 0.2" in text and "fockjax_leakage_count 1.0" in text
    assert "fockjax_rows_not_finite_total 2.0" in text


def test_a_message_that_nobody_takes_is_no_fault(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    supervisor.notify("READY=1")
