"""Fill the README's table of measured results from the files that the benchmarks wrote.

    python benchmarks/fill_readme.py            # or `make readme`
    python benchmarks/fill_readme.py --check    # exit code 1 if the README says something else
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
START = "<!-- results: written by `make readme` from benchmarks/results/ -->\n"
END = "<!-- end of results -->"

Row = tuple[str, str, str]


def quality(runs: dict[str, Any]) -> Iterator[Row]:
    for name, run in runs.items():
        mcc = run["mcc"]
        yield (
            f"MCC, `{name}`",
            f"**{mcc['overall']:.3f}** (in-domain {mcc['in_domain']:.3f}, out-of-domain {mcc['out_of_domain']:.3f}; "
            f"{run['sentences']['overall']:,} sentences, {run['minutes']:.0f} min on 2 cores)",
            "`benchmarks/quality.py`",
        )


def corpus_baseline(result: dict[str, Any]) -> Iterator[Row]:
    best = result["features"]["words"]
    yield (
        "MCC of TF-IDF + logistic regression on `corpus/`",
        f"{best['in_domain']['mcc']:.3f} in-domain, {best['out_of_domain']['mcc']:.3f} out-of-domain",
        "`corpus/baseline.py`",
    )


def training(result: dict[str, Any]) -> Iterator[Row]:
    speed = result["sentences_per_second"]
    yield (
        "training, against padding to 128",
        f"**{result['ratio']['median']:.1f} times** faster ({speed['ours']:.0f} against {speed['padded to 128']:.0f} sentences/s)",
        "`benchmarks/training.py`",
    )


def forwarder(result: dict[str, Any]) -> Iterator[Row]:
    yield (
        "log events forwarded",
        f"{result['events_per_second']['ours']:,}/s on one core",
        "`benchmarks/forwarder.py`",
    )


SECTIONS = {
    "quality": quality,
    "corpus_baseline": corpus_baseline,
    "training": training,
    "forwarder": forwarder,
}


def table() -> str:
    rows = [
        row
        for name, section in SECTIONS.items()
        if (path := RESULTS / f"{name}.json").is_file()
        for row in section(json.loads(path.read_text()))
    ]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [("what", "measured", "by"), ("---",) * 3, *rows])


def main() -> int:
    readme = ROOT / "README.md"
    text = readme.read_text()
    before, rest = text.split(START)
    filled = before + START + table() + END + rest.split(END)[1]
    if "--check" in sys.argv:
        return int(filled != text)
    readme.write_text(filled)
    return 0


if __name__ == "__main__":
    sys.exit(main())
