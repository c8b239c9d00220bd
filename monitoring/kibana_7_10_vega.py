"""Two histograms over the same bins in one chart of Kibana 7.10, by Vega-Lite."""

from collections.abc import Mapping, Sequence

from monitoring.elastic import JsonObject
from monitoring.kibana_7_10_charts import vega

SCHEMA = "https://vega.github.io/schema/vega-lite/v4.json"
"""Address by which Kibana knows the language of a specification; it does not open it."""


def histograms(
    identity: str,
    title: str,
    layers: Sequence[JsonObject],
    indices: Mapping[str, str],
    legend: str,
) -> JsonObject:
    """Return a chart of one histogram in front of another.

    Args:
        identity: Its id.
        title: Its title.
        layers: The two histograms of ``dashboard.json``, the one in front first.
        indices: The index pattern of each data view.
        legend: Where the names of the histograms are.
    """
    front, back = layers
    colors = {layer["y"][0]["label"]: layer["y"][0]["color"]["color"] for layer in layers}
    spec = {
        "$schema": SCHEMA,
        "layer": [
            _bars(back, indices, colors, margin=0.0),
            # Narrower, so that the bars behind them can be seen.
            _bars(front, indices, colors, margin=0.0125),
        ],
        "config": {"legend": {"orient": legend, "title": None}},
    }
    return vega(identity, title, spec)


def _bars(
    layer: JsonObject, indices: Mapping[str, str], colors: Mapping[str, str], margin: float
) -> JsonObject:
    """Return the bars of one histogram, as shares.

    Args:
        layer: Of ``dashboard.json``.
        indices: The index pattern of each data view.
        colors: The color of each histogram, by its label.
        margin: How much narrower than its bin a bar is on each side, in the field's unit.
    """
    field, ranges = layer["x"]["field"], layer["x"]["ranges"]
    (metric,) = layer["y"]
    view = layer["data_source"]["ref_id"]

    bounds = [
        {name: bin_[bound] for name, bound in (("from", "gt"), ("to", "lte")) if bound in bin_}
        for bin_ in ranges
    ]
    aggregation: JsonObject = {"range": {"field": field, "ranges": bounds}}
    figure = "datum.doc_count"
    if metric["operation"] == "sum":
        aggregation["aggs"] = {"sum": {"sum": {"field": metric["field"]}}}
        figure = "datum.sum.value"

    # The reference has no time.
    url: JsonObject = {
        "index": indices[view],
        "body": {"size": 0, "aggs": {"bins": aggregation}},
    }
    if view != "reference":
        url |= {"%context%": True, "%timefield%": "@timestamp"}

    width = ranges[0]["lte"] - ranges[0]["gt"]
    position = {
        "type": "quantitative",
        "scale": {"domain": [0, 1], "nice": False},
        "axis": {"values": [tenth / 10 for tenth in range(11)], "format": ".1f"},
    }
    return {
        "data": {"name": view, "url": url, "format": {"property": "aggregations.bins.buckets"}},
        "transform": [
            {"calculate": figure, "as": "figure"},
            {"joinaggregate": [{"op": "sum", "field": "figure", "as": "total"}]},
            {"calculate": "datum.total ? datum.figure / datum.total : 0", "as": "share"},
            {"calculate": f"datum.from + {margin}", "as": "left"},
            {"calculate": f"datum.from + {width - margin}", "as": "right"},
            {"calculate": f"'{metric['label']}'", "as": "what"},
        ],
        "mark": {"type": "bar", "tooltip": True},
        "encoding": {
            "x": {"field": "left", "title": layer["x"]["label"], **position},
            "x2": {"field": "right"},
            "y": {
                "field": "share",
                "type": "quantitative",
                "title": "share",
                "axis": {"format": ".0%"},
            },
            "color": {
                "field": "what",
                "type": "nominal",
                "scale": {"domain": list(colors), "range": list(colors.values())},
            },
        },
    }
