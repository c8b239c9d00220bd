"""What a person reads off the dashboard: what is normal, the limits, one color per label."""

import json
import re

from drift.checks import LIMITS
from export.reference import SCORE_EDGES
from monitoring.kibana_objects import FILES, read, read_dashboard
from prediction.types import LABELS, LOW_CONFIDENCE
from tests.helpers.fields import objects
from tests.helpers.paths import ROOT

PANELS = read_dashboard(0.2)["panels"]

# --- The panels ------------------------------------------------------------------------------


def test_panels_do_not_overlap_and_have_different_names() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)

    grids = [panel["grid"] for panel in PANELS]
    cells = [
        (x, y)
        for grid in grids
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 48


def test_the_first_rows_say_whether_it_is_well() -> None:
    """Each figure has beside it what is normal: a limit as its subtitle, or a panel."""
    first = [panel for panel in PANELS if panel["grid"]["y"] < 12]
    assert {panel["id"] for panel in first} == {
        "predictions",
        "low-confidence-now",
        "errors-now",
        "latency-now",
        "drift-now",
        "model-now",
        "low-confidence-reference",
        "model-expected",
        "what-to-look-at",
    }

    figures = {
        panel["id"]: panel["config"]["metrics"][0]
        for panel in first
        if "metrics" in panel["config"]
    }
    for name in ("predictions", "low-confidence-now", "errors-now", "latency-now", "drift-now"):
        assert re.match("alarm|normal|SlowAlarm on AWS", figures[name]["subtitle"])


def test_an_alarm_that_a_figure_names_is_one() -> None:
    """A rule of Kibana, by the figure's title; or an alarm of the stack, by its name."""
    rules = [rule["name"] for rule in read("rules.json")["rules"]]
    template = (ROOT / "infra/template.yaml").read_text(encoding="utf-8")
    figures = {
        panel["config"]["title"]: panel["config"]["metrics"][0].get("subtitle", "")
        for panel in PANELS
        if "metrics" in panel["config"]
    }
    named = {title: subtitle for title, subtitle in figures.items() if "larm" in subtitle}
    assert len(named) == 4

    for title, subtitle in named.items():
        on_aws = re.findall(r"\b\w+Alarm\b", subtitle)
        if on_aws:
            assert all(f"\n  {name}:\n" in template for name in on_aws)
        else:
            assert any(title.lower() in rule.lower() for rule in rules), title


def test_the_text_links_to_the_chapter_where_there_is_one() -> None:
    def content(docs_url: str) -> str:
        panels = read_dashboard(0.2, docs_url)["panels"]
        (text,) = [panel["config"]["content"] for panel in panels if panel["type"] == "markdown"]
        return str(text)

    assert "chapter 10, `docs/10_monitor.md`" in content("")
    for docs_url in ("http://docs.test/main", "http://docs.test/main/"):
        assert "[chapter 10](http://docs.test/main/10_monitor.md)" in content(docs_url)

    # The heading that it names.
    chapter = (ROOT / "docs/10_monitor.md").read_text(encoding="utf-8")
    assert "\n## When a rule fires\n" in chapter
    assert '"When a rule fires"' in content("")


def test_each_label_has_one_color_and_no_other_thing_has_it() -> None:
    text = json.dumps(PANELS)
    mappings = [item["mapping"] for item in objects(PANELS) if item.get("mode") == "categorical"]
    assert len(mappings) == 2
    assert mappings[0] == mappings[1]

    colors = {entry["values"][0]: entry["color"]["value"] for entry in mappings[0]}
    assert set(colors) == set(LABELS)
    for color in colors.values():
        assert text.count(color) == len(mappings)

    # Every chart that names labels gives them these colors.
    for layer in objects(PANELS):
        if "prediction.label.keyword" in json.dumps(layer.get("x")):
            assert layer["breakdown_by"]["color"]["mapping"] == mappings[0]


def test_score_and_reference_have_the_bins_of_a_models_reference() -> None:
    (panel,) = [panel for panel in PANELS if panel["id"] == "score-histogram"]
    score, reference = (layer["x"]["ranges"] for layer in panel["config"]["layers"])
    assert score == reference

    starts = [bin_["gt"] for bin_ in score]
    assert starts == SCORE_EDGES[:-1]
    assert [bin_.get("lte") for bin_ in score] == [*SCORE_EDGES[1:-1], None]
    assert [bin_["label"] for bin_ in score] == [f"{start:.2f}" for start in starts]


# --- Limits ----------------------------------------------------------------------------------


def lines(panel_id: str) -> list[float]:
    """Return where a chart has lines across."""
    (panel,) = [panel for panel in PANELS if panel["id"] == panel_id]
    return [item["value"] for item in objects(panel) if item.get("operation") == "static_value"]


def limits(panel_id: str) -> list[float]:
    """Return from which values on a figure is red."""
    (panel,) = [panel for panel in PANELS if panel["id"] == panel_id]
    return [item["gte"] for item in objects(panel) if "gte" in item]


def test_the_limits_are_those_of_the_rules_and_of_the_drift_check() -> None:
    rules = {
        rule["name"]: rule["params"]["esqlQuery"]["esql"] for rule in read("rules.json")["rules"]
    }
    error_limit = float(re.findall(r"share > ([\d.]+)", rules["Error share above 5 %"])[0])
    assert lines("error-share") == limits("errors-now") == [error_limit]

    # It is the model's, and was put into both when they were provisioned.
    assert lines("low-confidence") == limits("low-confidence-now") == [0.2]
    assert "share > ${limit}" in rules["Low-confidence share above ${limit}"]

    assert lines("drift") == [LIMITS["score_psi"].alarm] == [LIMITS["length_psi"].alarm]


def test_the_rule_and_the_panels_divide_errors_by_the_same() -> None:
    """A batch is many predictions and one request, and a refused one is a single error.

    With FORWARD_ALL there are other lines too, which would dilute the share.
    """
    errors, answers = "kql='event: error'", "kql='event: prediction or event: error'"
    formulas = {item.get("formula", "") for item in objects(PANELS)}
    (formula,) = (formula for formula in formulas if "event: error" in formula)
    assert formula == f"unique_count(request_id, {errors}) / unique_count(request_id, {answers})"

    (rule,) = (rule for rule in read("rules.json")["rules"] if rule["name"].startswith("Error"))
    _, where, stats, *_ = rule["params"]["esqlQuery"]["esql"].split(" | ")
    assert where == 'WHERE event == "prediction" OR event == "error"'
    assert 'errors = COUNT_DISTINCT(request_id) WHERE event == "error",' in stats
    assert "total = COUNT_DISTINCT(request_id)," in stats


def test_the_limit_of_latency_is_that_of_the_alarm_on_aws() -> None:
    template = (ROOT / "infra/template.yaml").read_text(encoding="utf-8")
    found = re.search(r"\n  SlowMilliseconds:\n(?: {4}.*\n)*?    Default: (\d+)\n", template)
    assert found
    assert lines("latency") == limits("latency-now") == [int(found[1])]


def test_the_limit_of_low_confidence_is_that_of_the_drift_check() -> None:
    for name in ("dashboard.json", "rules.json"):
        text = (FILES / name).read_text(encoding="utf-8")
        found = re.findall(r"prediction\.score < ([\d.]+\d)", text)
        assert {float(limit) for limit in found} == {LOW_CONFIDENCE}, name
