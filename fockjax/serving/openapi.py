"""The OpenAPI 3.1 description of the server."""

from importlib.metadata import version
from typing import Any

from fockjax.serving.tensors import DATATYPES, TEXT

Schema = dict[str, Any]


def description(with_key: bool) -> Schema:
    """What /openapi.json returns.

    Args:
        with_key: whether requests need an API key.
    """
    paths = _paths()
    found: Schema = {
        "openapi": "3.1.0",
        "info": {"title": "fockjax", "version": version("fockjax")},
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }
    if with_key:
        found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"key": []}]
        for path in paths.values():
            for method in path.values():
                if isinstance(method, dict) and "security" not in method:
                    method["responses"] |= _errors(401)
    return found


def _paths() -> Schema:
    model = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "/v2/health/live": {
            "get": _open(_get("Whether the process works; if not, restart it", "Live", 503))
        },
        "/v2/health/ready": {"get": _open(_get("Whether requests are answered", "Ready", 503))},
        "/v2": {"get": _get("About the server", "Server")},
        **_of_model("/v2/models/{name}", model),
        **_of_model("/v2/models/{name}/versions/{version}", model, {**model, "name": "version"}),
        "/v2/repository/models/{name}/load": {
            "parameters": [model],
            "post": {
                "summary": "Take the model that is in the folder now, if it is right",
                "responses": {"200": {"description": "taken"}, **_errors(400, 404, 503)},
            },
        },
        "/predict": {"post": _post("Rows in, rows out", "Rows", "Predictions", 503)},
        "/metrics": {"get": _text("Counters for Prometheus")},
        "/report": {"get": _text("Recent runs of batches")},
        "/openapi.json": {
            "get": {
                "summary": "This description",
                "responses": {"200": {"description": "success", **_content({"type": "object"})}},
            }
        },
    }


def _of_model(prefix: str, *parameters: Schema) -> Schema:
    """The routes of a model, or of a version of it."""
    routes = {
        "": {"get": _get("About the model", "Model", *NAMED)},
        "/ready": {"get": _get("Whether the model answers", "ModelReady", *NAMED)},
        "/infer": {"post": _post("Tensors in, tensors out", "Infer", "Inferred", *NAMED)},
    }
    return {
        prefix + end: {"parameters": list(parameters), **route} for end, route in routes.items()
    }


NAMED = (404, 503)
ASKED = (400, 408, 413, 415, 429, 504)


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def _list(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


TRUTH, WORD, SIZE = {"type": "boolean"}, {"type": "string"}, {"type": "integer", "minimum": 0}
VALUE = {"type": ["number", "string", "boolean", "null"]}
NAMES = [*DATATYPES, TEXT]
PARAMETERS = {"type": ["object", "null"]}
TIMEOUT = {
    **_object(timeout={"type": "integer", "minimum": 1, "description": "microseconds"}),
    "type": ["object", "null"],
}
ABOUT_TENSOR = _object(
    ("name", "datatype", "shape"),
    name=WORD,
    datatype={"enum": NAMES},
    shape=_list({"type": "integer", "minimum": -1}),
)
INPUT = _object(
    ("name", "datatype", "shape"),
    name=WORD,
    datatype={"enum": NAMES},
    shape=_list(SIZE),
    parameters=PARAMETERS,
    data={"type": "array", "description": "in row-major order, nested or flat"},
)
OUTPUT = _object(
    ("name", "datatype", "shape"),
    name=WORD,
    datatype={"enum": NAMES},
    shape=_list(SIZE),
    parameters={"type": "object"},
    data=_list({"type": ["number", "string", "boolean"]}),
)
SCHEMAS: Schema = {
    "Error": _object(("error",), error=WORD),
    "Live": _object(("live",), live=TRUTH),
    "Ready": _object(("live", "ready"), live=TRUTH, ready=TRUTH),
    "Server": _object(
        ("name", "version", "extensions"), name=WORD, version=WORD, extensions=_list(WORD)
    ),
    "Model": _object(
        ("name", "versions", "platform", "inputs", "outputs"),
        name=WORD,
        versions=_list(WORD),
        platform=WORD,
        inputs=_list(ABOUT_TENSOR),
        outputs=_list(ABOUT_TENSOR),
    ),
    "ModelReady": _object(("name", "ready"), name=WORD, ready=TRUTH),
    "Infer": _object(
        ("inputs",),
        id={"type": ["string", "null"]},
        parameters=TIMEOUT,
        inputs=_list(INPUT),
        outputs={
            **_list(_object(("name",), name=WORD, parameters=PARAMETERS)),
            "type": ["array", "null"],
        },
    ),
    "Inferred": _object(
        ("model_name", "model_version", "outputs"),
        model_name=WORD,
        model_version=WORD,
        id=WORD,
        outputs=_list(OUTPUT),
    ),
    "Rows": _object(
        ("rows",),
        rows=_list({"oneOf": [_list(VALUE), {"type": "object"}]}, minItems=1),
        parameters=TIMEOUT,
    ),
    "Predictions": _object(
        ("model_name", "model_version", "predictions"),
        model_name=WORD,
        model_version=WORD,
        predictions=_list({"type": "object"}),
    ),
}


def _content(schema: Schema) -> Schema:
    return {"content": {"application/json": {"schema": schema}}}


def _named(name: str) -> Schema:
    return _content({"$ref": f"#/components/schemas/{name}"})


def _errors(*statuses: int) -> Schema:
    return {str(status): {"description": WHY[status], **_named("Error")} for status in statuses}


WHY = {
    400: "what is wrong, with the numbers of the rows, from 1",
    401: "an API key is needed",
    404: "there is no such model, or version",
    408: "the body did not come in time",
    413: "the body is too large, or has too many rows",
    415: "the body is encoded",
    429: "too many requests: try again after Retry-After",
    503: "not ready: try again after Retry-After",
    504: "not answered in time",
}


def _get(summary: str, schema: str, *errors: int) -> Schema:
    good = {"200": {"description": "success", **_named(schema)}}
    return {"summary": summary, "responses": {**good, **_errors(*errors)}}


def _open(operation: Schema) -> Schema:
    """A health check: it needs no key, and its "no" has the same form as its "yes"."""
    yes = operation["responses"]["200"]
    no = {**yes, "description": "no"}
    return {**operation, "responses": {"200": yes, "503": no}, "security": []}


def _post(summary: str, taken: str, given: str, *errors: int) -> Schema:
    operation = _get(summary, given, *sorted({*ASKED, *errors}))
    return {**operation, "requestBody": {"required": True, **_named(taken)}}


def _text(summary: str) -> Schema:
    content = {"content": {"text/plain": {"schema": WORD}}}
    return {"summary": summary, "responses": {"200": {"description": "success", **content}}}
