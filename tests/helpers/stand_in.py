"""A server in the place of Kibana and of Elasticsearch's security API, which run in CI only."""

import base64
import json
from collections.abc import Callable
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.helpers.servers import ANY_PATH

Answer = tuple[int, Any]
"""A status and a JSON body."""


class StandIn:
    """Keeps what it is sent under its path, and gives it back in Kibana's and Elasticsearch's form.

    Attributes:
        version: The version that Kibana says it has.
        kept: Objects by path, saved objects by id.
        passwords: Password by user.
        writes: Method and path of every request that changed something, in order.
        headers: The headers of every request, in order.
        amend: May change an object as it is kept, as Kibana does with some.
    """

    def __init__(self, listener: HTTPServer) -> None:
        self.url = listener.url_for("")
        self.version = "9.5.6"
        self.kept: dict[str, Any] = {}
        self.passwords = {"elastic": "admin"}
        self.writes: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.amend: Callable[[str, dict[str, Any]], None] = lambda path, content: None

        listener.expect_request(ANY_PATH).respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        self.headers.append(dict(request.headers))
        status, body = self._respond(request)
        return Response(json.dumps(body), status, content_type="application/json")

    def _respond(self, request: Request) -> Answer:
        encoded = request.headers["Authorization"].removeprefix("Basic ")
        user, _, password = base64.b64decode(encoded).decode().partition(":")
        if self.passwords.get(user) != password:
            return 401, {"error": {"reason": "unable to authenticate user"}}

        if request.path == "/api/status":
            return 200, {"version": {"number": self.version}}
        if request.path == "/_security/_authenticate":
            return 200, {"username": user}
        if request.method == "GET":
            return self._get(request.path)

        self.writes.append(f"{request.method} {request.full_path.rstrip('?')}")
        return 200, self._write(request)

    def _get(self, path: str) -> Answer:
        if path not in self.kept:
            return 404, {"message": "Not Found"}

        content = self.kept[path]
        if "/data_view/" in path:
            return 200, {"data_view": content}
        if path.startswith("/api/dashboards/"):
            return 200, {"id": "cola", "data": content, "meta": {"version": "1"}}
        if path.startswith("/_security/role/"):
            return 200, {path.split("/")[3]: content}
        return 200, content

    def _write(self, request: Request) -> Any:
        path = request.path
        if path == "/api/saved_objects/_import":
            return self._import(request)

        if path.endswith("/_update_api_key"):
            return {}

        content = json.loads(request.data)
        if path == "/_security/api_key":
            return {"id": "k", "encoded": "a2V5", "name": content["name"]}
        if path == "/api/data_views/data_view":
            content = content["data_view"]
            path += "/" + content["id"]
        elif "password" in content:
            self.passwords[path.split("/")[3]] = content["password"]

        self.kept[path] = {**self.kept.get(path, {}), **content}
        self.amend(path, self.kept[path])
        return self.kept[path]

    def _import(self, request: Request) -> Any:
        for line in request.files["file"].read().splitlines():
            saved = json.loads(line)
            self.kept[saved["id"]] = saved
        return {"success": True}
