"""The routes of the HTTP service: what each path reads, asks of the service and answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from errors import RequestError
from serving import openapi
from serving.clients import Bodies, cancelled_if_client_leaves
from serving.explain import VariantMemory, explanation, leave_one_out
from serving.messages import answer_body, check_sentence, sentences_of, text_of_query
from serving.refusals import answer_error, answer_http_error, answer_request_error
from serving.service import Service
from serving.settings import Settings

WEB = Path(__file__).parent / "web"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

# The policy of /docs: Swagger UI writes styles into its elements and draws its icons from data.
SWAGGER_SECURITY_POLICY = CONTENT_SECURITY_POLICY.replace(
    "style-src 'self'; img-src 'self'", "style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)

Endpoint = Callable[[Request], Awaitable[Response]]


class Routes:
    """All routes as one ASGI application.

    The two that predict are called often, and FastAPI's dispatch costs a request about twice as
    much as everything else but the model (``python -m benchmarks.serving``). They are therefore
    looked up in a table first; FastAPI, which also describes them, serves the rest.
    """

    def __init__(self, service: Service, settings: Settings) -> None:
        predictions = Predictions(service, settings)
        self._fast: dict[tuple[str, str], Endpoint] = {
            ("GET", "/predict"): predictions.predict_text,
            ("POST", "/predict"): predictions.predict,
        }
        self._rest = create_api(service, settings, predictions)

        self.paths = frozenset(route.path for route in self._rest.routes if hasattr(route, "path"))
        """The paths that exist, for the counters: any other is counted as ``other``."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass uvicorn's lifespan events on to FastAPI."""
        endpoint = self._fast.get((scope.get("method", ""), scope.get("path", "")))
        if endpoint is None:
            await self._rest(scope, receive, send)
            return

        try:
            response = await endpoint(Request(scope, receive))
        except RequestError as error:
            response = answer_error(scope, error)
        await response(scope, receive, send)


class Predictions:
    """The routes that predict."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self._service = service
        self._settings = settings
        self._bodies = Bodies(settings.max_body_bytes, settings.max_in_flight_bytes)
        self._variants = VariantMemory()

    async def predict_text(self, request: Request) -> Response:
        """Answer ``GET /predict?text=...``."""
        text = text_of_query(request.scope["query_string"])
        check_sentence(text, self._settings)
        return await self._predict(request, [text], many=False)

    async def predict(self, request: Request) -> Response:
        """Answer ``POST /predict`` with one sentence or many."""
        async with self._bodies.read_json(request) as content:
            texts, many = sentences_of(content, self._settings)
            return await self._predict(request, texts, many)

    async def explain(self, request: Request) -> Response:
        """Answer ``POST /explain``: the score with each word left out."""
        async with self._bodies.read_json(request) as content:
            texts, many = sentences_of(content, self._settings)

            if many:
                raise RequestError(422, "invalid_body", "send one sentence as sentence")

            with self._variants.hold(texts[0]), cancelled_if_client_leaves(request):
                # In a thread: those of a long sentence take the event loop 20 ms.
                can_predict = self._service.can_predict
                variants = await asyncio.to_thread(leave_one_out, texts[0], can_predict)
                shortened = [variant.text for variant in variants if variant.text]
                whole, *without = await self._service.analyze([texts[0], *shortened])
                return json_response(explanation(whole, variants, without))

    async def _predict(self, request: Request, texts: list[str], many: bool) -> Response:
        scope = request.scope
        with cancelled_if_client_leaves(request):
            predictions = await self._service.predict(texts, scope["request_id"], scope["started"])
        return Response(answer_body(predictions, many), media_type="application/json")


def create_api(service: Service, settings: Settings, predictions: Predictions) -> FastAPI:
    """Build the FastAPI application with every route, and with the service's start and end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        service.close()

    api = FastAPI(
        title="CoLA",
        description=openapi.DESCRIPTION,
        version=service.info.version,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={RequestError: answer_request_error, HTTPException: answer_http_error},
    )

    # Described by FastAPI like all others, but served by Routes.
    _add_predictions(api, predictions, settings)
    _add_operations(api, service)
    api.mount("/static", StaticFiles(directory=WEB), name="static")
    api.mount("/swagger", StaticFiles(packages=[("fastapi_offline", "static")]), name="swagger")
    return api


def _add_predictions(api: FastAPI, predictions: Predictions, settings: Settings) -> None:
    api.get(
        "/predict",
        summary="Predict one sentence",
        description="Its label, with the label's probability.",
        responses=openapi.responses(openapi.Prediction, 401, 403, 422, 503, example=openapi.ANSWER),
        openapi_extra=openapi.text_parameter(settings),
    )(predictions.predict_text)

    api.post(
        "/predict",
        summary="Predict one sentence or many",
        description="A label per sentence, in order, each with its probability.",
        responses=openapi.responses(
            openapi.Prediction | openapi.Predictions, 400, 401, 403, 413, 415, 422, 503
        ),
        openapi_extra=openapi.predict_body(settings),
    )(predictions.predict)

    api.post(
        "/explain",
        summary="Which words hurt",
        description="The score with each word left out. Not written to the prediction log.",
        responses=openapi.responses(openapi.Explanation, 400, 401, 403, 413, 415, 422, 503),
        openapi_extra=openapi.sentence_body(settings),
    )(predictions.explain)


def _add_operations(api: FastAPI, service: Service) -> None:
    @api.get("/", include_in_schema=False)
    async def page() -> Response:
        headers = {"content-security-policy": CONTENT_SECURITY_POLICY}
        return FileResponse(WEB / "index.html", headers=headers)

    @api.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        headers = {"content-security-policy": SWAGGER_SECURITY_POLICY}
        return FileResponse(WEB / "docs.html", headers=headers)

    @api.get(
        "/health", summary="Is the process alive?", responses=openapi.responses(openapi.Health)
    )
    async def health() -> Response:
        return json_response({"status": "ok"})

    @api.get("/ready", summary="Does it predict?", responses=openapi.responses(openapi.Ready, 503))
    async def ready() -> Response:
        await service.check()
        return json_response(
            {
                "status": "ready",
                "version": service.info.version,
                "log_lines_lost": service.lines_lost(),
            }
        )

    @api.get(
        "/model",
        summary="Which model answers?",
        responses=openapi.responses(openapi.Model, 401, 403),
    )
    async def model() -> Response:
        return json_response(openapi.model_card(service.info))

    @api.get("/metrics", summary="Counters for Prometheus", responses={200: openapi.METRICS})
    async def metrics() -> Response:
        return Response(service.metrics.page(), media_type=METRICS_TYPE)


def json_response(content: Any) -> Response:
    """Answer with a JSON document."""
    return Response(json.dumps(content), media_type="application/json")
