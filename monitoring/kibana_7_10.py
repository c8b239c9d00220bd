"""The dashboard as saved objects for Kibana 7.10, the one of Amazon's Elasticsearch domain.

Kibana 7.10 knows neither the Dashboards API nor Lens, and keeps a panel's settings as JSON inside a
string, which nobody can read or review. So ``kibana/dashboard.json`` is the one description of the
dashboard, and each of its panels is translated here:

    panel of Kibana 9.5                           becomes in 7.10
    metric of counts, shares, percentiles         a TSVB figure
    metric of a last value, or of the reference   a classic metric (TSVB has no strings, and needs a
                                                  time field)
    xy over time                                  a TSVB chart
    xy by a field's values                        a classic bar chart
    xy by ranges                                  a Vega chart: the others cannot draw two indices
    markdown, discover_session                    a text, a saved search

What the translation does not know it refuses, so that no part of a panel gets lost.
"""

import json
from collections.abc import Sequence

from monitoring.elastic import JsonObject
from monitoring.kibana_7_10_charts import classic_metric, colored_bars, saved_search, text
from monitoring.kibana_7_10_metrics import label_of, line_of
from monitoring.kibana_7_10_tsvb import Line, tsvb
from monitoring.kibana_7_10_vega import histograms

INDICES = {"cwl": "cwl-*", "drift": "drift-*", "reference": "cola-reference"}
"""The index pattern of each data view that a panel names."""


def saved_objects(dashboard: JsonObject, views: Sequence[JsonObject]) -> list[JsonObject]:
    """Translate the dashboard.

    Args:
        dashboard: The content of ``kibana/dashboard.json``.
        views: The content of ``kibana/data_views.json``.

    Returns:
        Everything to import: index patterns, one object per panel, the dashboard.

    Raises:
        ConfigError: A panel asks for something that cannot be translated.
    """
    panels = [_panel(panel) for panel in dashboard["panels"]]
    return [*map(_index_pattern, views), *panels, _dashboard(dashboard, panels)]


def ndjson(objects: Sequence[JsonObject]) -> bytes:
    """Return saved objects as Kibana imports them: one JSON object per line."""
    return "".join(json.dumps(saved, sort_keys=True) + "\n" for saved in objects).encode()


def _index_pattern(view: JsonObject) -> JsonObject:
    """Return a data view, which 7.10 calls an index pattern, and names by its title."""
    attributes = {name: view[name] for name in ("title", "timeFieldName", "name") if name in view}
    formats = view.get("fieldFormats", {})
    return {
        "type": "index-pattern",
        "id": view["id"],
        "attributes": {**attributes, "fieldFormatMap": json.dumps(formats)},
        "references": [],
        "migrationVersion": {"index-pattern": "7.6.0"},
    }


def _dashboard(dashboard: JsonObject, objects: Sequence[JsonObject]) -> JsonObject:
    """Return the dashboard itself: it refers to the objects of its panels by a name."""
    panels: list[JsonObject] = []
    references: list[JsonObject] = []

    for number, (panel, saved) in enumerate(zip(dashboard["panels"], objects, strict=True)):
        # Both Kibanas lay panels out on 48 columns.
        name = f"panel_{number}"
        own_time = panel["config"].get("time_range")
        panels.append(
            {
                "gridData": {**panel["grid"], "i": str(number)},
                "panelIndex": str(number),
                "embeddableConfig": {"timeRange": own_time} if own_time else {},
                "panelRefName": name,
            }
        )
        references.append({"name": name, "type": saved["type"], "id": saved["id"]})

    source = {"query": {"query": "", "language": "kuery"}, "filter": []}
    return {
        "type": "dashboard",
        "id": "cola",
        "attributes": {
            "title": dashboard["title"],
            "description": dashboard["description"],
            "panelsJSON": json.dumps(panels),
            "optionsJSON": json.dumps({"useMargins": True, "hidePanelTitles": False}),
            "timeRestore": True,
            "timeFrom": dashboard["time_range"]["from"],
            "timeTo": dashboard["time_range"]["to"],
            "refreshInterval": dashboard["refresh_interval"],
            "version": 1,
            "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(source)},
        },
        "references": references,
        "migrationVersion": {"dashboard": "7.9.3"},
    }


# --- Panels ----------------------------------------------------------------------------------


