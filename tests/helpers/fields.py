"""Which fields an index template maps, and which ones dashboards, rules and queries name."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MONITORING = Path(__file__).parents[2] / "monitoring"
FIELD_KEYS = {"field", "terms_field", "timeField", "timeFieldName", "time_field"}
QUERY_KEYS = {"expression", "query"}
ESQL_WORDS = {"FROM", "WHERE", "STATS", "EVAL", "SORT", "BY", "AND", "OR", "IS", "NOT", "NULL"}


def mapped(*templates: str) -> set[str]:
    """Every field that the given templates (all of them if none is given) map, multi-fields included."""
    names = templates or tuple(
        path.name for path in (MONITORING / "elasticsearch").glob("*_template.json")
    )
    found: set[str] = set()
    for name in names:
        template = json.loads((MONITORING / "elasticsearch" / name).read_text(encoding="utf-8"))
        found.update(_leaves(template["template"]["mappings"]["properties"]))
    return found


def _leaves(properties: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in properties.items():
        if "properties" in value:
            yield from _leaves(value["properties"], f"{prefix}{name}.")
            continue
        yield prefix + name
        for part in value.get("fields", {}):
            yield f"{prefix}{name}.{part}"


def flat(record: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The leaf fields of a document."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def named(value: Any) -> Iterator[str]:
    """Every field that a dashboard, a saved object, a rule or an Elasticsearch query names."""
    if isinstance(value, list):
        for item in value:
            yield from named(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "variables":  # of a TSVB calculation: they name its other metrics
                continue
            yield from _named_by(key, item)


def _named_by(key: str, item: Any) -> Iterator[str]:
    is_list = key in ("fields", "columns") and isinstance(item, list)
    is_clause = key in ("range", "term") and isinstance(item, dict) and "field" not in item
    if key in FIELD_KEYS and isinstance(item, str):
        yield item
    elif is_list or is_clause:
        yield from item
    elif key == "formula":
        yield from re.findall(r"\b(?:sum|average|median|max|min|unique_count)\(([\w.@]+)", item)
        for query in re.findall(r"kql='([^']*)'", item):
            yield from kql(query)
    elif key in ("visState", "panelsJSON", "searchSourceJSON"):
        yield from named(json.loads(item))
    elif isinstance(item, str) and (item.startswith("FROM ") or key == "esql"):
        yield from esql(item)
    elif key in QUERY_KEYS and isinstance(item, str):
        yield from kql(item)
    else:
        yield from named(item)


def kql(query: str) -> list[str]:
    """The fields of a KQL query."""
    return re.findall(r"([\w.@]+)\s*(?::|<=|>=|<|>)", query)


def esql(query: str) -> set[str]:
    """The fields of an ES|QL query: its names, less keywords, functions and what it assigns itself."""
    indices = re.match(r"FROM [^|]*", query)
    body = re.sub(r'"[^"]*"|\?\w+|\$\{\w+\}', "", query[indices.end() if indices else 0 :])
    words = set(re.findall(r"(?<![\w.@])([@A-Za-z_][\w.@]*)(?!\w*\s*\()", body))
    functions = set(re.findall(r"([A-Za-z_]\w*)\s*\(", body))
    assigned = set(re.findall(r"([A-Za-z_]\w*)\s*=(?!=)", body))
    return words - functions - assigned - ESQL_WORDS
