"""The charts of Kibana 7.10 as saved objects: TSVB charts over time, and classic bar charts.

A saved object keeps its settings as JSON inside a string. The formats are those that Kibana 7.10
exports; Elastic never documented them.
"""

import json
from collections.abc import Sequence

from monitoring.elastic import JsonObject

COLORS = ("#54B399", "#6092C0", "#D36086", "#9170B8")
"""Kibana's own, in the order in which the lines of a chart get them."""

PERCENTAGES = ("filter_ratio", "calculation")
"""Types of metrics that are shares."""

COUNT: list[JsonObject] = [{"id": "count", "type": "count"}]
"""The metrics of a line that counts documents."""


def ratio(numerator: str, denominator: str) -> list[JsonObject]:
    """Return the metrics of a line that shows which share of some documents are of one kind.

    Args:
        numerator: KQL for the kind.
        denominator: KQL for all of them.
    """
    queries = {
        name: {"query": query, "language": "kuery"}
        for name, query in (("numerator", numerator), ("denominator", denominator))
    }
    return [{"id": "ratio", "type": "filter_ratio", "metric_agg": "count", **queries}]


def quotient(numerator: str, denominator: str) -> list[JsonObject]:
    """Return the metrics of a line that divides the sum of one field by the sum of another."""
    variables = [
        {"id": "n", "name": "n", "field": "sum-n"},
        {"id": "d", "name": "d", "field": "sum-d"},
    ]

    # The script divides what the two metrics before it give.
    return [
        {"id": "sum-n", "type": "sum", "field": numerator},
        {"id": "sum-d", "type": "sum", "field": denominator},
        {
            "id": "script",
            "type": "calculation",
            "variables": variables,
            "script": "params.n / params.d",
        },
    ]


def percentile(field: str, value: int) -> list[JsonObject]:
    """Return the metrics of a line that shows one percentile of a field."""
    parts = [{"id": "p", "mode": "line", "shade": 0.2, "value": value}]
    return [{"id": "percentile", "type": "percentile", "field": field, "percentiles": parts}]


def largest(field: str) -> list[JsonObject]:
    """Return the metrics of a line that shows a field's maximum."""
    return [{"id": "max", "type": "max", "field": field}]


def series(
    label: str, metrics: Sequence[JsonObject], query: str = "", split: str = "", style: str = "line"
) -> JsonObject:
    """Return one line (or stacked bars) of a TSVB chart.

    Args:
        label: Its name in the legend.
        metrics: What it shows; the last one is drawn.
        query: KQL for the documents it is about. Empty: all.
        split: A field; each of its five most frequent values gets a line. Empty: one line.
        style: ``line`` or ``bar``.
    """
    is_bar = style == "bar"
    is_share = metrics[-1]["type"] in PERCENTAGES
    settings: JsonObject = {
        "id": label,
        "label": label,
        "metrics": metrics,
        "chart_type": style,
        "stacked": "stacked" if is_bar else "none",
        "fill": 0.5 if is_bar else 0,
        "line_width": 2,
        "point_size": 1,
        "axis_position": "right",
        "separate_axis": 0,
        "formatter": "percent" if is_share else "number",
        "split_mode": "terms" if split else "everything",
    }

    if split:
        settings |= {"terms_field": split, "terms_size": "5", "terms_order_by": "_count"}
    if query:
        settings["filter"] = {"query": query, "language": "kuery"}
    return settings


def tsvb(
    title: str, *lines: JsonObject, index: str = "cwl-*", kind: str = "timeseries"
) -> JsonObject:
    """Return a TSVB visualization.

    Args:
        title: Its title, which is also its id.
        lines: What ``series`` returned.
        index: The pattern of the indices that it reads.
        kind: ``timeseries``, or ``metric`` for one figure over the dashboard's time range.
    """
    # A line does not get its color from its place in the chart: each has a setting for it.
    colored = [{**line, "color": COLORS[number % len(COLORS)]} for number, line in enumerate(lines)]

    params = {
        "id": title,
        "type": kind,
        "series": colored,
        "index_pattern": index,
        "time_field": "@timestamp",
        "interval": "",
        "time_range_mode": "entire_time_range" if kind == "metric" else "last_value",
        "axis_position": "left",
        "axis_formatter": "number",
        "axis_scale": "normal",
        "show_legend": 1,
        "show_grid": 1,
    }

    # A TSVB chart has its index and its queries in its parameters.
    return visualization(title, {"type": "metrics", "aggs": [], "params": params}, index_id=None)


def bars(
    title: str, buckets: JsonObject, metric: JsonObject, index_id: str = "cwl", query: str = ""
) -> JsonObject:
    """Return a classic bar chart.

    Args:
        title: Its title, which is also its id.
        buckets: The aggregation that makes the bars.
        metric: The aggregation that gives each bar its height.
        index_id: The id of the index pattern that it reads.
        query: KQL for the documents it is about. Empty: all.
    """
    aggregations = [
        {"id": "1", "enabled": True, "schema": "metric", **metric},
        {"id": "2", "enabled": True, "schema": "segment", **buckets},
    ]

    # The migrations and charts of Kibana 7.12 and later read each of these settings, also the empty
    # ones, and fail without it.
    category_axis: JsonObject = {
        "id": "CategoryAxis-1",
        "type": "category",
        "position": "bottom",
        "show": True,
        "scale": {"type": "linear"},
        "labels": {"show": True, "truncate": 100},
        "title": {},
    }
    value_axis: JsonObject = {
        "id": "ValueAxis-1",
        "name": "LeftAxis-1",
        "type": "value",
        "position": "left",
        "show": True,
        "scale": {"type": "linear", "mode": "normal"},
        "labels": {"show": True, "rotate": 0, "truncate": 100},
        "title": {"text": ""},
    }
    drawn = {
        "show": True,
        "type": "histogram",
        "mode": "normal",
        "valueAxis": "ValueAxis-1",
        "data": {"id": "1", "label": title},
    }

    params = {
        "type": "histogram",
        "addTooltip": True,
        "addLegend": False,
        "categoryAxes": [category_axis],
        "valueAxes": [value_axis],
        "seriesParams": [drawn],
    }
    state = {"type": "histogram", "aggs": aggregations, "params": params}
    return visualization(title, state, index_id, query)


def visualization(
    title: str, state: JsonObject, index_id: str | None, query: str = ""
) -> JsonObject:
    """Return a saved visualization.

    Args:
        title: Its title, which is also its id.
        state: Its type, aggregations and parameters.
        index_id: The id of the index pattern that it reads. None: the state names it.
        query: KQL for the documents it is about. Empty: all.
    """
    source: JsonObject = {"query": {"query": query, "language": "kuery"}, "filter": []}
    references = []
    if index_id:
        name = "kibanaSavedObjectMeta.searchSourceJSON.index"
        source["indexRefName"] = name
        references.append({"name": name, "type": "index-pattern", "id": index_id})

    return {
        "type": "visualization",
        "id": _identity(title),
        "attributes": {
            "title": title,
            "visState": json.dumps({"title": title, **state}),
            "uiStateJSON": "{}",
            "description": "",
            "version": 1,
            "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(source)},
        },
        "references": references,
        "migrationVersion": {"visualization": "7.10.0"},
    }


def _identity(title: str) -> str:
    """Return the id of a chart: its title's letters and digits, words joined by hyphens."""
    words = "".join(c if c.isalnum() else " " for c in title.lower()).split()
    return "-".join(["cola", *words])
