"""Answers to HTTP requests that are refused: one error form, and a note for the log."""

from dataclasses import dataclass

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import Scope

from errors import RequestError
from serving.messages import NOT_FOUND, error_body


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a request was refused with, for the log.

    Not the exception itself: its traceback holds the frames, the frames hold the scope, and the
    scope would hold the exception. Such a circle keeps the whole body alive until the garbage
    collector comes, which after ``gc.freeze()`` it hardly ever does.
    """

    status: int
    code: str
    message: str


def answer_error(scope: Scope, error: RequestError) -> Response:
    """Build the answer to a refused request, and note the refusal in the scope for the log."""
    message = str(error)
    scope["refusal"] = Refusal(error.status, error.code, message)
    body = error_body(error.code, message)
    return Response(body, error.status, error.headers, "application/json")


async def answer_request_error(request: Request, error: Exception) -> Response:
    """Answer what a route refuses; a handler for FastAPI."""
    assert isinstance(error, RequestError)
    return answer_error(request.scope, error)


async def answer_http_error(request: Request, error: Exception) -> Response:
    """Answer what Starlette refuses by itself: no such path, no such method."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})

    # Starlette knows the methods of the first route with this path only.
    if error.status_code == 405:
        headers["allow"] = ", ".join(sorted(_methods_of(request.app, request.scope["path"])))

    messages = {404: NOT_FOUND, 405: "not with this method: /docs lists what there is"}
    message = messages.get(error.status_code, str(error.detail))
    code = str(error.detail).lower().replace(" ", "_")
    return answer_error(request.scope, RequestError(error.status_code, code, message, headers))


def _methods_of(api: FastAPI, path: str) -> set[str]:
    routes = [route for route in api.routes if getattr(route, "path", None) == path]
    methods = {method for route in routes for method in getattr(route, "methods", None) or ()}

    # What is mounted are files. The middleware makes a GET of every HEAD.
    methods = methods or {"GET"}
    return methods | {"HEAD"} if "GET" in methods else methods
