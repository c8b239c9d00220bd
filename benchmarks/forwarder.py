"""How fast the log forwarder is on one core: a subscription event in, bulk request bodies out.

    python -m benchmarks.forwarder

Measured is all that the forwarder does except waiting for the network: base64, gzip, JSON, finding
the fields in each message, making the documents and the bulk body. Two ways take turns in one run:
the forwarder, and the same steps in the plainest Python (parse, update, dump, nothing cached).
Memory is the peak that one batch adds to the process, by tracemalloc. The last line of output is
one JSON document, which is also written to benchmarks/results/forwarder.json.
"""

import argparse
import base64
import gzip
import json
import os
import platform
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

from benchmarks import results
from benchmarks.documents import Forwarder
from monitoring.forwarder import to_documents
from monitoring.log_events import CloudWatchLogsEvent, LogEvent, decode, encode

WORDS = (
    *("the", "a", "boy", "girl", "dog", "bench", "river"),
    *("teacher", "letter", "who", "has", "was", "will"),
)
EVENTS, ROUNDS = 10_000, 15
START_MS = 1_790_000_000_000
NOISE_EVERY = 5
"""One log event in this many is not a prediction but Lambda's own START line."""


def main() -> None:
    """Measure both ways in turn; print and record the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=EVENTS, help="log events per batch")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="batches that each way does")
    arguments = parser.parse_args()
    results.refuse_trial(arguments.events < EVENTS or arguments.rounds < ROUNDS)

    event = make_event(arguments.events)
    ways = {"ours": bulk_bytes, "plain": bulk_bytes_plainly}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(arguments.rounds + 1):
        for name, way in ways.items():
            taken = cpu_seconds(way, event)
            # The first round warms up.
            if number > 0:
                seconds[name].append(taken)

    rates = {
        name: round(arguments.events / statistics.median(taken)) for name, taken in seconds.items()
    }
    # Round by round: a slow minute of the machine hits both ways.
    ratios = [plain / ours for ours, plain in zip(*seconds.values(), strict=True)]
    # Apart from the rounds, because tracemalloc slows what it traces.
    megabytes = peak_megabytes(bulk_bytes, event)
    print(f"{rates['ours']:,} events/s, {megabytes} MB for {arguments.events:,} events")

    result: Forwarder = {
        "events_per_second": rates,
        "ratio_to_plain": round(statistics.median(ratios), 2),
        "batch_events": arguments.events,
        "batch_kilobytes_packed": len(event["awslogs"]["data"]) // 1024,
        "peak_megabytes_a_batch": megabytes,
        "rounds": arguments.rounds,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    results.record("forwarder", result)


def make_event(count: int) -> CloudWatchLogsEvent:
    """Return a subscription event with ``count`` log events."""
    rng = random.Random(0)
    log_events: list[LogEvent] = []
    for number in range(count):
        milliseconds = START_MS + 37 * number
        if number % NOISE_EVERY == NOISE_EVERY - 1:
            message = f"START RequestId: {number}\n"
        else:
            message = log_line(rng, milliseconds)
        event_id = f"{10**55 + number}"
        log_events.append({"id": event_id, "timestamp": milliseconds, "message": message})

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


def log_line(rng: random.Random, milliseconds: int) -> str:
    """Return a line as ``serving/prediction_log.py`` writes it for one prediction."""
    words = rng.choices(WORDS, k=rng.randint(4, 18))
    text = " ".join(words).capitalize() + "."
    acceptable = rng.betavariate(3, 1.5)

    record = {
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
        "latency_ms": round(rng.expovariate(0.4), 3),
        "request_id": f"{rng.getrandbits(128):032x}",
        "service": "lambda",
        "cold_start": False,
    }
    return json.dumps(record) + "\n"


def bulk_bytes(event: CloudWatchLogsEvent) -> int:
    """Return the length of the bulk body that the forwarder makes of an event."""
    return len(b"".join(document.action() for document in to_documents(decode(event))))


def bulk_bytes_plainly(event: CloudWatchLogsEvent) -> int:
    """Return the length of a bulk body of the same documents, each step in the plainest way."""
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
        action = {"create": {"_index": at.strftime("cwl-%Y.%m.%d"), "_id": log_event["id"]}}
        lines += [json.dumps(action), json.dumps(fields)]

    return len("\n".join(lines).encode())


def cpu_seconds(
    function: Callable[[CloudWatchLogsEvent], int], event: CloudWatchLogsEvent
) -> float:
    """Return the CPU seconds of one call."""
    # CPU time: other processes of the machine do not count.
    start = time.process_time()
    function(event)
    return time.process_time() - start


def peak_megabytes(
    function: Callable[[CloudWatchLogsEvent], int], event: CloudWatchLogsEvent
) -> float:
    """Return the most memory that one call holds at a time."""
    tracemalloc.start()
    function(event)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return round(peak / 2**20, 1)


if __name__ == "__main__":
    main()
