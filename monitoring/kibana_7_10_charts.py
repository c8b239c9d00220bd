"""The classic charts, texts and lists of Kibana 7.10 as saved objects.

A saved object keeps its settings as JSON inside a string. The formats are those that Kibana 7.10
exports; Elastic never documented them.
"""

import json
from collections.abc import Mapping, Sequence

from monitoring.elastic import JsonObject

INDEX = "kibanaSavedObjectMeta.searchSourceJSON.index"
"""The name under which an object refers to its index pattern."""

# The migrations and charts of Kibana 7.12 and later read each of these settings, also the empty
# ones, and fail without it.
CATEGORY_AXIS: JsonObject = {
    "id": "CategoryAxis-1",
    "type": "category",
    "position": "bottom",
    "show": True,
    "scale": {"type": "linear"},
    "labels": {"show": True, "rotate": 0, "truncate": 100},
    "title": {},
}
VALUE_AXIS: JsonObject = {
    "id": "ValueAxis-1",
    "name": "LeftAxis-1",
    "type": "value",
    "position": "left",
    "show": True,
    "scale": {"type": "linear", "mode": "normal"},
    "labels": {"show": True, "rotate": 0, "truncate": 100},
    "title": {"text": ""},
}


def classic_metric(
    identity: str, title: str, view: str, query: str, aggregations: Sequence[JsonObject]
) -> JsonObject:
    """Return figures, or strings, side by side.

    Args:
        identity: Its id.
        title: Its title.
        view: The id of the index pattern that it reads.
        query: KQL for the documents it is about.
        aggregations: One per figure: its type and parameters.
    """
    aggs = [
        {"id": str(number), "enabled": True, "schema": "metric", **aggregation}
        for number, aggregation in enumerate(aggregations, start=1)
    ]
    metric = {
        "percentageMode": False,
        "useRanges": False,
        "colorSchema": "Green to Red",
        "metricColorMode": "None",
        "colorsRange": [{"from": 0, "to": 10000}],
        "labels": {"show": True},
        "invertColors": False,
        "style": {
            "bgFill": "#000",
            "bgColor": False,
            "labelColor": False,
            "subText": "",
            # So that two fit beside each other.
            "fontSize": 20 if len(aggs) == 1 else 14,
        },
    }
    params = {"addTooltip": True, "addLegend": False, "type": "metric", "metric": metric}
    state = {"type": "metric", "aggs": aggs, "params": params}
    return visualization(identity, title, state, view, query)


def colored_bars(
    identity: str,
    title: str,
    view: str,
    field: str,
    label: str,
    colors: Mapping[str, str],
) -> JsonObject:
    """Return a classic bar chart: how many documents have each value of a field.

    Args:
        identity: Its id.
        title: Its title.
        view: The id of the index pattern that it reads.
        field: The field.
        label: What its values are.
        colors: The color of each value. As many values are shown as have one.
    """
    terms = {
        "field": field,
        "orderBy": "_key",
        "order": "asc",
        "size": len(colors),
        "customLabel": label,
    }
    aggs = [
        {"id": "1", "enabled": True, "schema": "metric", "type": "count", "params": {}},
        {"id": "2", "enabled": True, "schema": "segment", "type": "terms", "params": terms},
        # Only the parts of a bar can have a color each, so each bar has one part.
        {"id": "3", "enabled": True, "schema": "group", "type": "terms", "params": terms},
    ]

    drawn = {
        "show": True,
        "type": "histogram",
        "mode": "stacked",
        "valueAxis": "ValueAxis-1",
        "data": {"id": "1", "label": "Count"},
    }

    params = {
        "type": "histogram",
        "addTooltip": True,
        "addLegend": False,
        "categoryAxes": [CATEGORY_AXIS],
        "valueAxes": [VALUE_AXIS],
        "seriesParams": [drawn],
    }
    state = {"type": "histogram", "aggs": aggs, "params": params}
    return visualization(identity, title, state, view, interface={"vis": {"colors": dict(colors)}})


def vega(identity: str, title: str, spec: JsonObject) -> JsonObject:
    """Return a Vega-Lite chart, which has its queries in its specification."""
    state = {"type": "vega", "aggs": [], "params": {"spec": json.dumps(spec, indent=2)}}
    return visualization(identity, title, state)


def text(identity: str, title: str, markdown: str) -> JsonObject:
    """Return a text."""
    params = {"markdown": markdown, "fontSize": 11, "openLinksInNewTab": True}
    return visualization(identity, title, {"type": "markdown", "aggs": [], "params": params})


def saved_search(
    identity: str,
    title: str,
    view: str,
    query: str,
    columns: Sequence[str],
    sort: Sequence[Sequence[str]],
) -> JsonObject:
    """Return a list of documents.

    Args:
        identity: Its id.
        title: Its title.
        view: The id of the index pattern that it reads.
        query: KQL for the documents.
        columns: The fields that are shown.
        sort: Fields and directions.
    """
    source = {"query": {"query": query, "language": "kuery"}, "filter": [], "indexRefName": INDEX}
    return {
        "type": "search",
        "id": identity,
        "attributes": {
            "title": title,
            "description": "",
            "columns": columns,
            "sort": sort,
            "hits": 0,
            "version": 1,
            "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(source)},
        },
        "references": [{"name": INDEX, "type": "index-pattern", "id": view}],
        "migrationVersion": {"search": "7.9.3"},
    }


def visualization(
    identity: str,
    title: str,
    state: JsonObject,
    view: str | None = None,
    query: str = "",
    interface: JsonObject | None = None,
) -> JsonObject:
    """Return a saved visualization.

    Args:
        identity: Its id.
        title: Its title.
        state: Its type, aggregations and parameters.
        view: The id of the index pattern that it reads. None: the state names it.
        query: KQL for the documents it is about. Empty: all.
        interface: What a person can change without editing it, such as colors.
    """
    source: JsonObject = {"query": {"query": query, "language": "kuery"}, "filter": []}
    references = []
    if view:
        source["indexRefName"] = INDEX
        references.append({"name": INDEX, "type": "index-pattern", "id": view})

    return {
        "type": "visualization",
        "id": identity,
        "attributes": {
            "title": title,
            "visState": json.dumps({"title": title, **state}),
            "uiStateJSON": json.dumps(interface or {}),
            "description": "",
            "version": 1,
            "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(source)},
        },
        "references": references,
        "migrationVersion": {"visualization": "7.10.0"},
    }
