"""Chapter 11: send traffic to an API, what the model knows or something else.

    python -m drift.simulate --kind normal --count 500 --rate 50
    python -m drift.simulate --kind language --seconds 60 --url http://127.0.0.1:8000

Kinds: ``normal`` (the validation sentences of --corpus), and drifted ones: ``domain`` (log lines
and tickets), ``shuffled`` (the normal words in another order), ``long`` (paragraphs), ``language``
(German, Spanish, French). The same seed sends the same sentences. Reads --corpus (CoLA's format),
and warns if the model that answers was validated on another one: to it, all of this is drift.
API_KEY from the environment is sent as ``x-api-key``. The demo and the tests use it.
"""

import argparse
import http.client
import itertools
import json
import os
import statistics
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from commands.run import run_command
from corpus.format import digest, read_folder
from drift.sentences import KINDS, read_sentences, sentences
from errors import ColaError, CorpusError

CLIENTS = 16


class Client:
    """Posts sentences to an API, over one kept-alive connection per thread."""

    def __init__(self, url: str) -> None:
        try:
            parts = urllib.parse.urlsplit(url)
            # A port that is no number is refused only where it is asked for.
            is_url = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            is_url = False
        if not is_url:
            raise ColaError(f"{url!r} is not an http(s) URL: give the API's with --url")

        is_secure = parts.scheme == "https"
        self._connect = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
        self._host, self._root = parts.netloc, parts.path.rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if key := os.environ.get("API_KEY", "").strip():
            self._headers["x-api-key"] = key

        self._threads = threading.local()
        self._connections: list[http.client.HTTPConnection] = []

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in self._connections:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._threads, "connection"):
            self._threads.connection = self._connect(self._host, timeout=30)
            self._connections.append(self._threads.connection)
        connection: http.client.HTTPConnection = self._threads.connection
        return connection

    def send(self, sentence: str) -> float | None:
        """Return the milliseconds until the answer; None if it was no success."""
        connection = self._connection()
        start = time.perf_counter()
        try:
            connection.request(
                "POST",
                f"{self._root}/predict",
                json.dumps({"sentence": sentence}),
                self._headers,
            )
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return None

        return (time.perf_counter() - start) * 1000 if response.status == 200 else None

    def validated_on(self) -> str | None:
        """Return the digest of the corpus that is normal to the model; None if it does not tell."""
        connection = self._connection()
        try:
            connection.request("GET", f"{self._root}/model", headers=self._headers)
            lineage = json.loads(connection.getresponse().read())["lineage"]
            corpus = lineage.get("validated_on") or lineage["corpus"]
            return str(corpus["sha256"])
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            connection.close()
            return None


def warn_of_another_corpus(client: Client, folder: Path) -> None:
    """Say in one line if the model that answers was validated on another corpus than this one."""
    try:
        own = digest(read_folder(folder))
    except CorpusError:
        # The validation files alone do not tell which corpus it is.
        return

    if client.validated_on() not in (None, own):
        print(
            f"warning: the model that answers was validated on another corpus than {folder}: "
            "even normal sentences are drift to it; give its corpus's folder with --corpus",
            file=sys.stderr,
        )


def send_all(client: Client, stream: Iterator[str], count: int, rate: float) -> list[float | None]:
    """Send sentences at an even rate.

    Args:
        client: What sends them.
        stream: The sentences.
        count: How many.
        rate: How many per second.

    Returns:
        The milliseconds that each answer took, None for each that failed.
    """
    # By the clock and not by pauses, which would add up with the answers.
    start = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        waiting = []
        for number, sentence in enumerate(itertools.islice(stream, count)):
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
            waiting.append(pool.submit(client.send, sentence))
        times = [future.result() for future in waiting]

    client.close()
    return times


def main() -> None:
    """Send the sentences, and print how long the answers took.

    Raises:
        ColaError: An argument is wrong, or nothing was answered.
    """
    parser = argparse.ArgumentParser(description="Send traffic to an API.")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--kind", choices=KINDS, default="normal")
    parser.add_argument("--rate", type=float, default=50.0, help="requests per second")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--count", type=int, default=500, help="how many sentences")
    length.add_argument("--seconds", type=float, help="how long, instead of --count")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--corpus", type=Path, default=Path("corpus"), help="where normal sentences come from"
    )
    arguments = parser.parse_args()

    if arguments.rate <= 0:
        raise ColaError(f"--rate {arguments.rate}: give more than 0 requests a second")

    seconds = arguments.seconds
    count = arguments.count if seconds is None else round(seconds * arguments.rate)
    if count < 1:
        raise ColaError(f"{count} sentences: give a --count or --seconds of at least one")

    stream = sentences(arguments.kind, read_sentences(arguments.corpus), arguments.seed)
    client = Client(arguments.url)
    warn_of_another_corpus(client, arguments.corpus)
    times = send_all(client, stream, count, arguments.rate)

    answered = sorted(taken for taken in times if taken is not None)
    if not answered:
        raise ColaError(
            f"{arguments.url} answered none of {count} requests: is the API up, is API_KEY set?"
        )

    p50, p99 = statistics.median(answered), answered[int(0.99 * (len(answered) - 1))]
    failed = count - len(answered)
    print(f"{arguments.kind}: sent {count}, failed {failed}, p50 {p50:.1f} ms, p99 {p99:.1f} ms")


if __name__ == "__main__":
    run_command(main)
