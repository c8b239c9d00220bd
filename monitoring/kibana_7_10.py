"""The dashboard as saved objects for Kibana 7.10, the one that Amazon's Elasticsearch domain has.

    python -m monitoring.kibana_7_10        # writes monitoring/kibana/kibana_7_10.ndjson

Kibana 7.10 knows neither the Dashboards API nor ES|QL, and keeps a panel's settings as JSON inside a string,
which nobody can read. So the same panels as in kibana/dashboard.json stand here, and the file to import is
written from them. Bars are classic visualizations, everything over time is a TSVB chart; the training
reference has a histogram of its own beside the live one, since 7.10 cannot draw two indices in one; it bins
the centers, because 0.15 / 0.05 is a little less than 3.
"""

import json
from pathlib import Path
from typing import Any

KIBANA = Path(__file__).parent / "kibana"
TARGET = KIBANA / "kibana_7_10.ndjson"
PREDICTIONS, LOW = "event: prediction", "event: prediction and prediction.score < 0.6"
COLORS = ("#54B399", "#6092C0", "#D36086", "#9170B8")
DRIFT_FIELDS = (
    "metrics.score_psi",
    "metrics.length_psi",
    "metrics.label_difference",
    "expected_accuracy",
)
Metric = dict[str, Any]
Object = dict[str, Any]


def ratio(numerator: str, denominator: str) -> list[Metric]:
    """The share of `denominator`'s documents that match `numerator` (both KQL)."""
    queries = {
        name: {"query": query, "language": "kuery"}
        for name, query in (("numerator", numerator), ("denominator", denominator))
    }
    return [{"id": "ratio", "type": "filter_ratio", "metric_agg": "count", **queries}]


def quotient(numerator: str, denominator: str) -> list[Metric]:
    """The sum of one field divided by the sum of another."""
    variables = [
        {"id": "n", "name": "n", "field": "sum-n"},
        {"id": "d", "name": "d", "field": "sum-d"},
    ]
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


def percentile(field: str, value: int) -> list[Metric]:
    """One percentile of a field."""
    parts = [{"id": "p", "mode": "line", "shade": 0.2, "value": value}]
    return [{"id": "percentile", "type": "percentile", "field": field, "percentiles": parts}]


COUNT: list[Metric] = [{"id": "count", "type": "count"}]


def series(
    label: str, metrics: list[Metric], query: str = "", split: str = "", style: str = "line"
) -> Object:
    """One line (or stacked bars) of a TSVB chart."""
    settings: Object = {
        "id": label,
        "label": label,
        "metrics": metrics,
        "chart_type": style,
        "stacked": "stacked" if style == "bar" else "none",
        "fill": 0.5 if style == "bar" else 0,
        "line_width": 2,
        "point_size": 1,
        "axis_position": "right",
        "separate_axis": 0,
        "formatter": "percent"
        if metrics[-1]["type"] in ("filter_ratio", "calculation")
        else "number",
        "split_mode": "terms" if split else "everything",
    }
    if split:
        settings |= {"terms_field": split, "terms_size": "5", "terms_order_by": "_count"}
    if query:
        settings["filter"] = {"query": query, "language": "kuery"}
    return settings


def tsvb(title: str, *lines: Object, index: str = "cwl-*", kind: str = "timeseries") -> Object:
    """A TSVB visualization: `timeseries` over the dashboard's time range, or `metric` for one figure."""
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
    return visualization(title, {"type": "metrics", "aggs": [], "params": params}, index_id=None)


def bars(
    title: str, buckets: Object, metric: Object, index_id: str = "cwl", query: str = ""
) -> Object:
    """A classic bar chart: one metric over one bucket aggregation."""
    aggregations = [
        {"id": "1", "enabled": True, "schema": "metric", **metric},
        {"id": "2", "enabled": True, "schema": "segment", **buckets},
    ]
    value_axis = {
        "id": "ValueAxis-1",
        "name": "LeftAxis-1",
        "type": "value",
        "position": "left",
        "show": True,
    }
    params = {
        "type": "histogram",
        "addTooltip": True,
        "addLegend": False,
        "categoryAxes": [
            {"id": "CategoryAxis-1", "type": "category", "position": "bottom", "show": True}
        ],
        "valueAxes": [
            {**value_axis, "scale": {"type": "linear", "mode": "normal"}, "title": {"text": ""}}
        ],
        "seriesParams": [
            {"show": True, "type": "histogram", "mode": "normal", "valueAxis": "ValueAxis-1"}
            | {"data": {"id": "1", "label": title}}
        ],
    }
    state = {"type": "histogram", "aggs": aggregations, "params": params}
    return visualization(title, state, index_id, query)


