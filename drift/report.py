"""The HTML page of a drift check: a table and three plots in one file, no scripts, no links."""

import html
import io
from pathlib import Path

import matplotlib
import numpy as np

from drift.checks import Check
from drift.verdict import Verdict
from errors import ColaError
from monitoring.reference import ReferenceModel

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: right; padding: .3rem .6rem; }
td:first-child, th:first-child { text-align: left; } tr { border-bottom: 1px solid #ddd; }
.drift, .alarm { color: #b00020; font-weight: 600; }
.warning { color: #8a5a00; } .ok { color: #1b6e3c; }
svg { max-width: 100%; height: auto; }
"""


def write_report(verdict: Verdict, reference: ReferenceModel, path: Path) -> None:
    """Write the page, and make its folder.

    Raises:
        ColaError: It cannot be written there.
    """
    window = verdict.window
    rows = "".join(map(_row, verdict.checks))
    versions = window.models.most_common()
    models = ", ".join(f"{html.escape(name)} ({count:,})" for name, count in versions)

    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Drift: {verdict.state}</title>
<style>{STYLE}</style>
<h1>Drift: <span class="{verdict.state}">{verdict.state}</span></h1>
<p>{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC, {window.total:,} predictions,
model expected {html.escape(verdict.expected_version)}, seen {models or "none"}.</p>
<table><tr><th>check</th><th>reference</th><th>window</th><th>effect</th><th>alarm at</th><th>p</th>
<th>verdict</th></tr>{rows}</table>
{_plots(verdict, reference)}
</html>
"""

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ColaError(f"{path}: {error.strerror}: choose another file with --html") from None
    print(f"wrote {path}")


def _row(check: Check) -> str:
    figures = (check.reference, check.window, check.value, check.alarm, check.p_value)
    cells = "".join(map(_cell, figures))
    return f'<tr><td>{check.name}</td>{cells}<td class="{check.state}">{check.state}</td></tr>'


def _cell(value: float | None) -> str:
    return f"<td>{'' if value is None else format(value, '.4g')}</td>"


def _plots(verdict: Verdict, reference: ReferenceModel) -> str:
    """Draw labels, scores and lengths of the window beside the reference, as one SVG."""
    known, window = reference.distributions, verdict.window
    total = max(window.count, 1)

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    # Shares, since a window and the validation set differ in size.
    labels = list(known.labels)
    _bars(
        axes[0],
        labels,
        list(known.labels.values()),
        [window.labels[name] / total for name in labels],
    )
    axes[0].set_title("labels")

    for axis, title, histogram, counts in (
        (axes[1], "probability of acceptable", known.score_histogram, window.score_histogram),
        (axes[2], "length (tokens)", known.length_histogram, window.length_histogram),
    ):
        starts = [f"{edge:g}" for edge in histogram.edges[:-1]]
        _bars(axis, starts, histogram.shares, [count / total for count in counts])
        axis.set_title(title)

    axes[0].legend(["reference", "window"])
    image = io.StringIO()
    figure.savefig(image, format="svg")
    plt.close(figure)

    # Without the declaration before it, which has no place within a page.
    svg = image.getvalue()
    return svg[svg.index("<svg") :]


def _bars(axis: Axes, names: list[str], reference: list[float], window: list[float]) -> None:
    positions = np.arange(len(names))
    axis.bar(positions - 0.2, reference, 0.4, color="#8aa5c4")
    axis.bar(positions + 0.2, window, 0.4, color="#d36086")
    axis.set_xticks(positions, names, rotation=90 if len(names) > 4 else 0, fontsize=7)
