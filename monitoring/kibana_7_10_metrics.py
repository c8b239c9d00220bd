"""What a panel of ``dashboard.json`` computes, as a line or a figure of Kibana 7.10."""

import re
from collections.abc import Mapping

from errors import ConfigError
from monitoring.elastic import JsonObject
from monitoring.kibana_7_10_tsvb import Line

SHARE = re.compile(r"count\(kql='(.+?)'\) / count\(kql='(.+?)'\)")
SHARE_OF_VALUES = re.compile(
    r"unique_count\((\S+), kql='(.+?)'\) / unique_count\(\1, kql='(.+?)'\)"
)
QUOTIENT = re.compile(r"sum\((\S+?)\) / sum\((\S+?)\)")


def label_of(metric: JsonObject) -> str:
    """Return the one text that has room beside a figure: what is normal, if that is said."""
    text: str = metric.get("subtitle") or metric["label"]
    return text


def line_of(metric: JsonObject, layer_type: str = "line") -> Line:
    """Return a line of a TSVB chart, or a figure."""
    color, number = metric.get("color", {}), metric.get("format") or {}
    return Line(
        label=label_of(metric),
        metrics=_tsvb_metrics(metric),
        query=metric.get("filter", {}).get("expression", ""),
        is_bar=layer_type.startswith("bar"),
        color=color["color"] if color.get("type") == "static" else "",
        number_format=_pattern(number) if number else "number",
        suffix=number.get("suffix", ""),
    )


def _pattern(number: JsonObject) -> str:
    """Return how numbers are written: ``0.0%``, for example."""
    decimals = "." + "0" * number["decimals"] if number["decimals"] else ""
    return f"0,0{decimals}" + ("%" if number["type"] == "percent" else "")


def _tsvb_metrics(metric: JsonObject) -> list[JsonObject]:
    """Return the chain of metrics whose last one a TSVB chart draws."""
    match metric["operation"]:
        case "count":
            return [{"id": "count", "type": "count"}]
        case "max":
            return [{"id": "max", "type": "max", "field": metric["field"]}]
        case "static_value":
            return [{"id": "limit", "type": "static", "value": str(float(metric["value"]))}]
        case "percentile":
            return _percentile(metric["field"], metric["percentile"])
        case "formula":
            return _formula(metric["formula"])
        case operation:
            raise ConfigError(f"dashboard.json: Kibana 7.10 has no translation of {operation!r}")


def _percentile(field: str, value: int) -> list[JsonObject]:
    """Return the metrics of a percentile.

    The second one takes over the value of the first: a percentile that comes last would have its
    number behind its label once more.
    """
    parts = [{"id": "part", "mode": "line", "shade": 0.2, "value": value}]
    return [
        {"id": "p", "type": "percentile", "field": field, "percentiles": parts},
        _calculation({"value": f"p[{float(value)}]"}, "params.value"),
    ]


def _calculation(variables: Mapping[str, str], script: str) -> JsonObject:
    """Return the metric that a script makes of the metrics before it, by their ids."""
    named = [{"id": name, "name": name, "field": field} for name, field in variables.items()]
    return {"id": "script", "type": "calculation", "variables": named, "script": script}


def _formula(formula: str) -> list[JsonObject]:
    """Return the metrics of a share of documents or of values, or of a quotient of two sums."""
    if found := SHARE.fullmatch(formula):
        part, whole = found.groups()
        return [_ratio(part, whole, {"metric_agg": "count"})]

    if found := SHARE_OF_VALUES.fullmatch(formula):
        field, part, whole = found.groups()
        return [_ratio(part, whole, {"metric_agg": "cardinality", "field": field})]

    if found := QUOTIENT.fullmatch(formula):
        sums = [
            {"id": name, "type": "sum", "field": field}
            for name, field in zip("nd", found.groups(), strict=True)
        ]
        return [*sums, _calculation({"n": "n", "d": "d"}, "params.n / params.d")]

    raise ConfigError(f"dashboard.json: Kibana 7.10 has no translation of the formula {formula!r}")


def _ratio(part: str, whole: str, counted: JsonObject) -> JsonObject:
    """Return the metric that divides what two KQL queries find.

    Args:
        part: The query of the numerator.
        whole: The query of the denominator.
        counted: What is counted of the documents, as Kibana's settings.
    """
    return {
        "id": "ratio",
        "type": "filter_ratio",
        **counted,
        "numerator": {"query": part, "language": "kuery"},
        "denominator": {"query": whole, "language": "kuery"},
    }
