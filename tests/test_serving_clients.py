"""Clients that were not written here: Triton's, and Schemathesis, which makes requests up from the
OpenAPI description.
"""

import json
import subprocess
import sys

import numpy as np
import pytest
import tritonclient.http as triton
from _served_model import COLUMNS, dataset, inputs
from models import make_folder, without_circuits
from served import serving

from fockjax.inference import load_model
from fockjax.training.data import Dataset

pytestmark = [pytest.mark.slow, pytest.mark.loose_promotion]  # Flax and Optax promote


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with without_circuits():
        yield make_folder(tmp_path_factory.mktemp("models") / "model", dataset())


@pytest.fixture(scope="module")
def served(folder):
    with serving(folder) as served:
        yield served


@pytest.fixture
def client(served):
    with triton.InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        yield client


def tensor(rows, datatype, binary):
    kinds = {"FP64": np.float64, "FP32": np.float32, "INT64": np.int64}
    found = triton.InferInput("features", list(rows.shape), datatype)
    return [found.set_data_from_numpy(rows.astype(kinds[datatype]), binary_data=binary)]


def test_triton_finds_server_and_model(client, served):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("model")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    about = client.get_model_metadata("model")
    version = served.service.model.version
    assert about["name"] == "model" and about["versions"] == [version]
    assert about["inputs"] == [{"name": "features", "datatype": "FP64", "shape": [-1, 4]}]
    assert [output["name"] for output in about["outputs"]] == ["prediction", "leakage"]
    assert client.is_model_ready("model", version)
    assert client.get_model_metadata("model", version) == about
    assert not client.is_model_ready("other") and not client.is_model_ready("model", "7")
    client.load_model("model")


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "INT64"])
@pytest.mark.parametrize("binary", [True, False])
def test_triton_gets_the_answers_of_the_model(client, folder, datatype, binary):
    rows = np.round(10 * inputs(200))
    expected = load_model(folder)(rows)
    asked = [
        triton.InferRequestedOutput("leakage", binary_data=not binary),
        triton.InferRequestedOutput("prediction", binary_data=binary),
    ]
    given = tensor(rows, datatype, binary)
    result = client.infer("model", given, outputs=asked, request_id="seventeen", timeout=10**7)
    assert result.get_response()["id"] == "seventeen"
    assert result.get_response()["model_name"] == "model"
    for name in ("prediction", "leakage"):
        found = result.as_numpy(name)
        assert found.dtype == np.float64 and found.shape == (200,)
        np.testing.assert_allclose(found, getattr(expected, name), rtol=1e-6, atol=1e-6)


def test_triton_asks_many_at_once(client, served):
    def given(k):
        return "model", tensor(inputs(9, k), "FP64", True)

    with triton.InferenceServerClient(f"127.0.0.1:{served.port}", concurrency=4) as many:
        waiting = [many.async_infer(*given(k)) for k in range(20)]
        found = [each.get_result().as_numpy("prediction") for each in waiting]
    for k, together in enumerate(found):
        alone = client.infer(*given(k)).as_numpy("prediction")
        np.testing.assert_allclose(together, alone, atol=1e-6)


def test_triton_is_told_what_is_wrong(client):
    bad = inputs(3)
    bad[2, 0] = np.nan
    with pytest.raises(triton.InferenceServerException, match="row 3") as caught:
        client.infer("model", tensor(bad, "FP64", True))
    assert caught.value.status() == "400"
    with pytest.raises(triton.InferenceServerException, match="no model 'other'"):
        client.infer("other", tensor(inputs(1), "FP64", True))
    with pytest.raises(triton.InferenceServerException, match="must have shape"):
        client.infer("model", tensor(inputs(3)[:, :2], "FP64", True))
    with pytest.raises(triton.InferenceServerException, match="not supported"):
        rows = tensor(inputs(1), "FP64", True)
        client.infer("model", rows, request_compression_algorithm="gzip")


@pytest.mark.parametrize("binary", [True, False])
def test_triton_sends_text_and_gets_labels(tmp_path, binary):
    rng = np.random.default_rng(0)
    kind, size = rng.integers(3, size=60), rng.normal(size=60)
    data = Dataset(
        "flowers",
        np.stack([kind, size], -1).astype(np.float64),
        (kind % 3).astype(np.float64),
        ("colour", "size"),
        "name",
        ("iris", "rose", "tulip"),
        {"colour": ("blue", "red", "žlutá")},
    )
    with without_circuits():
        predictor = load_model(make_folder(tmp_path / "model", data))
        with (
            serving(tmp_path / "model") as served,
            triton.InferenceServerClient(f"127.0.0.1:{served.port}") as client,
        ):
            about = client.get_model_metadata("model")["inputs"]
            assert [each["datatype"] for each in about] == ["BYTES", "FP64"]
            colours = np.array(["žlutá", "blue", "red"], object)
            given = [
                triton.InferInput("colour", [3], "BYTES"),
                triton.InferInput("size", [3], "FP64"),
            ]
            given[0].set_data_from_numpy(colours, binary_data=binary)
            given[1].set_data_from_numpy(size[:3], binary_data=binary)
            result = client.infer("model", given)
            expected = predictor(np.stack([[2, 0, 1], size[:3]], -1))
            labels = result.as_numpy("prediction")
            assert [label.decode() for label in labels] == expected.prediction.tolist()
            np.testing.assert_allclose(
                result.as_numpy("probability"), expected.probability, atol=1e-6
            )


def described(served):
    """The description, narrowed to requests of which this model answers some."""
    whole = json.loads(served.get("/openapi.json").body)
    number = {"type": "number", "minimum": -100, "maximum": 100}
    schemas = whole["components"]["schemas"]
    for name in ("Rows", "Infer"):  # a millionth of a second would be answered by 504
        schemas[name]["properties"]["parameters"]["properties"]["timeout"]["minimum"] = 10**7
    schemas["Rows"]["properties"]["rows"]["items"] = {
        "type": "array",
        "items": number,
        "minItems": len(COLUMNS),
        "maxItems": len(COLUMNS),
    }
    tensor = schemas["Infer"]["properties"]["inputs"]
    tensor |= {"minItems": 1, "maxItems": 1}
    tensor["items"] = {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"const": "features"},
            "datatype": {"enum": ["FP64", "FP32"]},
            "shape": {"const": [2, len(COLUMNS)]},
            "data": {"type": "array", "items": number, "minItems": 8, "maxItems": 8},
        },
        "additionalProperties": False,
    }
    return whole


def test_nothing_that_follows_the_description_or_breaks_it_is_an_internal_error(served, tmp_path):
    """Nor is anything answered by a status, type or schema that the description does not name."""
    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(described(served)))
    version = served.service.model.version
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(f'[parameters]\nname = "model"\nversion = "{version}"\n')
    checks = ["not_a_server_error", "status_code_conformance"]
    checks += ["content_type_conformance", "response_schema_conformance"]
    options = ["--mode=all", "--max-examples=10", "--seed=1", "--phases=coverage,fuzzing"]
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run"]
    url = f"--url=http://127.0.0.1:{served.port}"
    done = subprocess.run(
        [*command, str(description), url, f"--checks={','.join(checks)}", *options],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-9000:] + done.stderr[-1000:]
    counted = served.get("/metrics").body.decode()
    for route in ("/predict", "/v2/models/{name}/infer"):
        for status in (200, 400):
            assert f'route="{route}",status="{status}"' in counted
    assert 'status="500"' not in counted
