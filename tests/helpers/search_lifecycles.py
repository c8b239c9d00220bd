"""Elasticsearch's lifecycles, before a server that stores all else and has none."""

import json
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from monitoring.elastic import Elastic
from tests.helpers.servers import ANY_PATH, pass_on

SETTING = "index.lifecycle.name"


def make_index(server: Elastic, name: str, field: str) -> None:
    """Make an index whose mapping is fixed, as our templates fix it, and has a field."""
    mappings = {"dynamic": False, "properties": {field: {"type": "object"}}}
    server.request("PUT", f"/{name}", {"mappings": mappings})


class LifecycleServer:
    """A server with lifecycles; the indices of the other one name them in their settings.

    Attributes:
        policies: The policies as they were sent, by name.
    """

    def __init__(self, listener: HTTPServer, target: Elastic) -> None:
        self.url = listener.url_for("")
        self.policies: dict[str, Any] = {}

        self._target = target
        listener.expect_request(ANY_PATH).respond_with_handler(self._answer)

    def named(self) -> dict[str, str | None]:
        """Return the policy that each index names."""
        settings = self._target.request("GET", "/_all/_settings?flat_settings=true")
        return {index: found["settings"].get(SETTING) for index, found in settings.items()}

    def _answer(self, request: Request) -> Response:
        if request.path.startswith("/_ilm/policy/"):
            status, body = self._policy(request, request.path.rpartition("/")[2])
        elif request.path.endswith("/_ilm/remove"):
            self._target.request("PUT", f"{request.path.split('/_')[0]}/_settings", {SETTING: None})
            status, body = 200, {"has_failures": False, "failed_indexes": []}
        else:
            return pass_on(request, self._target.url, request.get_data())
        return Response(json.dumps(body), status, content_type="application/json")

    def _policy(self, request: Request, name: str) -> tuple[int, Any]:
        if request.method == "PUT":
            self.policies[name] = json.loads(request.data)
        if name not in self.policies:
            return 404, {"error": {"reason": f"Lifecycle policy not found: {name}"}}

        if request.method == "DELETE":
            if name in self.named().values():
                return 400, {"error": {"reason": f"Cannot delete policy [{name}]. It is in use"}}
            return 200, {"acknowledged": bool(self.policies.pop(name))}
        return 200, {name: self.policies[name]}