def _panel(panel: JsonObject) -> JsonObject:
    identity, config = f"cola-{panel['id']}", panel["config"]

    if panel["type"] == "markdown":
        return text(identity, config["title"], config["content"])
    if panel["type"] == "discover_session":
        return _saved_search(identity, config)
    if config["type"] == "metric":
        return _metric(identity, config)

    operation = config["layers"][0]["x"]["operation"]
    translate = {"date_histogram": _over_time, "terms": _bars, "range": _ranges}[operation]
    return translate(identity, config)


def _saved_search(identity: str, config: JsonObject) -> JsonObject:
    (tab,) = config["tabs"]
    sort = [[by["name"], by["direction"]] for by in tab["sort"]]
    view, query = tab["data_source"]["ref_id"], tab["query"]["expression"]
    return saved_search(identity, config["title"], view, query, tab["column_order"], sort)


def _metric(identity: str, config: JsonObject) -> JsonObject:
    view, metrics = config["data_source"]["ref_id"], config["metrics"]
    is_classic = view == "reference" or metrics[0]["operation"] == "last_value"

    if is_classic:
        query = metrics[0].get("filter", {}).get("expression", "")
        return classic_metric(
            identity, config["title"], view, query, [_aggregation(metric) for metric in metrics]
        )

    (metric,) = metrics
    rules = [_color_rule(step) for step in metric.get("color", {}).get("steps", [])]
    return tsvb(identity, config["title"], INDICES[view], [line_of(metric)], figure_colors=rules)


def _color_rule(step: JsonObject) -> JsonObject:
    """Return the rule that gives a figure its background from some value on, or below it."""
    bound = "gte" if "gte" in step else "lt"
    return {"operator": bound, "value": step[bound], "background_color": step["color"]}


def _aggregation(metric: JsonObject) -> JsonObject:
    """Return the aggregation of a classic metric."""
    parameters: JsonObject = {"field": metric["field"], "customLabel": label_of(metric)}
    kind = {"unique_count": "cardinality", "sum": "sum", "last_value": "top_hits"}[
        metric["operation"]
    ]

    if kind == "top_hits":
        last = {"sortField": metric["time_field"], "sortOrder": "desc", "size": 1}
        parameters |= {"aggregate": "concat", **last}
    return {"type": kind, "params": parameters}


def _over_time(identity: str, config: JsonObject) -> JsonObject:
    first, *others = config["layers"]
    lines = [
        line
        for metric in first["y"]
        for line in _split(line_of(metric, first["type"]), first.get("breakdown_by"))
    ]

    # The axis shows percentages only if all lines are in percent, the limits too.
    number = {"format": first["y"][0].get("format")}
    lines += [line_of({**limit, **number}) for layer in others for limit in layer["thresholds"]]

    return tsvb(
        identity,
        config["title"],
        INDICES[first["data_source"]["ref_id"]],
        lines,
        interval=f">={first['x']['suggested_interval']}",
        drop_last_bucket=first["x"].get("drop_partial_intervals", False),
        legend=config["legend"].get("position", ""),
        scale=config.get("axis", {}).get("y", {}).get("scale", "linear"),
    )


def _split(line: Line, breakdown: JsonObject | None) -> list[Line]:
    """Return a line per value of a field: those that have a color, or the most frequent ones."""
    if breakdown is None:
        return [line]

    (field,) = breakdown["fields"]
    if "color" not in breakdown:
        return [line.split(field, breakdown["limit"])]
    return [line.only(field, value, color) for value, color in _colors(breakdown).items()]


def _colors(breakdown: JsonObject) -> dict[str, str]:
    """Return the color of each value of a field."""
    mapping = breakdown["color"]["mapping"]
    return {value: entry["color"]["value"] for entry in mapping for value in entry["values"]}


def _bars(identity: str, config: JsonObject) -> JsonObject:
    (layer,) = config["layers"]
    (field,) = layer["x"]["fields"]
    view, colors = layer["data_source"]["ref_id"], _colors(layer["breakdown_by"])
    return colored_bars(identity, config["title"], view, field, layer["x"]["label"], colors)


def _ranges(identity: str, config: JsonObject) -> JsonObject:
    position = config["legend"]["position"]
    return histograms(identity, config["title"], config["layers"], INDICES, position)
