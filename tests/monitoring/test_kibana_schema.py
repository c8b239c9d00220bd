"""Every key of the dashboard and of the rules is one that Kibana 9.5 takes, and so is its value.

The facts are in ``tests/helpers/kibana_schema.py``, from the API description that Elastic publishes
and Kibana's own checks. Kibana 9.5 itself runs in CI only.
"""

import copy
import itertools
from typing import Any

import jsonschema_rs
import pytest

from monitoring.kibana_objects import read, read_dashboard
from tests.helpers.fields import objects
from tests.helpers.kibana_parts import Schema
from tests.helpers.kibana_schema import CONNECTOR, DASHBOARD, RULE

WANTED = read_dashboard(0.2)
RULES = read("rules.json")


def faults(schema: Schema, value: Any) -> list[str]:
    """Return what is wrong with a value, and where."""
    errors = jsonschema_rs.Draft202012Validator(schema).iter_errors(value)
    return [f"{list(error.instance_path)}: {error.message}" for error in errors]


def panel(dashboard: Any, identity: str) -> Any:
    """Return the configuration of a panel."""
    (config,) = [one["config"] for one in dashboard["panels"] if one["id"] == identity]
    return config


# --- The dashboard ---------------------------------------------------------------------------


def test_the_dashboard_is_as_published() -> None:
    assert faults(DASHBOARD, WANTED) == []


def test_panels_name_data_views_that_are_provisioned() -> None:
    views = {view["id"] for view in read("data_views.json")}
    assert {item["ref_id"] for item in objects(WANTED) if "ref_id" in item} <= views


def test_the_steps_of_a_color_leave_no_gap() -> None:
    """The first step may begin anywhere and the last one end nowhere."""
    colors = [item for item in objects(WANTED) if item.get("type") == "dynamic"]
    assert len(colors) >= 4
    for color in colors:
        for below, above in itertools.pairwise(color["steps"]):
            assert below["lt"] == above["gte"]


def test_a_primary_metric_comes_first() -> None:
    for item in objects(WANTED):
        if "metrics" in item:
            kinds = [metric["type"] for metric in item["metrics"]]
            assert kinds in (["primary"], ["primary", "secondary"])


# --- The rules -------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES["rules"], ids=lambda rule: rule["name"])
def test_a_rule_is_as_published(rule: dict[str, Any]) -> None:
    assert faults(RULE, rule) == []


def test_the_connector_is_as_published() -> None:
    assert faults(CONNECTOR, RULES["connector"]) == []
    assert set(RULES) == {"connector", "rules"}


# --- The tests above can fail ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("identity", "path", "value"),
    [
        ("latency", ["unknown"], 1),
        # An axis with a scale must have a domain.
        ("latency", ["axis", "y"], {"scale": "log"}),
        ("latency", ["layers", 0, "type"], "lines"),
        ("latency", ["layers", 0, "y", 0, "operation"], "percentiles"),
        ("latency", ["layers", 1, "thresholds", 0, "value"], "1000"),
        ("score-histogram", ["layers", 0, "x", "granularity"], 5),
        ("labels", ["layers", 0, "breakdown_by", "color", "mapping", 0, "color", "type"], "hex"),
        ("labels", ["layers", 0, "x", "color"], {"type": "auto"}),
        ("predictions", ["metrics", 0, "filter"], {"language": "kuery", "expression": "a: 1"}),
        ("drift-now", ["metrics", 0, "time_field"], None),
        ("what-to-look-at", ["settings"], None),
        ("latest", ["tabs", 0, "columns"], ["text"]),
    ],
)
def test_a_fault_would_be_seen(identity: str, path: list[str | int], value: Any) -> None:
    dashboard = copy.deepcopy(WANTED)
    target = panel(dashboard, identity)
    for step in path[:-1]:
        target = target[step]

    if value is None:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    assert faults(DASHBOARD, dashboard)