def visualization(title: str, state: Object, index_id: str | None, query: str = "") -> Object:
    """A saved visualization; its state goes into a string, as 7.10 wants it."""
    source: Object = {"query": {"query": query, "language": "kuery"}, "filter": []}
    references = []
    if index_id:
        name = "kibanaSavedObjectMeta.searchSourceJSON.index"
        source["indexRefName"] = name
        references.append({"name": name, "type": "index-pattern", "id": index_id})
    return {
        "type": "visualization",
        "id": "cola-" + "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split()),
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


def rows() -> list[tuple[int, list[Object]]]:
    """The rows of the dashboard: their heights, and the visualizations that share their width."""
    labels = {"field": "prediction.label.keyword", "orderBy": "1", "order": "desc", "size": 5}
    score = {"field": "prediction.probability_acceptable", "interval": 0.05, "min_doc_count": False}
    reference = {"field": "reference.center", "interval": 0.05, "min_doc_count": False}
    count: Object = {"type": "count", "params": {}}
    share: Object = {"type": "sum", "params": {"field": "reference.share"}}
    made, errors = (
        series("predictions", COUNT, PREDICTIONS),
        series("errors", COUNT, "event: error"),
    )
    low = series("share", ratio(LOW, PREDICTIONS))
    by_label = series("predictions", COUNT, PREDICTIONS, "prediction.label.keyword", "bar")
    by_model = series("predictions", COUNT, PREDICTIONS, "model.version", "bar")
    by_code = series("errors", COUNT, "event: error", "error.code", "bar")
    latency = [series(f"p{value}", percentile("latency_ms", value)) for value in (50, 95, 99)]
    length = [series(f"p{value}", percentile("input.tokens", value)) for value in (50, 95)]
    unknown = series("unknown", quotient("input.unknown_tokens", "input.tokens"))
    truncated = series("truncated", COUNT, "input.truncated: true", style="bar")
    drift = [
        series(name.rpartition(".")[2], [{"id": "max", "type": "max", "field": name}])
        for name in DRIFT_FIELDS
    ]
    figures = [("Predictions", made), ("Low confidence", low), ("Errors", errors)]
    return [
        (6, [tsvb(title, line, kind="metric") for title, line in figures]),
        (
            12,
            [
                bars("Predictions per label", {"type": "terms", "params": labels}, count),
                tsvb("Predictions over time, by label", by_label),
            ],
        ),
        (
            12,
            [
                bars("Score", {"type": "histogram", "params": score}, count, query=PREDICTIONS),
                bars(
                    "Training reference",
                    {"type": "histogram", "params": reference},
                    share,
                    "reference",
                ),
                tsvb("Low-confidence share over time", low),
            ],
        ),
        (12, [tsvb("Latency (ms)", *latency), tsvb("Text length over time (tokens)", *length)]),
        (
            12,
            [
                tsvb("Unknown-token rate", unknown),
                tsvb("Truncated inputs", truncated),
                tsvb("Errors, by code", by_code),
            ],
        ),
        (
            12,
            [
                tsvb("Model version over time", by_model),
                tsvb("Drift over time", *drift, index="drift-*"),
            ],
        ),
    ]


def index_patterns() -> list[Object]:
    """The data views of kibana/data_views.json, which 7.10 calls index patterns."""
    views = json.loads((KIBANA / "data_views.json").read_text(encoding="utf-8"))
    return [
        {
            "type": "index-pattern",
            "id": view["id"],
            "attributes": {name: view[name] for name in ("title", "timeFieldName") if name in view},
            "references": [],
            "migrationVersion": {"index-pattern": "7.6.0"},
        }
        for view in views
    ]


def dashboard(placed: list[tuple[int, list[Object]]]) -> Object:
    """The dashboard over its rows."""
    settings: list[Object] = []
    references: list[Object] = []
    y = 0
    for height, row in placed:
        width = 48 // len(row)
        for column, panel in enumerate(row):
            number = str(len(settings))
            grid = {"x": column * width, "y": y, "w": width, "h": height, "i": number}
            name = f"panel_{number}"
            settings.append(
                {
                    "gridData": grid,
                    "panelIndex": number,
                    "embeddableConfig": {},
                    "panelRefName": name,
                }
            )
            references.append({"name": name, "type": panel["type"], "id": panel["id"]})
        y += height
    source = {"query": {"query": "", "language": "kuery"}, "filter": []}
    return {
        "type": "dashboard",
        "id": "cola",
        "attributes": {
            "title": "CoLA predictions",
            "description": "Does the model still see the world it was trained on?",
            "panelsJSON": json.dumps(settings),
            "optionsJSON": json.dumps({"useMargins": True, "hidePanelTitles": False}),
            "timeRestore": True,
            "timeFrom": "now-1h",
            "timeTo": "now",
            "refreshInterval": {"pause": False, "value": 5000},
            "version": 1,
            "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(source)},
        },
        "references": references,
        "migrationVersion": {"dashboard": "7.9.3"},
    }


def saved_objects() -> list[Object]:
    """Everything to import: index patterns, saved search, visualizations, dashboard."""
    search = json.loads((KIBANA / "saved_search.json").read_text(encoding="utf-8"))
    placed = [*rows(), (16, [search])]
    return [*index_patterns(), *(panel for _, row in placed for panel in row), dashboard(placed)]


def ndjson() -> str:
    """The saved objects as Kibana imports them: one JSON object a line."""
    return "".join(json.dumps(saved, sort_keys=True) + "\n" for saved in saved_objects())


if __name__ == "__main__":
    TARGET.write_text(ndjson(), encoding="utf-8")
    print(f"wrote {TARGET.name}: {len(saved_objects())} objects")
