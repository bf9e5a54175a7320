"""The routes: HTTP in and out, nothing else."""

import asyncio
import contextlib
import hmac
import io
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import version

import orjson
from rich.console import Console
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from fockjax.runtime.memory import parse_size
from fockjax.runtime.report import print_report
from fockjax.serving import protocol, rows
from fockjax.serving.errors import Refused, bad_request
from fockjax.serving.metrics import CONTENT_TYPE
from fockjax.serving.model import Model
from fockjax.serving.openapi import description
from fockjax.serving.service import Service

Handler = Callable[[Request], Awaitable[Response]]

log = logging.getLogger("fockjax.serving")


def make_app(service: Service, model: Model) -> Starlette:
    """The server as an ASGI application, which begins with `model`."""
    routes = _Routes(service)
    infer, about = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"
    open_to_all = [
        ("/v2/health/live", "GET", routes.live),
        ("/v2/health/ready", "GET", routes.ready),
    ]
    for_key = [  # tried in order: first those that are asked often
        *((f"{prefix}/infer", "POST", routes.infer) for prefix in (infer, about)),
        ("/predict", "POST", routes.predict),
        ("/v2", "GET", routes.server),
        *((prefix, "GET", routes.metadata) for prefix in (infer, about)),
        *((f"{prefix}/ready", "GET", routes.model_ready) for prefix in (infer, about)),
        ("/v2/repository/models/{name}/load", "POST", routes.load),
        ("/metrics", "GET", routes.metrics),
        ("/report", "GET", routes.report),
        ("/openapi.json", "GET", routes.openapi),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await service.start(model)
        yield
        await service.stop()

    return Starlette(
        routes=[
            *(_route(service, *each, key=service.config.api_key()) for each in for_key),
            *(_route(service, *each, key=None) for each in open_to_all),
        ],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )


def _route(service: Service, path: str, method: str, handler: Handler, key: str | None) -> Route:
    """A route that refuses without the key, counts, and tells errors as the protocol does."""

    async def endpoint(request: Request) -> Response:
        start = time.perf_counter()
        try:
            if key is not None:
                _check_key(request, key)
            response = await handler(request)
        except Refused as error:
            response = _error(error.status, str(error), error.retry_after)
        except ClientDisconnect:
            response = _error(499, "the client has gone")
        except Exception:
            log.exception("%s %s", method, path)
            response = _error(500, "internal error")
        service.metrics.request(path, response.status_code, time.perf_counter() - start)
        return response

    return Route(path, endpoint, methods=[method])


class _Routes:
    def __init__(self, service: Service):
        self.service = service
        self.largest_body = parse_size(service.config.max_body)

    # health and metadata

    async def live(self, request: Request) -> Response:
        live = self.service.live
        return _json({"live": live}, 200 if live else 503)

    async def ready(self, request: Request) -> Response:
        # The text of the protocol says "live" here too, its OpenAPI description "ready".
        ready = self.service.ready
        return _json({"live": ready, "ready": ready}, 200 if ready else 503)

    async def server(self, request: Request) -> Response:
        return _json(
            {
                "name": "fockjax",
                "version": version("fockjax"),
                "extensions": list(protocol.EXTENSIONS),
            }
        )

    async def metadata(self, request: Request) -> Response:
        model = self._model(request)
        return _json(
            {
                "name": model.name,
                "versions": [model.version],
                "platform": "fockjax",
                "inputs": protocol.inputs_of(model.predictor),
                "outputs": protocol.outputs_of(model.predictor),
            }
        )

    async def model_ready(self, request: Request) -> Response:
        ready = self.service.ready
        value = {"name": self._model(request).name, "ready": ready}
        return _json(value, 200 if ready else 503)

    # answers

    async def infer(self, request: Request) -> Response:
        model = self._model(request)
        self.service.refuse_unless_right()
        body = await self._body(request)
        asked = protocol.read(body, request.headers.get(protocol.HEADER_LENGTH), model.predictor)
        inputs = rows.usable(asked.fields, asked.rows, model.predictor)
        answer = await self.service.answer(model, inputs, asked.seconds, request.receive)
        rows.refuse_not_finite(answer)
        content, headers = protocol.write(asked, answer, model.name, model.version)
        return Response(content, headers=headers)

    async def predict(self, request: Request) -> Response:
        model = self.service.current()
        self.service.refuse_unless_right()
        value = protocol.parse(await self._body(request))
        inputs = rows.read(value.get("rows"), model.predictor)
        seconds = protocol.patience(value)
        answer = await self.service.answer(model, inputs, seconds, request.receive)
        rows.refuse_not_finite(answer)
        return _json(
            {
                "model_name": model.name,
                "model_version": model.version,
                "predictions": rows.as_objects(answer, model.predictor),
            }
        )

    async def load(self, request: Request) -> Response:
        if request.path_params["name"] != self.service.config.model_name:
            raise Refused(404, f"there is no model {request.path_params['name']!r}")
        await self.service.reload()
        return Response(status_code=200)

    # looking

    async def metrics(self, request: Request) -> Response:
        return Response(self.service.metrics.text(), media_type=CONTENT_TYPE)

    async def report(self, request: Request) -> Response:
        records = list(self.service.records)
        if not records:
            return Response("nothing ran yet\n", media_type="text/plain")
        text = io.StringIO()
        await asyncio.to_thread(print_report, records, Console(file=text, width=120))
        return Response(text.getvalue(), media_type="text/plain")

    async def openapi(self, request: Request) -> Response:
        return _json(description(self.service.config.api_key_file is not None))

    # parts

    def _model(self, request: Request) -> Model:
        """The model that a path names."""
        name, wanted = request.path_params["name"], request.path_params.get("version")
        if name != self.service.config.model_name:
            raise Refused(404, f"there is no model {name!r}")
        model = self.service.current()
        if wanted not in (None, model.version):
            raise Refused(404, f"there is no version {wanted!r}; this is {model.version!r}")
        return model

    async def _body(self, request: Request) -> bytes:
        """The body, if it is not too large and comes in time."""
        if (encoding := request.headers.get("content-encoding", "identity")) != "identity":
            raise Refused(415, f"Content-Encoding {encoding!r} is not supported: send it plain")
        largest, size, parts = self.largest_body, 0, []
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > largest:
            raise Refused(413, f"a body of {length} bytes; at most {largest} are taken")
        try:
            async with asyncio.timeout(self.service.config.deadline):
                async for part in request.stream():
                    size += len(part)
                    if size > largest:
                        raise Refused(413, f"a body of more than {largest} bytes")
                    parts.append(part)
        except TimeoutError:
            raise Refused(408, "the body did not come in time") from None
        if not size:
            raise bad_request("the request has no body")
        return b"".join(parts)


def _check_key(request: Request, key: str) -> None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), key.encode()):
        raise Refused(401, "an API key is needed: Authorization: Bearer KEY")


def _json(value: object, status: int = 200) -> Response:
    newline = orjson.OPT_APPEND_NEWLINE  # for who reads it on a terminal
    content = orjson.dumps(value, option=newline)
    return Response(content, status, media_type="application/json")


def _error(status: int, message: str, retry_after: int | None = None) -> Response:
    response = _json({"error": message}, status)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = _error(error.status_code, error.detail)
    response.headers.update(error.headers or {})
    return response
