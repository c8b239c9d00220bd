"""Which fields an index template maps, and which ones dashboards, rules and queries name."""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.helpers.paths import ROOT

TEMPLATES = ROOT / "monitoring/elasticsearch"

FIELD_KEYS = {"field", "terms_field", "timeField", "timeFieldName", "time_field", "sortField"}
"""Keys whose value is a field."""

FIELD_LIST_KEYS = {"fields", "columns", "column_order"}
"""Keys whose value is a list of fields."""

CLAUSE_KEYS = {"range", "term"}
"""Keys whose value is an object with a field as its key."""

JSON_KEYS = {"visState", "panelsJSON", "searchSourceJSON"}
"""Keys whose value is JSON inside a string."""

KQL_KEYS = {"expression", "query"}

ESQL_WORDS = {"FROM", "WHERE", "STATS", "EVAL", "SORT", "BY", "AND", "OR", "IS", "NOT", "NULL"}


def mapped(*templates: str) -> set[str]:
    """Return every field that the templates (by default all) map, multi-fields included."""
    names = templates or tuple(path.name for path in TEMPLATES.glob("*_template.json"))
    fields: set[str] = set()
    for name in names:
        template = json.loads((TEMPLATES / name).read_text(encoding="utf-8"))
        fields.update(_leaves(template["template"]["mappings"]["properties"]))
    return fields


def _leaves(properties: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in properties.items():
        if "properties" in value:
            yield from _leaves(value["properties"], f"{prefix}{name}.")
            continue

        yield prefix + name
        for part in value.get("fields", {}):
            yield f"{prefix}{name}.{part}"


def flat(record: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the leaf fields of a document, with dotted names."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def named(value: Any) -> Iterator[str]:
    """Yield every field that a dashboard, a saved object, a rule or a query names."""
    if isinstance(value, list):
        for item in value:
            yield from named(item)

    elif isinstance(value, dict):
        for key, item in value.items():
            # The variables of a TSVB calculation name its other metrics.
            if key != "variables":
                yield from _named_by(key, item)


def _named_by(key: str, item: Any) -> Iterator[str]:
    is_list = key in FIELD_LIST_KEYS and isinstance(item, list)
    is_clause = key in CLAUSE_KEYS and isinstance(item, dict) and "field" not in item

    if key in FIELD_KEYS and isinstance(item, str):
        yield item
    elif is_list or is_clause:
        yield from item
    elif key == "formula":
        yield from re.findall(r"\b(?:sum|average|median|max|min|unique_count)\(([\w.@]+)", item)
        for query in re.findall(r"kql='([^']*)'", item):
            yield from kql(query)
    elif key in JSON_KEYS:
        yield from named(json.loads(item))
    elif key == "spec":
        # Vega's other parts name what it makes of the answer to its query.
        yield from named([layer["data"]["url"] for layer in json.loads(item)["layer"]])
    elif isinstance(item, str) and (item.startswith("FROM ") or key == "esql"):
        yield from esql(item)
    elif key in KQL_KEYS and isinstance(item, str):
        yield from kql(item)
    else:
        yield from named(item)


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object inside a JSON value."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from objects(item)


def kql(query: str) -> list[str]:
    """Return the fields of a KQL query."""
    return re.findall(r"([\w.@]+)\s*(?::|<=|>=|<|>)", query)


def esql(query: str) -> set[str]:
    """Return the fields of an ES|QL query: its names that are nothing else.

    Keywords, functions and the names that the query assigns itself are no fields.
    """
    indices = re.match(r"FROM [^|]*", query)
    body = query[indices.end() if indices else 0 :]
    body = re.sub(r'"[^"]*"|\?\w+|\$\{\w+\}', "", body)

    words = set(re.findall(r"(?<![\w.@])([@A-Za-z_][\w.@]*)(?!\w*\s*\()", body))
    functions = set(re.findall(r"([A-Za-z_]\w*)\s*\(", body))
    assigned = set(re.findall(r"([A-Za-z_]\w*)\s*=(?!=)", body))
    return words - functions - assigned - ESQL_WORDS
