"""An Amazon search domain: what its proxy refuses, its state management and its dashboards.

All else goes on to a server that speaks OpenSearch's dialect.
"""

import json
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from monitoring.elastic import Elastic
from tests.helpers.servers import ANY_PATH, pass_on


@dataclass(frozen=True)
class Engine:
    """How the engines of Amazon's domains differ."""

    state_management: str
    dashboards: str
    """The path of Kibana or of OpenSearch Dashboards."""

    version: str
    xsrf_header: str
    settings: str
    """What its settings of state management begin with, after ``index.``."""

    lists_templates: bool
    """Whether a policy's one ``ism_template`` is given back as a list."""


ELASTICSEARCH = Engine(
    "/_opendistro/_ism", "/_plugin/kibana", "7.10.2", "kbn-xsrf", "opendistro", False
)
OPENSEARCH = Engine("/_plugins/_ism", "/_dashboards", "3.1.0", "osd-xsrf", "plugins", True)


class SearchDomain:
    """A domain before a server that stores what is not the domain's own.

    Attributes:
        policies: The state management policies, as they were sent.
        managed: The policy of each index that has one.
        imported: The ids of the saved objects.
        writes: Method and path of every request that changed something in the domain's own parts.
    """

    def __init__(self, listener: HTTPServer, target: Elastic, engine: Engine) -> None:
        self.url = listener.url_for("")
        self.policies: dict[str, Any] = {}
        self.managed: dict[str, str] = {}
        self.imported: set[str] = set()
        self.writes: list[str] = []

        self._target, self._engine = target, engine
        self._revisions = 0
        listener.expect_request(ANY_PATH).respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        engine, path = self._engine, request.path
        if path.startswith(engine.state_management):
            status, body = self._manage(request, path.removeprefix(engine.state_management))
        elif path.startswith(engine.dashboards):
            status, body = self._dashboards(request, path.removeprefix(engine.dashboards))
        elif re.match("/_(ilm|security|xpack|plugins?|opendistro|dashboards)/", path):
            status, body = 401, {"Message": f"Your request: '{path}' is not allowed."}
        else:
            return self._pass_on(request)
        return Response(json.dumps(body), status, content_type="application/json")

    def _pass_on(self, request: Request) -> Response:
        # The domain's background job gives a new index the policy that matches its name.
        if request.method == "PUT" and request.path.count("/") == 1:
            for policy, sent in self.policies.items():
                if fnmatch(request.path[1:], sent["policy"]["ism_template"]["index_patterns"][0]):
                    self.managed[request.path[1:]] = policy

        return pass_on(request, self._target.url, request.get_data())

    # --- State management --------------------------------------------------------------------

    def _manage(self, request: Request, path: str) -> tuple[int, Any]:
        _, action, name = path.split("/")
        if request.method != "GET":
            self.writes.append(f"{request.method} {request.full_path.rstrip('?')}")

        if action == "policies":
            return self._policy(request, name)
        if action == "explain":
            return 200, self._explain(name)
        if action == "remove":
            return 200, self._remove(name)
        return 200, self._attach(action, name, json.loads(request.data)["policy_id"])

    def _policy(self, request: Request, name: str) -> tuple[int, Any]:
        existing = self.policies.get(name)
        if request.method == "GET":
            return (200, self._shown(name)) if existing else (404, {"error": {"reason": "none"}})
        if request.method == "DELETE":
            return 200, {"result": "deleted", "_id": self.policies.pop(name)["_seq_no"]}

        if existing and request.args.get("if_seq_no") != str(existing["_seq_no"]):
            return 409, {"error": {"reason": "version conflict"}}
        sent = json.loads(request.data)
        if not isinstance(sent["policy"]["ism_template"], dict):
            return 400, {"error": {"reason": "ism_template: this server wants an object"}}

        self._revisions += 1
        self.policies[name] = {**sent, "_seq_no": self._revisions, "_primary_term": 1}
        return 201, self._shown(name)

    def _shown(self, name: str) -> Any:
        """Return a policy as the server shows it: with defaults of its own."""
        shown = json.loads(json.dumps(self.policies[name]))
        template = shown["policy"]["ism_template"]
        shown["policy"]["ism_template"] = [template] if self._engine.lists_templates else template
        for state in shown["policy"]["states"]:
            for action in state["actions"]:
                action["retry"] = {"count": 3}
        return shown

    def _explain(self, pattern: str) -> Any:
        """Return the policy of each index, and beside the indices how many have one."""
        setting = f"index.{self._engine.settings}.index_state_management.policy_id"
        names = [
            index["index"] for index in self._target.request("GET", "/_cat/indices?format=json")
        ]
        explained: dict[str, Any] = {
            name: {setting: self.managed.get(name)} for name in names if fnmatch(name, pattern)
        }
        return {**explained, "total_managed_indices": len(self.managed)}

    def _remove(self, index: str) -> Any:
        del self.managed[index]
        return {"updated_indices": 1, "failures": False, "failed_indices": []}

    def _attach(self, action: str, pattern: str, policy: str) -> Any:
        updated, failed = 0, []
        for index in self._target.request("GET", "/_cat/indices?format=json"):
            name = index["index"]
            if not fnmatch(name, pattern):
                continue

            if (name in self.managed) == (action == "change_policy"):
                self.managed[name] = policy
                updated += 1
            else:
                reason = (
                    "This index already has a policy, use the update policy API"
                    if action == "add"
                    else "This index is not being managed"
                )
                failed.append({"index_name": name, "index_uuid": "u", "reason": reason})
        return {"updated_indices": updated, "failures": bool(failed), "failed_indices": failed}

    # --- Dashboards --------------------------------------------------------------------------

    def _dashboards(self, request: Request, path: str) -> tuple[int, Any]:
        if path == "/api/status":
            return 200, {"version": {"number": self._engine.version}}

        header = self._engine.xsrf_header
        if header not in request.headers:
            return 400, {"message": f"Request must contain a {header} header."}
        lines = request.files["file"].read().splitlines()
        self.imported |= {json.loads(line)["id"] for line in lines}
        return 200, {"success": True}
