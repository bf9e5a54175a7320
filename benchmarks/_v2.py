"""Requests and answers of the Open Inference Protocol V2, written apart from the server's code."""

import json

import numpy as np
from _http import Answer, request

HEADER_LENGTH = "Inference-Header-Content-Length"
TYPES = {"FP64": "<f8", "FP32": "<f4", "INT64": "<i8"}


def infer(model: str, rows: np.ndarray, binary: bool) -> bytes:
    """A request for the answers to `rows` (rows, columns), in JSON or as bytes of float32."""
    tensor: dict = {"name": "features", "shape": list(rows.shape), "datatype": "FP32"}
    path = f"/v2/models/{model}/infer"
    if not binary:
        tensor["data"] = rows.ravel().tolist()
        return request("POST", path, json.dumps({"inputs": [tensor]}).encode())
    content = rows.astype("<f4").tobytes()
    tensor["parameters"] = {"binary_data_size": len(content)}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return request("POST", path, head + content, {HEADER_LENGTH: str(len(head))})


def outputs(answer: Answer) -> dict[str, np.ndarray]:
    """The tensors of an answer by name."""
    assert answer.status == 200, answer
    length = answer.header(HEADER_LENGTH)
    start = len(answer.body) if length is None else int(length)
    found = {}
    for tensor in json.loads(answer.body[:start])["outputs"]:
        if "data" in tensor:
            array = np.array(tensor["data"])
        else:
            end = start + tensor["parameters"]["binary_data_size"]
            array = np.frombuffer(answer.body[start:end], TYPES[tensor["datatype"]])
            start = end
        found[tensor["name"]] = array.reshape(tensor["shape"])
    return found
