"""What Kibana 9.5 accepts as a dashboard and as a rule: facts of its published API description.

Written down by us, as JSON Schemas, for the kinds of panels and rules that this project has. Every
object is closed: Kibana refuses a key that it does not know.
"""

from tests.helpers.kibana_parts import (
    COLOR_MAPPING,
    DATA_VIEW,
    FIGURE_COLOR,
    FLAG,
    GRID,
    LINE_COLOR,
    NAMED,
    NUMBER,
    QUERY,
    SECONDARY_COLOR,
    TEXT,
    TIME_RANGE,
    Schema,
    array,
    buckets,
    by,
    closed,
    metrics,
    one_of,
)

# --- Panels ----------------------------------------------------------------------------------

PANEL = {"title": TEXT, "description": TEXT, "hide_title": FLAG, "hide_border": FLAG}
CHART = {**PANEL, "time_range": TIME_RANGE, "query": QUERY}

METRIC = closed(
    {
        "type": one_of("metric"),
        "data_source": DATA_VIEW,
        "metrics": array(
            by(
                "type",
                {
                    "primary": metrics(
                        {"type": TEXT},
                        {
                            "subtitle": TEXT,
                            "apply_color_to": one_of("value", "background"),
                            "color": FIGURE_COLOR,
                        },
                    ),
                    "secondary": metrics({"type": TEXT}, {"color": SECONDARY_COLOR}),
                },
            ),
            least=1,
            most=2,
        ),
    },
    {**CHART, "sampling": NUMBER, "ignore_global_filters": FLAG},
)

LAYER_TYPES = (
    *("area", "area_percentage", "area_stacked", "line"),
    *("bar", "bar_percentage", "bar_stacked"),
    *("bar_horizontal", "bar_horizontal_percentage", "bar_horizontal_stacked"),
)
DATA_LAYER = closed(
    {
        "type": TEXT,
        "data_source": DATA_VIEW,
        "y": array(metrics({}, {"axis": one_of("y", "y2"), "color": LINE_COLOR})),
    },
    {
        "x": buckets(),
        "breakdown_by": buckets(color=COLOR_MAPPING, aggregate_first=FLAG),
        "sampling": NUMBER,
        "ignore_global_filters": FLAG,
    },
)
THRESHOLD = closed(
    {"operation": one_of("static_value")},
    {
        **NAMED,
        "value": NUMBER,
        "axis": one_of("x", "y", "y2"),
        "color": LINE_COLOR,
        "fill": one_of("above", "below"),
        "position": one_of("auto", "left", "right"),
        "stroke_dash": one_of("solid", "dashed", "dotted"),
        "stroke_width": {"type": "number", "minimum": 1, "maximum": 10},
        "text": closed({"visible": FLAG}),
    },
)
REFERENCE_LINES = closed(
    {"type": TEXT, "data_source": DATA_VIEW, "thresholds": array(THRESHOLD, least=1)}
)

DOMAIN = closed({"type": one_of("fit", "full")}, {"rounding": FLAG})
Y_AXIS = closed({"domain": DOMAIN}, {"scale": one_of("linear", "log", "sqrt")})
"""Kibana refuses an axis that has a scale and no domain."""

FITTING = ("none", "zero", "linear", "carry", "lookahead", "average", "nearest")
XY = closed(
    {
        "type": one_of("xy"),
        "layers": array(
            by(
                "type",
                {**dict.fromkeys(LAYER_TYPES, DATA_LAYER), "reference_lines": REFERENCE_LINES},
            ),
            least=1,
        ),
    },
    {
        **CHART,
        "axis": closed({}, {"y": Y_AXIS, "y2": Y_AXIS}),
        "legend": closed(
            {},
            {
                "visibility": one_of("auto", "visible", "hidden"),
                "placement": one_of("outside"),
                "position": one_of("top", "bottom", "left", "right"),
            },
        ),
        "styling": closed(
            {},
            {
                "fitting": closed({"type": one_of(*FITTING)}, {"emphasize": FLAG}),
                "interpolation": one_of("linear", "smooth", "stepped"),
                "points": closed({}, {"visibility": one_of("auto", "visible", "hidden")}),
            },
        ),
    },
)

