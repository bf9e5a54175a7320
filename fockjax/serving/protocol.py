"""The Open Inference Protocol V2 over HTTP, with its binary tensor extension.

See https://github.com/kserve/open-inference-protocol, and for tensors as bytes
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from fockjax.inference import Predictor
from fockjax.serving import tensors
from fockjax.serving.batcher import Answer
from fockjax.serving.errors import bad_request
from fockjax.serving.rows import field, refuse_too_many
from fockjax.training.tables import Field

HEADER_LENGTH = "Inference-Header-Content-Length"
EXTENSIONS = ("binary_tensor_data",)
FEATURES = "features"


@dataclass(frozen=True)
class Request:
    """A request for inference.

    Attributes:
        id: the client's name for the request, if it gave one.
        fields: the columns of the model.
        rows: how many rows they have.
        outputs: the names of the results that are wanted, and whether as bytes.
        seconds: how long the client waits, if it says so.
    """

    id: str | None
    fields: dict[str, Field]
    rows: int
    outputs: list[tuple[str, bool]]
    seconds: float | None


@dataclass(frozen=True)
class Interface:
    """What a model takes and gives, in the words of the protocol.

    Attributes:
        inputs, outputs: the tensors in its metadata.
        columns: the names of its columns, in the order of the training.
    """

    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    columns: list[str]

    @classmethod
    def of(cls, predictor: Predictor) -> "Interface":
        names = [column.name for column in predictor.columns]
        return cls(_inputs_of(predictor), _outputs_of(predictor), names)


def _inputs_of(predictor: Predictor) -> list[dict[str, Any]]:
    """One tensor of all features if they are all numbers, else one tensor for each column."""
    columns = predictor.columns
    if all(column.categories is None for column in columns):
        return [{"name": FEATURES, "datatype": "FP64", "shape": [-1, len(columns)]}]
    return [
        {
            "name": column.name,
            "datatype": "FP64" if column.categories is None else tensors.TEXT,
            "shape": [-1],
        }
        for column in columns
    ]


def _outputs_of(predictor: Predictor) -> list[dict[str, Any]]:
    classes = predictor.classes
    label = "FP64" if classes is None else tensors.datatype_of(np.array(classes))
    found = [{"name": "prediction", "datatype": label, "shape": [-1]}]
    if classes is not None:
        shape = [-1] if len(classes) == 2 else [-1, len(classes)]
        found.append({"name": "probability", "datatype": "FP64", "shape": shape})
    return [*found, {"name": "leakage", "datatype": "FP64", "shape": [-1]}]


def parse(body: bytes) -> dict[str, Any]:
    """Parse a JSON object: UTF-8, finite numbers, at most 1024 levels deep."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the request is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise bad_request("the request must be a JSON object")
    return value


def patience(value: dict[str, Any]) -> float | None:
    """Seconds that the client waits, from the parameter "timeout" in microseconds."""
    timeout = _parameters(value, "the request").get("timeout")
    if timeout is None:
        return None
    if type(timeout) is not int or timeout < 1:
        raise bad_request('parameter "timeout" must be a whole number of microseconds, at least 1')
    return timeout / 1e6


def read(body: bytes, header_length: str | None, model: Interface, most: int) -> Request:
    """Read a request of at most `most` rows from its body and the header `HEADER_LENGTH`.

    Raises:
        Refused: with status 400 and what is wrong, or 413 for too many rows.
    """
    end = _end_of_json(body, header_length)
    value = parse(body[:end])
    name = value.get("id")
    if name is not None and not isinstance(name, str):
        raise bad_request('"id" must be text')
    described = _objects(value, "inputs")
    rows = _rows(described, model.inputs)
    refuse_too_many(rows, most)
    fields = _fields(_read_inputs(described, memoryview(body)[end:]), rows, model)
    binary = _parameters(value, "the request").get("binary_data_output") is True
    asked = _objects(value, "outputs") if value.get("outputs") is not None else []
    outputs = _read_outputs(asked or model.outputs, model.outputs, binary)
    return Request(name, fields, rows, outputs, patience(value))


