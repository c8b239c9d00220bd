"""Chapter 11: low-confidence predictions for a person to label.

    python -m drift.label --count 100 --since 7d --output runs/to_label.tsv
    python -m drift.label --log logs/predictions.jsonl --output runs/to_label.tsv

Writes the corpus format (source, label, original mark, sentence). The label is ``?`` until a person
replaces it by 1 (acceptable) or 0: the loader refuses a row that nobody has decided. Then append
the rows to a copy of the corpus's training file and train with data.path=FOLDER. Needs
LOG_TEXT=full.
"""

import argparse
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from commands.run import run_command
from drift.log_files import read_log, record_errors
from drift.search import search
from drift.times import duration, moment
from errors import ColaError
from monitoring.elastic import Elastic
from prediction.types import LOW_CONFIDENCE

# Elasticsearch's own limit on one answer.
POOL = 10_000


def from_elasticsearch(server: Elastic, since: datetime) -> Iterator[str]:
    """Yield the texts of low-confidence predictions since then, least certain first.

    Raises:
        ElasticError: The server does not answer, or refuses, or answers for a part only.
    """
    query = {
        "size": POOL,
        "_source": ["text"],
        "sort": [{"prediction.score": "asc"}],
        "query": {
            "bool": {
                "filter": [
                    {"term": {"event": "prediction"}},
                    {"range": {"@timestamp": {"gte": since.isoformat()}}},
                    {"range": {"prediction.score": {"lt": LOW_CONFIDENCE}}},
                ]
            }
        },
    }

    for hit in search(server, query)["hits"]["hits"]:
        yield hit["_source"].get("text") or ""


def from_log(path: Path, since: datetime) -> Iterator[str]:
    """Yield the same from a log file, in its order.

    Raises:
        ColaError: A record lacks a field of the log line.
    """
    with record_errors():
        for record in read_log(path):
            is_uncertain = record["prediction"]["score"] < LOW_CONFIDENCE
            if is_uncertain and moment(record["@timestamp"]) >= since:
                yield record.get("text") or ""


def sample(texts: Iterable[str], count: int, seed: int) -> list[str]:
    """Choose at most ``count`` different texts, each on one line.

    Hashed and missing texts cannot be labelled.
    """
    readable = (text for text in texts if not text.startswith("sha256:"))
    distinct = dict.fromkeys(" ".join(text.split()) for text in readable)
    distinct.pop("", None)

    pool = list(distinct)
    return random.Random(seed).sample(pool, min(count, len(pool)))


def write_rows(sentences: Iterable[str], path: Path) -> None:
    """Write a row for each sentence, whose label is still to be decided; make the file's folder.

    Raises:
        ColaError: The file cannot be written, or there is one: a person may have labelled it.
    """
    rows = "".join(f"live\t?\t\t{sentence}\n" for sentence in sentences)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            try:
                file.write(rows)
                file.flush()
            except OSError:
                # Half of them would look like all.
                path.unlink()
                raise
    except OSError as error:
        raise ColaError(f"{path}: {error.strerror}: name another file with --output") from None


def main() -> None:
    """Write the sentences.

    Raises:
        ColaError: There are none, or the file cannot be written.
    """
    parser = argparse.ArgumentParser(
        description="Low-confidence predictions for a person to label."
    )
    parser.add_argument("--count", type=int, default=100, help="how many sentences")
    parser.add_argument("--since", default="7d", help="how far back: 24h, 7d")
    parser.add_argument(
        "--log", type=Path, help="read this JSONL log file instead of Elasticsearch"
    )
    parser.add_argument("--output", type=Path, required=True, help="the TSV to write")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    if arguments.count < 1:
        raise ColaError(f"--count {arguments.count}: give at least 1")

    since = datetime.now(UTC) - duration(arguments.since)
    if arguments.log:
        texts = from_log(arguments.log, since)
    else:
        texts = from_elasticsearch(Elastic.from_environment(), since)

    sentences = sample(texts, arguments.count, arguments.seed)
    if not sentences:
        raise ColaError(
            "no low-confidence text found: take a longer --since, and serve with LOG_TEXT=full"
        )

    write_rows(sentences, arguments.output)
    print(
        f"wrote {len(sentences)} sentences to {arguments.output}: "
        "replace each ? by 1 (acceptable) or 0"
    )


if __name__ == "__main__":
    run_command(main)
