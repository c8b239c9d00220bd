"""The dashboard as saved objects for Kibana 7.10, the one of Amazon's Elasticsearch domain.

    python -m monitoring.kibana_7_10        # writes monitoring/kibana/kibana_7_10.ndjson

Kibana 7.10 knows neither the Dashboards API nor ES|QL, and keeps a panel's settings as JSON inside
a string, which nobody can read or review. So the panels of ``kibana/dashboard.json`` are described
here once more, and the file to import is written from the description.

Everything over time is a TSVB chart, the rest are classic bar charts (``kibana_7_10_charts.py``).
The histogram of the model's validation set has a panel of its own beside the live one, because
7.10 cannot draw two indices in one chart. Its documents hold the centers of the bins: an edge such
as 0.15, divided by a width of 0.05, is a little less than 3 and would fall into the bin below.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monitoring.elastic import JsonObject
from monitoring.kibana_7_10_charts import (
    COUNT,
    bars,
    largest,
    percentile,
    quotient,
    ratio,
    series,
    tsvb,
)
from prediction.types import LOW_CONFIDENCE

KIBANA = Path(__file__).parent / "kibana"
TARGET = KIBANA / "kibana_7_10.ndjson"

WIDTH = 48
"""Columns of a dashboard."""

PREDICTIONS = "event: prediction"
ERRORS = "event: error"
UNCERTAIN = f"{PREDICTIONS} and prediction.score < {LOW_CONFIDENCE}"

LABEL = "prediction.label.keyword"
DRIFT_FIELDS = (
    "metrics.score_psi",
    "metrics.length_psi",
    "metrics.label_difference",
    "expected_accuracy",
)


@dataclass(frozen=True)
class Row:
    """A row of the dashboard."""

    height: int
    """In the dashboard's grid; the screen shows about 20."""

    panels: Sequence[JsonObject]
    """Saved objects; they share the width evenly."""


def rows() -> list[Row]:
    """Return the charts, row by row."""
    low_confidence = series("share", ratio(UNCERTAIN, PREDICTIONS))
    return [
        Row(6, _figures(low_confidence)),
        Row(12, _labels()),
        Row(12, [*_histograms(), tsvb("Low-confidence share over time", low_confidence)]),
        Row(12, _percentiles()),
        Row(12, _inputs_and_errors()),
        Row(12, _versions_and_drift()),
    ]


def _figures(low_confidence: JsonObject) -> list[JsonObject]:
    return [
        tsvb("Predictions", series("predictions", COUNT, PREDICTIONS), kind="metric"),
        tsvb("Low confidence", low_confidence, kind="metric"),
        tsvb("Errors", series("errors", COUNT, ERRORS), kind="metric"),
    ]


def _labels() -> list[JsonObject]:
    terms = {"field": LABEL, "orderBy": "1", "order": "desc", "size": 5}
    over_time = series("predictions", COUNT, PREDICTIONS, LABEL, "bar")

    return [
        bars("Predictions per label", {"type": "terms", "params": terms}, _count()),
        tsvb("Predictions over time, by label", over_time),
    ]


def _histograms() -> list[JsonObject]:
    share: JsonObject = {"type": "sum", "params": {"field": "reference.share"}}
    return [
        bars("Score", _bins("prediction.probability_acceptable"), _count(), query=PREDICTIONS),
        bars("Training reference", _bins("reference.center"), share, index_id="reference"),
    ]


def _percentiles() -> list[JsonObject]:
    latency = [series(f"p{value}", percentile("latency_ms", value)) for value in (50, 95, 99)]
    length = [series(f"p{value}", percentile("input.tokens", value)) for value in (50, 95)]
    return [
        tsvb("Latency (ms)", *latency),
        tsvb("Text length over time (tokens)", *length),
    ]


def _inputs_and_errors() -> list[JsonObject]:
    unknown = series("unknown", quotient("input.unknown_tokens", "input.tokens"))
    truncated = series("truncated", COUNT, "input.truncated: true", style="bar")
    by_code = series("errors", COUNT, ERRORS, "error.code", "bar")

    return [
        tsvb("Unknown-token rate", unknown),
        tsvb("Truncated inputs", truncated),
        tsvb("Errors, by code", by_code),
    ]


def _versions_and_drift() -> list[JsonObject]:
    by_model = series("predictions", COUNT, PREDICTIONS, "model.version", "bar")
    drift = [series(field.rpartition(".")[2], largest(field)) for field in DRIFT_FIELDS]

    return [
        tsvb("Model version over time", by_model),
        tsvb("Drift over time", *drift, index="drift-*"),
    ]


def _count() -> JsonObject:
    return {"type": "count", "params": {}}


def _bins(field: str) -> JsonObject:
    """Return the bins of a histogram over 0 to 1; they are those of a model's reference."""
    params = {"field": field, "interval": 0.05, "min_doc_count": False}
    return {"type": "histogram", "params": params}


def index_patterns() -> list[JsonObject]:
    """Return the data views of ``kibana/data_views.json``, which 7.10 calls index patterns."""
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


def dashboard(all_rows: Sequence[Row]) -> JsonObject:
    """Return the dashboard; it refers to the panels of its rows by their ids."""
    panels: list[JsonObject] = []
    references: list[JsonObject] = []
    y = 0

    for row in all_rows:
        width = WIDTH // len(row.panels)
        for column, panel in enumerate(row.panels):
            # A dashboard does not hold its panels: it refers to saved objects by a name.
            number = str(len(panels))
            name = f"panel_{number}"
            grid = {"x": column * width, "y": y, "w": width, "h": row.height, "i": number}
            panels.append(
                {
                    "gridData": grid,
                    "panelIndex": number,
                    "embeddableConfig": {},
                    "panelRefName": name,
                }
            )
            references.append({"name": name, "type": panel["type"], "id": panel["id"]})
        y += row.height

    source = {"query": {"query": "", "language": "kuery"}, "filter": []}
    return {
        "type": "dashboard",
        "id": "cola",
        "attributes": {
            "title": "CoLA predictions",
            "description": "Does the model still see the world it was trained on?",
            "panelsJSON": json.dumps(panels),
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


def saved_objects() -> list[JsonObject]:
    """Return everything to import: index patterns, charts, saved search, dashboard."""
    search = json.loads((KIBANA / "saved_search.json").read_text(encoding="utf-8"))
    all_rows = [*rows(), Row(16, [search])]
    panels = [panel for row in all_rows for panel in row.panels]
    return [*index_patterns(), *panels, dashboard(all_rows)]


def ndjson() -> str:
    """Return the saved objects as Kibana imports them: one JSON object per line."""
    return "".join(json.dumps(saved, sort_keys=True) + "\n" for saved in saved_objects())


if __name__ == "__main__":
    TARGET.write_text(ndjson(), encoding="utf-8")
    print(f"wrote {TARGET.name}: {len(saved_objects())} objects")