MARKDOWN = closed({"content": TEXT, "settings": closed({}, {"open_links_in_new_tab": FLAG})}, PANEL)

SORT = closed({"name": TEXT, "direction": one_of("asc", "desc")})
TAB = closed(
    {"data_source": DATA_VIEW},
    {
        "query": QUERY,
        "column_order": array(TEXT),
        "sort": array(SORT),
        "density": one_of("compact", "expanded", "normal"),
        "rows_per_page": {"type": "number", "minimum": 1, "maximum": 10_000},
        "sample_size": {"type": "number", "minimum": 10, "maximum": 10_000},
    },
)
DISCOVER_SESSION = closed(
    {"tabs": array(TAB, least=1, most=1)}, {**PANEL, "time_range": TIME_RANGE}
)


def panel(config: Schema) -> Schema:
    """Return the schema of a panel."""
    return closed({"type": TEXT, "grid": GRID, "config": config}, {"id": TEXT})


DASHBOARD = closed(
    {"title": {"type": "string", "minLength": 1}},
    {
        "description": TEXT,
        "time_range": TIME_RANGE,
        "refresh_interval": closed({"pause": FLAG, "value": NUMBER}),
        "panels": array(
            by(
                "type",
                {
                    "vis": panel(by("type", {"metric": METRIC, "xy": XY})),
                    "markdown": panel(MARKDOWN),
                    "discover_session": panel(DISCOVER_SESSION),
                },
            ),
            most=1000,
        ),
        "tags": array(TEXT, most=1000),
    },
)

# --- Rules -----------------------------------------------------------------------------------

UUID: Schema = {
    "type": "string",
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
}
DURATION: Schema = {"type": "string", "pattern": "^[0-9]+[smhd]$"}

FREQUENCY = closed(
    {
        "summary": FLAG,
        "notify_when": one_of("onActionGroupChange", "onActiveAlert", "onThrottleInterval"),
    },
    {"throttle": {"type": ["string", "null"]}},
)
ACTION = closed(
    {"id": UUID},
    {
        "group": one_of("query matched", "recovered"),
        "params": closed({"documents": array({"type": "object"}, least=1)}),
        "frequency": FREQUENCY,
    },
)
ESQL_PARAMS = closed(
    {
        "searchType": one_of("esqlQuery"),
        "esqlQuery": closed({"esql": {"type": "string", "minLength": 1}}),
        "timeField": {"type": "string", "minLength": 1},
        "timeWindowSize": {"type": "number", "minimum": 1},
        "timeWindowUnit": one_of(*"smhd"),
        "threshold": {"const": [0]},
        "thresholdComparator": one_of(">"),
        "size": {"type": "number", "minimum": 0, "maximum": 10_000},
    },
    {
        "excludeHitsFromPreviousRun": FLAG,
        "aggType": one_of("count", "avg", "max", "min", "sum"),
        "groupBy": one_of("all", "top", "row"),
    },
)
RULE = closed(
    {
        "id": UUID,
        "name": TEXT,
        "consumer": TEXT,
        "rule_type_id": one_of(".es-query"),
        "schedule": closed({"interval": DURATION}),
        "params": ESQL_PARAMS,
    },
    {"actions": array(ACTION), "tags": array(TEXT), "enabled": FLAG},
)
CONNECTOR = closed(
    {
        "id": UUID,
        "name": TEXT,
        "connector_type_id": one_of(".index"),
        "config": closed(
            {"index": TEXT}, {"refresh": FLAG, "executionTimeField": {"type": ["string", "null"]}}
        ),
    }
)
