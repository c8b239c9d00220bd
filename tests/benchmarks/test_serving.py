"""A server that answers wrongly is not timed, and one that fails under load has no speed."""

import json
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from benchmarks import scaling, serving
from benchmarks.server_process import Running, agreement, load
from benchmarks.servers import own, servers

SENTENCES = [f"Sentence {number}." for number in range(50)]
LABELS = ["acceptable"] * 50


def started(port: int = 0) -> Running:
    """Return a server of ours that this process stands for."""
    return Running(own("int8", Path("model.onnx")), port, psutil.Process(), 0.1)


def answer(server: HTTPServer, *, wrong: int = 0, status: int = 200) -> Running:
    """Let a server answer, with the wrong label to the first sentences."""

    def respond(request: Request) -> Response:
        is_wrong = request.get_json()["sentence"] in SENTENCES[:wrong]
        label = "unacceptable" if is_wrong else "acceptable"
        return Response(json.dumps({"prediction": {"label": label}}), status)

    server.expect_request("/predict").respond_with_handler(respond)
    return started(server.port)


def test_a_label_or_two_may_be_turned_by_int8(httpserver: HTTPServer) -> None:
    assert agreement(answer(httpserver, wrong=2), SENTENCES, LABELS) == 0.96


def test_a_server_that_gives_other_labels_is_not_timed(httpserver: HTTPServer) -> None:
    with pytest.raises(SystemExit, match="ours_int8 gives 94% of the model's labels"):
        agreement(answer(httpserver, wrong=3), SENTENCES, LABELS)


def test_a_server_that_refuses_is_not_timed(httpserver: HTTPServer) -> None:
    with pytest.raises(SystemExit, match="ours_int8: HTTP Error 503"):
        agreement(answer(httpserver, status=503), SENTENCES, LABELS)


@pytest.mark.parametrize("measure", [load, scaling.measure_load])
def test_errors_under_load_are_no_requests_per_second(
    measure: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = {"requests": 900, "seconds": 1, "p50_ms": 1, "p99_ms": 2, "errors": 7}
    wrk = tmp_path / "wrk"
    wrk.write_text(f"#!/bin/sh\necho '{json.dumps(measured)}'\n")
    wrk.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    with pytest.raises(SystemExit, match="ours_int8 failed 7 times under 32 clients"):
        measure(started(), 32, 1, tmp_path / "requests")


def test_servers_are_named_by_how_they_begin() -> None:
    everything = servers(Path("int8.onnx"), Path("fp32.onnx"), Path("weights"))
    names = [server.name for server in serving.choose(everything, "ours_int8,bentoml")]
    assert names == ["ours_int8", "bentoml_workers", "bentoml_batches"]
    assert serving.choose(everything, "") == everything

    with pytest.raises(SystemExit, match="there is no server bentml, but ours_int8, "):
        serving.choose(everything, "ours_int8,bentml")


def test_peers_get_the_weights_of_this_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lineage = SimpleNamespace(checkpoint_sha256=sha256(b"first").hexdigest())
    predictor = SimpleNamespace(info=SimpleNamespace(lineage=lineage))
    monkeypatch.setattr(serving, "ColaONNXPredictor", lambda path: predictor)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: None)
    options = serving.Options(
        checkpoint=tmp_path / "checkpoint", model=tmp_path / "model.onnx", work=tmp_path
    )

    options.checkpoint.write_bytes(b"first")
    first = serving.prepare_weights(options)
    # New training: our int8 file is still of the last checkpoint, until it is exported.
    options.checkpoint.write_bytes(b"second")
    with pytest.raises(SystemExit, match=r"make it with convert_model_to_onnx.py"):
        serving.prepare_weights(options)
    lineage.checkpoint_sha256 = sha256(b"second").hexdigest()
    assert serving.prepare_weights(options) != first
