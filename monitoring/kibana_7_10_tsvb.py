"""The charts of Kibana 7.10 over time, and its single figures: TSVB, the time series builder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from monitoring.elastic import JsonObject
from monitoring.kibana_7_10_charts import visualization

COLORS = ("#54B399", "#D36086", "#9170B8", "#B9A888")
"""Kibana's palette without the labels' colors, in the order in which a chart's lines get them."""


@dataclass(frozen=True)
class Line:
    """A line (or stacked bars, or a figure) of a TSVB chart."""

    label: str
    """Its name in the legend."""

    metrics: Sequence[JsonObject]
    """What it shows; the last one is drawn."""

    query: str = ""
    """KQL for the documents it is about. Empty: all."""

    is_bar: bool = False
    """Whether it is drawn as bars, which are stacked."""

    color: str = ""
    """Empty: the next one of COLORS."""

    number_format: str = "number"
    """A name, or a pattern such as ``0.0%``."""

    suffix: str = ""
    """What follows a number, such as a unit."""

    field: str = ""
    """Each of the most frequent values of this field gets a line. Empty: one line."""

    limit: int = 0
    """How many values that are."""

    def split(self, field: str, limit: int) -> "Line":
        """Return this line once per frequent value of a field."""
        return replace(self, field=field, limit=limit)

    def only(self, field: str, value: str, color: str) -> "Line":
        """Return this line for the documents that have one value in a field."""
        query = " and ".join(filter(None, (self.query, f"{field}: {value}")))
        return replace(self, label=value, query=query, color=color)

    def to_json(self, number: int) -> JsonObject:
        """Return the line in Kibana's format.

        Args:
            number: How many lines are before it in the chart.
        """
        settings: JsonObject = {
            "id": f"line-{number}",
            "label": self.label,
            "color": self.color or COLORS[number % len(COLORS)],
            "metrics": self.metrics,
            "chart_type": "bar" if self.is_bar else "line",
            "stacked": "stacked" if self.is_bar else "none",
            "fill": 0.8 if self.is_bar else 0,
            "line_width": 2,
            "point_size": 2,
            "axis_position": "right",
            "separate_axis": 0,
            "formatter": self.number_format,
            "value_template": "{{value}}" + self.suffix,
            "split_mode": "terms" if self.field else "everything",
        }

        if self.field:
            size = str(self.limit)
            settings |= {
                "terms_field": self.field,
                "terms_size": size,
                "terms_order_by": "_count",
                "split_color_mode": "gradient",
            }
        if self.query:
            settings["filter"] = {"query": self.query, "language": "kuery"}
        return settings


def tsvb(
    identity: str,
    title: str,
    index: str,
    lines: Sequence[Line],
    *,
    interval: str = "",
    drop_last_bucket: bool = False,
    legend: str = "",
    scale: str = "linear",
    figure_colors: Sequence[JsonObject] | None = None,
) -> JsonObject:
    """Return a TSVB visualization.

    Args:
        identity: Its id.
        title: Its title.
        index: The pattern of the indices that it reads.
        lines: What it draws.
        interval: Time between two points, such as ``>=1m``. Empty: Kibana chooses.
        drop_last_bucket: Whether the interval that is not over yet is left out.
        legend: Where the names of the lines are: ``bottom`` or ``right``. Empty: nowhere.
        scale: ``linear`` or ``log``.
        figure_colors: Which background a figure has when. None: a chart over time rather than one
            figure for the whole time range.
    """
    is_figure = figure_colors is not None
    rules = [{"id": str(n), "color": None, **rule} for n, rule in enumerate(figure_colors or ())]

    params = {
        "id": identity,
        "type": "metric" if is_figure else "timeseries",
        "series": [line.to_json(number) for number, line in enumerate(lines)],
        "index_pattern": index,
        "time_field": "@timestamp",
        "interval": interval,
        "time_range_mode": "entire_time_range" if is_figure else "last_value",
        "axis_position": "left",
        "axis_formatter": "number",
        "axis_scale": "log" if scale == "log" else "normal",
        # A logarithmic axis cannot begin at 0.
        "axis_min": "1" if scale == "log" else "0",
        "background_color_rules": rules,
        "drop_last_bucket": int(drop_last_bucket),
        "show_legend": int(bool(legend)),
        "legend_position": legend or None,
        "show_grid": 1,
        "tooltip_mode": "show_all",
    }

    # A TSVB chart has its index and its queries in its parameters.
    return visualization(identity, title, {"type": "metrics", "aggs": [], "params": params})
