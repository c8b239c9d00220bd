"""The traffic simulator: seeds, kinds and rates."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import pytest

from corpus.format import digest, read_folder
from drift.sentences import KINDS, read_sentences, sentences
from drift.simulate import Client, send_all, warn_of_another_corpus
from errors import ColaError
from tests.helpers.paths import ROOT

NORMAL = [
    f"The {noun} {verb} on the bench."
    for noun in ("boy", "dog", "girl")
    for verb in ("sits", "sleeps")
]


class Api:
    """Answers POST /predict and remembers what came when; refuses a sentence that says so.

    GET /model names the corpus of ``corpus``.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[float, str, str | None]] = []
        self.corpus = ""
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["sentence"]
                api.seen.append((time.monotonic(), text, self.headers["x-api-key"]))
                self.send_response(400 if text == "refuse" else 200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def do_GET(self) -> None:
                model = {"lineage": {"corpus": {"name": "mine", "sha256": api.corpus}}}
                body = json.dumps(model).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.server.shutdown()
    api.server.server_close()
    api.thread.join()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_sentences(kind: str) -> None:
    def first(seed: int) -> list[str]:
        return list(islice(sentences(kind, NORMAL, seed), 50))

    assert first(1) == first(1)
    assert first(1) != first(2)
    assert all(text.strip() for text in first(1))


def test_each_kind_is_what_it_says() -> None:
    assert set(islice(sentences("normal", NORMAL), 6)) == set(NORMAL)
    shuffled = list(islice(sentences("shuffled", NORMAL), 6))
    bags = {tuple(sorted(text.rstrip(".").split())) for text in NORMAL}
    assert {tuple(sorted(text.split())) for text in shuffled} <= bags
    assert not set(shuffled) & set(NORMAL)
    assert min(len(text.split()) for text in islice(sentences("long", NORMAL), 20)) >= 36
    other = set(islice(sentences("language", NORMAL), 500))
    assert len(other) > 300
    assert any("ü" in text for text in other)
    assert any("[" in text for text in islice(sentences("domain", NORMAL), 5))


def test_the_corpus_gives_the_normal_sentences() -> None:
    found = read_sentences(ROOT / "corpus")
    assert len(found) > 500
    assert all("\t" not in text for text in found)


def test_a_folder_without_a_corpus_says_so(tmp_path: Path) -> None:
    with pytest.raises(ColaError, match="--corpus"):
        read_sentences(tmp_path)


def test_requests_arrive_once_at_the_rate_asked_for(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server does not mind a line break at the end of its own.
    monkeypatch.setenv("API_KEY", "k\n")
    times = send_all(Client(api.url), sentences("normal", NORMAL), count=40, rate=80)
    assert len(times) == len(api.seen) == 40
    assert None not in times
    assert {key for _, _, key in api.seen} == {"k"}
    assert max(at for at, _, _ in api.seen) - min(at for at, _, _ in api.seen) > 0.3


def test_a_model_of_another_corpus_is_told_apart(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ROOT / "corpus"
    api.corpus = digest(read_folder(own))
    with closing(Client(api.url)) as client:
        warn_of_another_corpus(client, own)
        warn_of_another_corpus(Client("http://127.0.0.1:1"), own)
        assert capsys.readouterr().err == ""

        api.corpus = "another"
        warn_of_another_corpus(client, own)
    assert "give its corpus's folder with --corpus" in capsys.readouterr().err


def test_refusals_and_a_dead_api_count_as_failed(api: Api) -> None:
    assert send_all(Client(api.url), iter(["refuse", "fine"]), 2, 100)[0] is None
    assert Client("http://127.0.0.1:1").send("anyone?") is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--url", "http://127.0.0.1:1", "--count", "2"], "answered none of 2 requests"),
        (["--url", "ftp://x"], "not an http(s) URL"),
        (["--url", "http://127.0.0.1:80a"], "not an http(s) URL"),
        (["--rate", "0"], "more than 0 requests a second"),
        (["--count", "-1"], "-1 sentences"),
        (["--seconds", "0"], "0 sentences"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str) -> None:
    command = [sys.executable, "-m", "drift.simulate", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
