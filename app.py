"""Stage 4, serve: the model as an HTTP service, with a page to try it on.

    python app.py                          # http://127.0.0.1:8000; settings: docs/07_serve.md
    curl -s 127.0.0.1:8000/predict -d '{"sentence": "The boy is sitting on a bench."}'

Reads models/model.onnx and serving/web/; writes one JSON line a prediction to standard output.
"""

import gc
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from commands.run import run_command
from errors import RequestError
from prediction.cores import available_cores
from prediction.onnx_predictor import ColaONNXPredictor
from serving import openapi
from serving.explain import MAX_WORDS, explanation, leave_one_out
from serving.messages import (
    BODY_TOO_LARGE,
    MISSING_TEXT,
    NOT_FOUND,
    answer_body,
    check_sentence,
    parse_json,
    sentences_of,
)
from serving.middleware import Boundary, Endpoint, answer_error
from serving.service import Predictor, Service
from serving.settings import Settings

WEB = Path(__file__).parent / "serving" / "web"
MAX_SINGLE_THREADS = 4  # one sentence is too small a matrix for more
SHUTDOWN_SECONDS = (
    20  # for what was accepted; a client that never finishes its request is cut off then
)
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def create_app(predictor: Predictor, settings: Settings) -> ASGIApp:
    """The application around ``predictor`` (tests pass a fake one)."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = app.state.service = Service(predictor, settings)
        await service.check()
        yield
        service.close()

    app = FastAPI(
        title="CoLA",
        description=openapi.DESCRIPTION,
        version=predictor.info.version,
        lifespan=lifespan,
        redoc_url=None,
        exception_handlers={RequestError: _answer_request_error, HTTPException: _answer_http_error},
    )
    direct = _add_predictions(app, settings)
    _add_operations(app)
    app.mount("/static", StaticFiles(directory=WEB), name="static")
    paths = {route.path for route in app.routes if hasattr(route, "path")}

    def observe(scope: Scope, status: int, seconds: float) -> None:
        path = scope["path"]
        _service(app).observe(
            path if path in paths else "other",
            status,
            seconds,
            scope.get("error"),
            scope["request_id"],
        )

    return Boundary(app, settings.api_key, observe, direct)


def _add_predictions(app: FastAPI, settings: Settings) -> dict[tuple[str, str], Endpoint]:
    """Adds the routes that predict; returns those that are called often."""
    statuses = (400, 401, 413, 422, 503)

    async def answer(request: Request, texts: list[str], many: bool) -> Response:
        scope = request.scope
        predictions = await _service(app).predict(texts, scope["request_id"], scope["started"])
        return Response(answer_body(predictions, many), media_type="application/json")

    @app.get(
        "/predict",
        summary="Predict one sentence",
        responses=openapi.responses(openapi.PREDICTION, 401, 422, 503, example=openapi.ANSWER),
        openapi_extra=openapi.text_parameter(settings),
    )
    async def predict_text(request: Request) -> Response:
        text = request.query_params.get("text")
        if text is None:
            raise RequestError(422, "missing_text", MISSING_TEXT)
        check_sentence(text, settings)
        return await answer(request, [text], many=False)

    @app.post(
        "/predict",
        summary="Predict one sentence or many",
        responses=openapi.responses(
            {"oneOf": [openapi.PREDICTION, openapi.PREDICTIONS]}, *statuses
        ),
        openapi_extra=openapi.predict_body(settings),
    )
    async def predict(request: Request) -> Response:
        body = await _read_body(request, settings.max_body_bytes)
        texts, many = sentences_of(parse_json(body), settings)
        return await answer(request, texts, many)

    @app.post(
        "/explain",
        summary="Which words hurt",
        description="The score with each word left out. Not written to the prediction log.",
        responses=openapi.responses(openapi.EXPLANATION, *statuses),
        openapi_extra=openapi.sentence_body(settings),
    )
    async def explain(request: Request) -> Response:
        body = await _read_body(request, settings.max_body_bytes)
        texts, many = sentences_of(parse_json(body), settings)
        variants = leave_one_out(texts[0])
        if many or len(variants) > MAX_WORDS:
            raise RequestError(
                422, "invalid_body", f"send one sentence of at most {MAX_WORDS} words as sentence"
            )
        shortened = [variant.text for variant in variants if variant.text.strip()]
        first, *without = await _service(app).analyze([texts[0], *shortened])
        return _json(explanation(first, variants, without))

    return {("GET", "/predict"): predict_text, ("POST", "/predict"): predict}


def _add_operations(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(
            WEB / "index.html", headers={"content-security-policy": CONTENT_SECURITY_POLICY}
        )

    @app.get(
        "/health", summary="Is the process alive?", responses=openapi.responses(openapi.HEALTH)
    )
    async def health() -> Response:
        return _json({"status": "ok"})

    @app.get("/ready", summary="Does it predict?", responses=openapi.responses(openapi.READY, 503))
    async def ready() -> Response:
        await _service(app).check()
        return _json({"status": "ready", "version": _service(app).info.version})

    @app.get("/model", summary="Which model answers?", responses=openapi.responses(openapi.MODEL))
    async def model() -> Response:
        return _json(openapi.model_card(_service(app).info))

    @app.get("/metrics", summary="Counters for Prometheus", responses={200: openapi.METRICS})
    async def metrics() -> Response:
        return Response(
            _service(app).metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8"
        )


def _service(app: FastAPI) -> Service:
    return cast(Service, app.state.service)


def _json(content: Any) -> Response:
    return Response(json.dumps(content), media_type="application/json")


async def _read_body(request: Request, limit: int) -> bytes:
    """Raises RequestError as soon as the body is known to be larger than ``limit`` bytes."""
    body = bytearray()
    declared = request.headers.get("content-length", "0")
    if not (too_large := declared.isdecimal() and int(declared) > limit):
        async for chunk in request.stream():
            body += chunk
            if too_large := len(body) > limit:
                break
    if too_large:
        raise RequestError(413, "body_too_large", BODY_TOO_LARGE.format(limit))
    return bytes(body)


async def _answer_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return answer_error(request.scope, error)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = {
        404: NOT_FOUND,
        405: "not with this method: /docs lists what there is",
    }
    code = str(error.detail).lower().replace(" ", "_")
    headers = dict(error.headers or {})
    if error.status_code == 405:  # of all routes with this path; Starlette knows of the first only
        routes = [
            route
            for route in request.app.routes
            if getattr(route, "path", None) == request.url.path
        ]
        headers["allow"] = ", ".join(
            sorted({method for route in routes for method in route.methods})
        )
    described = message.get(error.status_code, str(error.detail))
    return answer_error(request.scope, RequestError(error.status_code, code, described, headers))


def serve(predictor: Predictor, settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; then finish what was accepted, and return."""
    app = create_app(predictor, settings)
    # uvicorn shuts down in good order and then sends itself the signal again: ignored, for an exit code of 0.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def main() -> None:
    settings = Settings.from_environment()
    single_threads = min(available_cores(), MAX_SINGLE_THREADS)
    predictor = ColaONNXPredictor(settings.model_path, threads=1, single_threads=single_threads)
    gc.freeze()  # what is loaded stays: the collector need not look at it again
    serve(predictor, settings)


if __name__ == "__main__":
    run_command(main)
