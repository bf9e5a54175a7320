"""The routes of the server: HTTP in and out, nothing else."""

import asyncio
import contextlib
import hmac
import io
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from typing import Generic, TypeVar

import numpy as np
import orjson
from rich.console import Console
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from fockjax.runtime.memory import parse_size
from fockjax.runtime.report import print_report
from fockjax.serving import protocol, rows
from fockjax.serving.batcher import Answer
from fockjax.serving.errors import Refused, bad_request
from fockjax.serving.metrics import CONTENT_TYPE, Metrics
from fockjax.serving.model import Model
from fockjax.serving.openapi import description
from fockjax.serving.service import Service

Handler = Callable[[Request], Awaitable[Response]]
T = TypeVar("T")

LARGE_BODY = 2**18  # bytes, which take some milliseconds to read as JSON
BODIES = 16  # of the largest size that are held at a time

log = logging.getLogger("fockjax.serving")


HEALTH = ("/v2/health/live", "/v2/health/ready")


def make_app(service: Service) -> Router:
    """The server as an ASGI application.

    It is a bare router of ASGI applications: the layers that Starlette adds around a router and
    around functions took a tenth of the time of a request of one row.
    """
    routes = _Routes(service)
    named = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
    open_to_all = list(zip(HEALTH, ("GET", "GET"), (routes.live, routes.ready), strict=True))
    for_key = [  # tried in order, so frequent ones come first
        *((f"{prefix}/infer", "POST", routes.infer) for prefix in named),
        ("/predict", "POST", routes.predict),
        ("/v2", "GET", routes.server),
        *((prefix, "GET", routes.metadata) for prefix in named),
        *((f"{prefix}/ready", "GET", routes.model_ready) for prefix in named),
        ("/v2/repository/models/{name}/load", "POST", routes.load),
        ("/metrics", "GET", routes.metrics),
        ("/report", "GET", routes.report),
        ("/openapi.json", "GET", routes.openapi),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    def route(path: str, method: str, handler: Handler, needs_key: bool) -> Route:
        return Route(path, _Endpoint(service, path, method, handler, needs_key))

    return Router(
        routes=[
            *(route(*each, needs_key=True) for each in for_key),
            *(route(*each, needs_key=False) for each in open_to_all),
        ],
        default=Unrouted(service.metrics, error_response(404, "there is no such route")),
        redirect_slashes=False,
        lifespan=lifespan,
    )


class Unrouted:
    """An ASGI application that answers and counts requests which reach no route."""

    def __init__(self, metrics: Metrics, response: Response):
        self.metrics, self.response = metrics, response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.metrics.unrouted(self.response.status_code)
        await self.response(scope, receive, send)


class _Endpoint:
    """A route as an ASGI application: checks the key, counts, and answers errors in JSON."""

    def __init__(self, service: Service, path: str, method: str, handler: Handler, needs_key: bool):
        self.service, self.metrics, self.needs_key = service, service.metrics, needs_key
        self.path, self.handler = path, handler
        self.methods = {"GET": ("GET", "HEAD")}.get(method, (method,))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = time.perf_counter()
        response = await self._answer(Request(scope, receive))
        if self.service.draining:  # so that the client goes elsewhere before this ends
            response.headers["Connection"] = "close"
        self.metrics.request(self.path, response.status_code, time.perf_counter() - start)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            if request.method not in self.methods:
                raise Refused(405, f"{self.path} takes {self.methods[0]}")
            if self.needs_key and self.service.key is not None:
                _check_key(request, self.service.key)
            return await self.handler(request)
        except Refused as error:
            response = error_response(error.status, str(error), error.retry_after)
            if error.status == 405:
                response.headers["Allow"] = ", ".join(self.methods)
            return response
        except Exception:
            log.exception("%s %s", self.methods[0], self.path)
            return error_response(500, "internal error")


class _Routes:
    """The functions that answer requests, one for each route."""

    def __init__(self, service: Service):
        self.service = service
        self.largest_body = parse_size(service.config.max_body)
        self.most_rows = service.config.queue_rows
        self._reader = ThreadPoolExecutor(1, "fockjax-reading")
        self._held = 0  # bytes of the bodies that are not read yet

    # Health and metadata

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
                "inputs": model.interface.inputs,
                "outputs": model.interface.outputs,
            }
        )

    async def model_ready(self, request: Request) -> Response:
        ready = self.service.ready
        value = {"name": self._model(request).name, "ready": ready}
        return _json(value, 200 if ready else 503)

    # Answers

    async def infer(self, request: Request) -> Response:
        model = self._model(request)
        length = request.headers.get(protocol.HEADER_LENGTH)

        def read(body: bytes) -> _Asked[protocol.Request]:
            asked = protocol.read(body, length, model.interface, self.most_rows)
            inputs = rows.inputs_from_fields(asked.fields, asked.rows, model.predictor)
            return _Asked(inputs, asked.seconds, asked)

        asked, answer = await self._answer(request, model, read)
        content, headers = protocol.write(asked, answer, model.name, model.version)
        return Response(content, headers=headers)

    async def predict(self, request: Request) -> Response:
        model = self.service.current()

        def read(body: bytes) -> _Asked[None]:
            value = protocol.parse(body)
            inputs = rows.inputs_from_rows(value.get("rows"), model.predictor, self.most_rows)
            return _Asked(inputs, protocol.patience(value), None)

        _, answer = await self._answer(request, model, read)
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

    # Monitoring

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

    # Helpers

    def _model(self, request: Request) -> Model:
        """The model that the path names."""
        name, wanted = request.path_params["name"], request.path_params.get("version")
        if name != self.service.config.model_name:
            raise Refused(404, f"there is no model {name!r}")
        model = self.service.current()
        if wanted not in (None, model.version):
            raise Refused(404, f"there is no version {wanted!r}; this is {model.version!r}")
        return model

    async def _answer(
        self, request: Request, model: Model, read: Callable[[bytes], "_Asked[T]"]
    ) -> tuple[T, Answer]:
        """What a request asks for, as `read` finds it in the body, and the model's answer. All of
        it takes at most the deadline.
        """
        self.service.refuse_unless_right()
        begun = time.monotonic()
        end = begun + self.service.config.deadline
        async with self._body(request, end) as body:
            asked = await self._aside(body, read, end)
            del body
        if asked.seconds is not None:
            end = min(end, begun + asked.seconds)
        answer = await self.service.answer(model, asked.inputs, end, request.receive)
        rows.refuse_not_finite(answer)
        return asked.request, answer

    async def _aside(self, body: bytes, read: Callable[[bytes], T], end: float) -> T:
        """What `read` makes of a body. A large one is read in a thread of its own, so that other
        requests are not held up; one at a time, for the memory that takes.
        """
        if len(body) < LARGE_BODY:
            return read(body)
        try:
            async with asyncio.timeout(end - time.monotonic()):
                return await asyncio.get_running_loop().run_in_executor(self._reader, read, body)
        except TimeoutError:
            raise Refused(504, "not read in time") from None

    @contextlib.asynccontextmanager
    async def _body(self, request: Request, end: float) -> AsyncIterator[bytes]:
        """The body of the request; Refused if it is too large, does not come in time, or there are
        too many at a time.
        """
        if (encoding := request.headers.get("content-encoding", "identity")) != "identity":
            raise Refused(415, f"Content-Encoding {encoding!r} is not supported: send it plain")
        largest, size, parts, more = self.largest_body, 0, [], True
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > largest:
            raise Refused(413, f"a body of {length} bytes; at most {largest} are taken")
        try:
            while more:
                try:
                    async with asyncio.timeout(end - time.monotonic()):
                        message = await request.receive()
                except TimeoutError:
                    raise Refused(408, "the body did not come in time") from None
                if message["type"] == "http.disconnect":
                    raise Refused(499, "the client has gone")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                self._held += len(parts[-1])
                if size > largest:
                    raise Refused(413, f"a body of more than {largest} bytes")
                if self._held > BODIES * largest:
                    raise Refused(503, "too many large requests at a time", retry_after=1)
                more = message.get("more_body", False)
            if not size:
                upgrade = request.headers.get("upgrade")  # httptools then drops the body
                advice = f": without the header Upgrade: {upgrade} it is kept" if upgrade else ""
                raise bad_request(f"the request has no body{advice}")
            yield b"".join(parts)
        finally:
            self._held -= size


@dataclass(frozen=True)
class _Asked(Generic[T]):
    """What a request asks for: an answer to inputs of the model, (rows, inputs), within so many
    seconds, if it says. With whatever else it says about the form of the answer.
    """

    inputs: np.ndarray
    seconds: float | None
    request: T


def _check_key(request: Request, key: str) -> None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), key.encode()):
        raise Refused(401, "an API key is needed: Authorization: Bearer KEY")


def _json(value: object, status: int = 200) -> Response:
    # The newline is for people who read the answer on a terminal.
    content = orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
    return Response(content, status, media_type="application/json")


def error_response(status: int, message: str, retry_after: int | None = None) -> Response:
    """An error as the protocol describes it; the response is an ASGI application."""
    response = _json({"error": message}, status)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
