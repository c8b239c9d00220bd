"""How fast the log forwarder is on one core: a subscription event in, bulk request bodies out.

    python benchmarks/forwarder.py                          # writes benchmarks/results/forwarder.json

Measured is all that the forwarder does except waiting for the network: base64, gzip, JSON, finding the fields
in each message, making the documents and the bulk body. Two contestants take turns in one run: ours, and the
same steps in the plainest Python (parse, update, dump, nothing cached). Memory is the peak that one batch of
10,000 events adds to the process, by tracemalloc.
"""

import argparse
import base64
import gzip
import json
import os
import platform
import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from monitoring.forwarder import to_documents
from monitoring.log_events import CloudWatchLogsEvent, LogEvent, decode, encode

WORDS = (
    "the",
    "a",
    "boy",
    "girl",
    "dog",
    "bench",
    "river",
    "teacher",
    "letter",
    "who",
    "has",
    "was",
    "will",
)
RESULT = Path(__file__).parent / "results" / "forwarder.json"


def record(random_: random.Random, milliseconds: int) -> dict[str, Any]:
    """A prediction log line as design.md describes it."""
    words = random_.choices(WORDS, k=random_.randint(4, 18))
    text = " ".join(words).capitalize() + "."
    acceptable = random_.betavariate(3, 1.5)
    return {
        "@timestamp": datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(),
        "event": "prediction",
        "text": text,
        "prediction": {
            "label": "acceptable" if acceptable >= 0.5 else "unacceptable",
            "score": max(acceptable, 1 - acceptable),
            "probability_acceptable": acceptable,
        },
        "model": {"name": "minilm", "version": "0123456789ab"},
        "input": {
            "characters": len(text),
            "tokens": len(words) + 3,
            "unknown_tokens": 0,
            "truncated": False,
        },
        "latency_ms": round(random_.expovariate(0.4), 3),
        "request_id": f"{random_.getrandbits(128):032x}",
        "service": "lambda",
        "cold_start": False,
    }


def batch(events: int, seed: int = 0) -> CloudWatchLogsEvent:
    """A subscription event with `events` log events, predictions between START and REPORT lines (1 in 5)."""
    random_ = random.Random(seed)
    start = 1_790_000_000_000
    log_events: list[LogEvent] = []
    for number in range(events):
        at = start + 37 * number
        noise = number % 5 == 4
        message = (
            f"START RequestId: {number}\n" if noise else json.dumps(record(random_, at)) + "\n"
        )
        log_events.append({"id": f"{10**55 + number}", "timestamp": at, "message": message})
    return encode(
        {
            "messageType": "DATA_MESSAGE",
            "owner": "123456789012",
            "logGroup": "/aws/lambda/cola",
            "logStream": "2026/11/21/[1]0123456789abcdef",
            "subscriptionFilters": ["predictions"],
            "logEvents": log_events,
        }
    )


def ours(event: CloudWatchLogsEvent) -> int:
    """Bytes of the bulk body that the forwarder makes of `event`."""
    return len(b"".join(document.action() for document in to_documents(decode(event))))


def plain(event: CloudWatchLogsEvent) -> int:
    """The same documents, each step in the plainest way."""
    payload = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    lines = []
    for log_event in payload["logEvents"]:
        start = log_event["message"].find("{")
        fields = json.loads(log_event["message"][start:]) if start >= 0 else {}
        if "prediction" not in fields:
            continue
        at = datetime.fromtimestamp(log_event["timestamp"] / 1000, UTC)
        fields |= {
            "@id": log_event["id"],
            "@timestamp": at.isoformat(timespec="milliseconds"),
            "@message": log_event["message"],
            "@owner": payload["owner"],
            "@log_group": payload["logGroup"],
            "@log_stream": payload["logStream"],
        }
        lines.append(
            json.dumps({"create": {"_index": at.strftime("cwl-%Y.%m.%d"), "_id": log_event["id"]}})
        )
        lines.append(json.dumps(fields))
    return len("\n".join(lines).encode())


def seconds(function: Callable[[CloudWatchLogsEvent], int], event: CloudWatchLogsEvent) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    function(event)
    return time.process_time() - start


def main() -> None:
    """Run the benchmark and print one JSON document as the last line."""
    parser = argparse.ArgumentParser(
        description="Events per second of the log forwarder on one core."
    )
    parser.add_argument("--events", type=int, default=10_000, help="log events in a batch")
    parser.add_argument("--rounds", type=int, default=15, help="batches that each contestant does")
    arguments = parser.parse_args()
    event = batch(arguments.events)
    times: dict[str, list[float]] = {"ours": [], "plain": []}
    for round_ in range(arguments.rounds + 1):
        for name, function in (("ours", ours), ("plain", plain)):
            taken = seconds(function, event)
            if round_ > 0:  # the first warms up
                times[name].append(taken)
    tracemalloc.start()
    ours(event)
    peak = tracemalloc.get_traced_memory()[1]
    rates = {
        name: round(arguments.events / statistics.median(values)) for name, values in times.items()
    }
    result = {
        "benchmark": "forwarder",
        "events_per_second": rates,
        "ratio_to_plain": round(rates["ours"] / rates["plain"], 2),
        "batch_events": arguments.events,
        "batch_kilobytes_packed": len(event["awslogs"]["data"]) // 1024,
        "peak_megabytes_a_batch": round(peak / 2**20, 1),
        "rounds": arguments.rounds,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    print(
        f"{rates['ours']:,} events/s, {result['peak_megabytes_a_batch']} MB for {arguments.events:,} events"
    )
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