def write(
    request: Request, answer: Answer, name: str, version: str
) -> tuple[bytes, dict[str, str]]:
    """The body of a response, and its headers."""
    described, blobs = [], []
    for output, binary in request.outputs:
        array = answer[output]
        about: dict[str, Any] = {
            "name": output,
            "datatype": tensors.datatype_of(array),
            "shape": list(array.shape),
        }
        if binary:
            blobs.append(tensors.to_bytes(array))
            about["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            about["data"] = array.ravel().tolist()
        described.append(about)
    value = {"model_name": name, "model_version": version, "outputs": described}
    if request.id is not None:
        value["id"] = request.id
    header = orjson.dumps(value)
    if not blobs:
        return header, {"Content-Type": "application/json"}
    return b"".join([header, *blobs]), {
        "Content-Type": "application/octet-stream",
        HEADER_LENGTH: str(len(header)),
    }


def _end_of_json(body: bytes, header_length: str | None) -> int:
    """Where the JSON ends in a body, and the bytes of tensors begin."""
    if header_length is None:
        return len(body)
    is_number = header_length.isascii() and header_length.isdigit() and len(header_length) < 20
    end = int(header_length) if is_number else -1
    if not 0 < end <= len(body):
        raise bad_request(
            f"{HEADER_LENGTH} must be between 1 and the {len(body)} bytes of the body, got "
            f"{header_length!r}"
        )
    return end


def _rows(described: list[dict], expected: list[dict]) -> int:
    """How many rows the inputs of a request say they have, if they are those of the model."""
    given = [each.get("name") for each in described]
    names = [each["name"] for each in expected]
    if sorted(map(repr, given)) != sorted(map(repr, names)):
        raise bad_request(
            f"the inputs must be {', '.join(map(repr, names))}; got "
            f"{', '.join(map(repr, given)) or 'none'}"
        )
    wanted = {each["name"]: each["shape"] for each in expected}
    counts = set()
    for each in described:
        name, shape = each["name"], each.get("shape")
        if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
            raise bad_request(f'input {name!r}: "shape" must be a list of sizes, got {shape!r}')
        tail = wanted[name][1:]
        if not shape or shape[1:] not in (tail, [1, *tail]):
            raise bad_request(f"input {name!r} must have shape {wanted[name]}, got {shape}")
        counts.add(shape[0])
    if len(counts) != 1:
        raise bad_request("the inputs must have the same number of rows, their first axis")
    if counts == {0}:
        raise bad_request("the inputs have no rows")
    return counts.pop()


def _read_inputs(described: list[dict], rest: memoryview) -> dict[str, np.ndarray]:
    """The elements of the input tensors by name, from their descriptions and the bytes after the
    JSON.
    """
    found: dict[str, np.ndarray] = {}
    start = 0
    for each in described:
        name, datatype, shape = each["name"], each.get("datatype"), each["shape"]
        if not isinstance(datatype, str) or datatype not in (*tensors.DATATYPES, tensors.TEXT):
            raise bad_request(f"input {name!r} has an unknown datatype: {datatype!r}")
        size = _parameters(each, f"input {name!r}").get("binary_data_size")
        if (size is None) == ("data" not in each):
            raise bad_request(
                f'input {name!r} must have either "data" or the parameter "binary_data_size"'
            )
        if size is None:
            found[name] = tensors.from_json(name, datatype, shape, each["data"])
            continue
        if type(size) is not int or not 0 <= size <= len(rest) - start:
            raise bad_request(
                f"input {name!r}: binary_data_size is {size!r}, bytes left {len(rest) - start}"
            )
        content = bytes(rest[start : start + size])
        found[name] = tensors.from_bytes(name, datatype, shape, content)
        start += size
    if start != len(rest):
        raise bad_request(f"{len(rest) - start} bytes follow that belong to no input")
    return found


def _fields(given: dict[str, np.ndarray], rows: int, model: Interface) -> dict[str, Field]:
    """The columns of the model from the elements of the inputs."""
    if len(model.inputs[0]["shape"]) == 1:
        return {name: field(elements.tolist(), name) for name, elements in given.items()}
    if given[FEATURES].dtype == object:
        raise bad_request(f"input {FEATURES!r} must be numbers, not {tensors.TEXT}")
    columns = given[FEATURES].reshape(rows, -1).astype(np.float64).T
    return dict(zip(model.columns, columns, strict=True))


def _read_outputs(described: list[dict], known: list[dict], binary: bool) -> list[tuple[str, bool]]:
    """The names of the outputs that are wanted, and whether as bytes; by default `binary`."""
    names = [each["name"] for each in known]
    found = []
    for each in described:
        name = each.get("name")
        if name not in names:
            raise bad_request(f"unknown output {name!r}: there are {', '.join(names)}")
        parameters = _parameters(each, f"output {name!r}")
        if parameters.get("classification"):
            raise bad_request(f"output {name!r}: the classification extension is not supported")
        found.append((name, parameters.get("binary_data", binary) is True))
    return found


def _objects(value: dict[str, Any], key: str) -> list[dict]:
    found = value.get(key)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise bad_request(f'"{key}" must be a list of objects')
    return found


def _parameters(value: dict[str, Any], owner: str) -> dict[str, Any]:
    found = value.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise bad_request(f'"parameters" of {owner} must be an object')
    return found
