"""Kibana 7.10 gets the same dashboard: each panel of ``dashboard.json``, translated."""

import copy
import json
from typing import Any

import pytest

from errors import ConfigError
from monitoring.kibana_7_10 import ndjson, saved_objects
from monitoring.kibana_objects import read, read_dashboard

DASHBOARD = read_dashboard(0.2)
OBJECTS = {
    saved["id"]: saved["attributes"] for saved in saved_objects(DASHBOARD, read("data_views.json"))
}
PANELS = json.loads(OBJECTS["cola"]["panelsJSON"])


def state(panel: str) -> dict[str, Any]:
    """Return what a panel draws."""
    decoded: dict[str, Any] = json.loads(OBJECTS[f"cola-{panel}"]["visState"])
    return decoded


def series(panel: str) -> list[dict[str, Any]]:
    """Return the lines of a TSVB chart."""
    lines: list[dict[str, Any]] = state(panel)["params"]["series"]
    return lines


# --- The same dashboard ----------------------------------------------------------------------


def test_the_panels_are_the_same_in_the_same_order_at_the_same_place() -> None:
    saved = saved_objects(DASHBOARD, read("data_views.json"))
    (dashboard,) = [one for one in saved if one["type"] == "dashboard"]
    names = [panel["panelRefName"] for panel in PANELS]
    by_name = {reference["name"]: reference["id"] for reference in dashboard["references"]}

    assert [by_name[name] for name in names] == [f"cola-{one['id']}" for one in DASHBOARD["panels"]]
    for panel, old in zip(DASHBOARD["panels"], PANELS, strict=True):
        assert {name: old["gridData"][name] for name in "xywh"} == panel["grid"]
        assert OBJECTS[f"cola-{panel['id']}"]["title"] == panel["config"]["title"]


def test_a_panel_keeps_a_time_range_of_its_own() -> None:
    own = [panel["config"].get("time_range") for panel in DASHBOARD["panels"]]
    assert [panel["embeddableConfig"].get("timeRange") for panel in PANELS] == own
    assert {"from": "now-30d", "to": "now"} in own


def test_every_reference_is_there() -> None:
    lines = ndjson(saved_objects(DASHBOARD, read("data_views.json"))).splitlines()
    saved = [json.loads(line) for line in lines]
    references = {(r["type"], r["id"]) for one in saved for r in one["references"]}
    assert references <= {(one["type"], one["id"]) for one in saved}


def test_data_views_keep_their_names() -> None:
    for view in read("data_views.json"):
        assert OBJECTS[view["id"]]["title"] == view["title"]
        assert OBJECTS[view["id"]]["name"] == view["name"]


@pytest.mark.parametrize(
    ("panel", "change"),
    [
        ("low-confidence", {"operation": "formula", "formula": "count() * 2"}),
        ("low-confidence", {"operation": "moving_average", "of": {"operation": "count"}}),
    ],
)
def test_what_cannot_be_translated_is_refused(panel: str, change: dict[str, Any]) -> None:
    dashboard = copy.deepcopy(DASHBOARD)
    (config,) = [one["config"] for one in dashboard["panels"] if one["id"] == panel]
    config["layers"][0]["y"] = [{"label": "x", **change}]

    with pytest.raises(ConfigError, match="Kibana 7.10 has no translation"):
        saved_objects(dashboard, [])


# --- Panels ----------------------------------------------------------------------------------


def test_a_figure_has_its_limit_beside_it_and_turns_red() -> None:
    figure = state("errors-now")["params"]
    assert figure["type"] == "metric"
    assert figure["series"][0]["label"] == "alarm above 5 %"
    assert figure["series"][0]["formatter"] == "0,0.0%"
    assert figure["background_color_rules"][1]["operator"] == "gte"
    assert figure["background_color_rules"][1]["value"] == 0.05


def test_the_latest_verdict_is_shown_in_words() -> None:
    (latest,) = state("drift-now")["aggs"]
    assert latest["type"] == "top_hits"
    assert latest["params"]["field"] == "verdict"
    assert latest["params"]["sortField"] == "@timestamp"


def test_limits_are_lines_in_the_unit_of_their_chart() -> None:
    share, limit = series("low-confidence")
    assert limit["metrics"] == [{"id": "limit", "type": "static", "value": "0.2"}]
    assert limit["formatter"] == share["formatter"]
    assert series("drift")[-1]["metrics"][0]["value"] == "0.25"


def test_one_check_a_day_is_one_point_a_day() -> None:
    """Points are joined where no interval is empty; today's is not over yet, and shown."""
    params = state("drift")["params"]
    assert params["interval"] == ">=1d"
    assert params["drop_last_bucket"] == 0


def test_score_and_reference_are_bars_over_the_same_bins() -> None:
    spec = json.loads(state("score-histogram")["params"]["spec"])
    back, front = spec["layer"]

    ranges = [
        layer["data"]["url"]["body"]["aggs"]["bins"]["range"]["ranges"] for layer in (back, front)
    ]
    assert ranges[0] == ranges[1]
    assert len(ranges[0]) == 20
    assert "to" not in ranges[0][-1]
    assert back["data"]["url"]["index"] == "cola-reference"

    # Only predictions have a time.
    assert "%timefield%" not in back["data"]["url"]
    assert front["data"]["url"]["%timefield%"] == "@timestamp"


def test_labels_have_the_colors_that_kibana_9_5_gives_them() -> None:
    colors = json.loads(OBJECTS["cola-labels"]["uiStateJSON"])["vis"]["colors"]
    lines = {line["label"]: line["color"] for line in series("labels-over-time")}
    assert lines == colors

    queries = {line["label"]: line["filter"]["query"] for line in series("labels-over-time")}
    assert queries["acceptable"].endswith("prediction.label.keyword: acceptable")


def test_the_axes_hold_what_newer_kibanas_read() -> None:
    """Kibana 7.12 to 9.3 refuse or do not draw a bar chart whose axes lack one of these."""
    chart = state("labels")["params"]
    for axis in [*chart["categoryAxes"], *chart["valueAxes"]]:
        assert {"labels", "title", "scale"} <= set(axis)
        assert {"show", "truncate"} <= set(axis["labels"])

        # Without it the labels stand upright and collide.
        assert axis["labels"]["rotate"] == 0
