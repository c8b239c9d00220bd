"""What the panels of Kibana 9.5 are made of: facts of its published API description.

See ``kibana_schema.py``, which puts them together.
"""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}


def one_of(*values: str) -> Schema:
    """Return the schema of an enumeration."""
    return {"enum": list(values)}


def array(items: Schema, least: int = 0, most: int = 100) -> Schema:
    """Return the schema of an array of ``least`` to ``most`` items."""
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def closed(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """Return the schema of an object that has the required keys and no unknown ones."""
    return {
        "type": "object",
        "properties": {**(optional or {}), **required},
        "required": list(required),
        "additionalProperties": False,
    }


def by(key: str, schemas: dict[str, Schema]) -> Schema:
    """Return the schema of an object whose kind one of its keys tells."""
    conditions = [
        {"if": {"properties": {key: {"const": value}}}, "then": schema}
        for value, schema in schemas.items()
    ]
    return {"required": [key], "properties": {key: one_of(*schemas)}, "allOf": conditions}


# --- Parts of panels -------------------------------------------------------------------------

TIME_RANGE = closed({"from": TEXT, "to": TEXT}, {"mode": one_of("absolute", "relative")})
GRID = closed(
    {"x": NUMBER, "y": NUMBER},
    {"w": {"type": "number", "minimum": 1, "maximum": 48}, "h": {"type": "number", "minimum": 1}},
)
DATA_VIEW = closed({"type": one_of("data_view_reference"), "ref_id": TEXT})
QUERY = closed({"expression": TEXT, "language": one_of("kql", "lucene")})
FORMAT = closed(
    {"type": one_of("number", "percent")}, {"decimals": NUMBER, "suffix": TEXT, "compact": FLAG}
)

COLOR_STEP = closed({"color": TEXT}, {"gte": NUMBER, "lt": NUMBER, "lte": NUMBER})
COLORS = {
    "static": closed({"type": one_of("static"), "color": TEXT}),
    "auto": closed({"type": one_of("auto")}),
    "none": closed({"type": one_of("none")}),
    "dynamic": closed(
        {
            "type": one_of("dynamic"),
            "range": one_of("absolute", "percentage"),
            "steps": array(COLOR_STEP, least=1),
        }
    ),
}
LINE_COLOR = by("type", {name: COLORS[name] for name in ("static", "auto")})
SECONDARY_COLOR = by("type", {name: COLORS[name] for name in ("static", "none")})
FIGURE_COLOR = by("type", {name: COLORS[name] for name in ("static", "auto", "dynamic")})

COLOR_MAPPING = closed(
    {
        "mode": one_of("categorical"),
        "palette": TEXT,
        "mapping": array(
            closed(
                {
                    "values": array({"type": ["string", "number"]}, most=1000),
                    "color": closed({"type": one_of("color_code"), "value": TEXT}),
                }
            ),
            most=1000,
        ),
    }
)

# --- Metrics and buckets ---------------------------------------------------------------------

NAMED = {"label": TEXT, "format": FORMAT}
FILTERED = {**NAMED, "filter": QUERY, "reduced_time_range": TEXT, "time_scale": one_of(*"smhd")}
SHIFTED = {**FILTERED, "time_shift": TEXT}

METRICS: dict[str, tuple[dict[str, Schema], dict[str, Schema]]] = {
    "count": ({}, {**SHIFTED, "field": TEXT, "empty_as_null": FLAG}),
    "unique_count": ({"field": TEXT}, {**SHIFTED, "empty_as_null": FLAG}),
    "sum": ({"field": TEXT}, {**SHIFTED, "empty_as_null": FLAG}),
    "max": ({"field": TEXT}, SHIFTED),
    "median": ({"field": TEXT}, SHIFTED),
    "percentile": ({"field": TEXT}, {**SHIFTED, "percentile": NUMBER}),
    "last_value": ({"field": TEXT, "time_field": TEXT}, {**SHIFTED, "multi_value": FLAG}),
    "formula": ({"formula": TEXT}, FILTERED),
}
"""The keys that a metric must have, and those that it may have."""


def metrics(required: dict[str, Schema], optional: dict[str, Schema]) -> Schema:
    """Return the schema of a metric with further keys, which depend on the chart."""
    schemas = {
        operation: closed({"operation": TEXT, **must, **required}, {**may, **optional})
        for operation, (must, may) in METRICS.items()
    }
    return by("operation", schemas)


RANK = closed({"type": one_of("alphabetical"), "direction": one_of("asc", "desc")})
BUCKETS: dict[str, tuple[dict[str, Schema], dict[str, Schema]]] = {
    "date_histogram": (
        {"field": TEXT},
        {
            "suggested_interval": TEXT,
            "drop_partial_intervals": FLAG,
            "include_empty_rows": FLAG,
            "use_original_time_range": FLAG,
        },
    ),
    "terms": (
        {"fields": array(TEXT, least=1, most=4)},
        {"limit": NUMBER, "rank_by": RANK, "increase_accuracy": FLAG, "format": FORMAT},
    ),
    "range": (
        {"field": TEXT, "ranges": array(closed({}, {"gt": NUMBER, "lte": NUMBER, "label": TEXT}))},
        {"format": FORMAT},
    ),
}


def buckets(**optional: Schema) -> Schema:
    """Return the schema of what splits a chart, with further keys."""
    schemas = {
        operation: closed({"operation": TEXT, **must}, {"label": TEXT, **may, **optional})
        for operation, (must, may) in BUCKETS.items()
    }
    return by("operation", schemas)
