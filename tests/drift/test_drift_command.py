"""`python -m drift` and `drift.label` as commands: exit codes, what is written, bad input."""

import json
import resource
import sys
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from commands.run import run_command
from corpus.format import read_file
from drift import __main__ as drift
from drift import dispatch, label
from drift.log_files import LogRecord
from errors import ColaError
from monitoring.elastic import Elastic
from monitoring.reference import ReferenceModel
from tests.helpers.drift_data import END, HOUR, REFERENCE, VALIDATION, population, record
from tests.helpers.net import free_port
from tests.helpers.servers import FaultyProxy, search


@pytest.fixture(autouse=True)
def reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReferenceModel, "of", classmethod(lambda cls, path: REFERENCE))


def write_log(path: Path, drifted: bool, count: int = 400) -> Path:
    """Write two windows of an hour before END, and one record from long before them."""
    change: dict[str, Any] = {"shift": 0.3, "length": 25.0} if drifted else {}
    early = json.dumps(record(VALIDATION[0], END - 100 * HOUR)) + "\n"
    lines = [
        json.dumps(record(item, END - (part + 0.5) * HOUR)) + "\n"
        for part in (1, 0)
        for item in islice(population(part + 5, **change), count)
    ]
    path.write_text(early + "".join(lines), encoding="utf-8")
    return path


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command; return its exit code."""
    # Where a person has set it, run_command catches nothing.
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr(
        sys, "argv", ["drift", "--window", "1h", "--until", END.isoformat(), *arguments]
    )
    with pytest.raises(SystemExit) as stopped:
        run_command(drift.main)
    return int(stopped.value.code or 0)


@pytest.mark.parametrize(("drifted", "code"), [(False, 0), (True, 3)])
def test_the_exit_code_of_a_log_file(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    drifted: bool,
    code: int,
) -> None:
    log = write_log(tmp_path / "predictions.jsonl", drifted)
    assert command(monkeypatch, "--log", str(log)) == code
    printed = capsys.readouterr().out
    assert f"verdict: {'alarm' if drifted else 'ok'}" in printed
    assert "score_psi" in printed


def test_too_few_predictions_cannot_tell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = write_log(tmp_path / "predictions.jsonl", drifted=True, count=20)
    assert command(monkeypatch, "--log", str(log)) == 2
    error = capsys.readouterr().err
    assert "error: cannot tell: 20 predictions by 0123456789ab in the window, 200 needed" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--log", "missing.jsonl"], "missing.jsonl: No such file or directory"),
        (["--window", "soon", "--log", "x"], "'soon' is not a time span"),
        (["--until", "today", "--log", "x"], "'today' is not an ISO 8601 time"),
        (["--window", "9999999999d", "--log", "x"], "'9999999999d' is not a time span"),
        (["--window", "900000d", "--log", "x"], "'900000d' is not a time span"),
        (["--min-sample", "0", "--log", "x"], "--min-sample 0: give at least 1"),
        ([], "set ELASTICSEARCH_URL"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.delenv("ELASTICSEARCH_URL", raising=False)
    assert command(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("repository", "token", "message"),
    [
        ("owner/repo", "", "set GITHUB_TOKEN"),
        ("repo", "a-token", "--dispatch repo: give OWNER/REPO"),
        ("https://github.com/owner/repo", "a-token", "give OWNER/REPO"),
    ],
)
def test_a_dispatch_that_would_fail_is_refused_before_there_is_an_alarm(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    repository: str,
    token: str,
    message: str,
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", token)
    log = write_log(tmp_path / "predictions.jsonl", drifted=False)
    assert command(monkeypatch, "--log", str(log), "--dispatch", repository) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert "verdict" not in printed.out


def index_predictions(server: Elastic, folder: Path, drifted: bool = True) -> None:
    """Put the two windows of ``write_log`` into Elasticsearch."""
    lines = write_log(folder / "predictions.jsonl", drifted).read_text(encoding="utf-8")
    action = '{"create": {"_index": "cwl-2026.11.21"}}'
    body = "".join(f"{action}\n{line}\n" for line in lines.splitlines())
    server.request(
        "POST", "/_bulk?refresh=true", body.encode(), content_type="application/x-ndjson"
    )


def drift_document(server: Elastic) -> Any:
    """Return the one document that the check has written."""
    (hit,) = search(server, {}, "drift-*")["hits"]["hits"]
    assert hit["_index"] == "drift-2026.11"
    return hit["_source"]


def test_a_check_of_elasticsearch_is_written_for_the_dashboard(
    monkeypatch: pytest.MonkeyPatch, server: Elastic, tmp_path: Path
) -> None:
    index_predictions(server, tmp_path)
    monkeypatch.setenv("ELASTICSEARCH_URL", server.url)

    for _ in range(2):  # a second check of the same moment replaces the first
        assert command(monkeypatch) == 3
    source = drift_document(server)
    assert source["alarm"] is True
    assert source["dispatched"] is False
    assert source["window"]["count"] == 400
    assert source["metrics"]["score_psi"] > 0.25


def test_checks_of_two_windows_that_end_together_are_both_kept(
    monkeypatch: pytest.MonkeyPatch, server: Elastic, tmp_path: Path
) -> None:
    """As at midnight, when the check of the hour and that of the day run."""
    index_predictions(server, tmp_path)
    monkeypatch.setenv("ELASTICSEARCH_URL", server.url)

    command(monkeypatch)
    command(monkeypatch, "--window", "24h")
    assert search(server, {}, "drift-*")["hits"]["total"]["value"] == 2


@pytest.mark.parametrize(("before", "is_said"), [(0, True), (400, False)])
def test_drift_that_nothing_can_confirm_says_so(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    before: int,
    is_said: bool,
) -> None:
    """As every day with RETENTION_DAYS=1: the day before is deleted, and no alarm can fire."""
    log = tmp_path / "predictions.jsonl"
    lines = [record(VALIDATION[0], END - 100 * HOUR)]
    lines += [record(item, END - 1.5 * HOUR) for item in VALIDATION[:before]]
    drifted = islice(population(5, shift=0.3, length=25.0), 400)
    lines += [record(item, END - 0.5 * HOUR) for item in drifted]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    assert command(monkeypatch, "--log", str(log)) == 0
    printed = capsys.readouterr().out
    assert "verdict: drift" in printed
    assert ("no alarm: the window before" in printed) == is_said


# What fails beside the check


def test_an_alarm_is_told_and_written_though_github_cannot_be_asked(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    server: Elastic,
    tmp_path: Path,
) -> None:
    index_predictions(server, tmp_path)
    monkeypatch.setenv("ELASTICSEARCH_URL", server.url)
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("GITHUB_TOKEN", "a-token")
    page = tmp_path / "drift.html"

    assert command(monkeypatch, "--dispatch", "owner/repo", "--html", str(page)) == 3
    error = capsys.readouterr().err
    assert error.startswith("error: no retraining run: ")
    assert error.count("\n") == 1

    source = drift_document(server)
    assert source["alarm"] is True
    assert source["dispatched"] is False
    assert page.exists()


def test_an_alarm_is_told_though_the_document_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    server: Elastic,
    proxy: FaultyProxy,
    tmp_path: Path,
) -> None:
    index_predictions(server, tmp_path)
    proxy.fault = lambda path, body: (403, b"{}") if path.startswith("/drift-") else body
    monkeypatch.setenv("ELASTICSEARCH_URL", proxy.url)

    assert command(monkeypatch) == 3
    assert "HTTP 403" in capsys.readouterr().err


@pytest.mark.parametrize(("drifted", "code"), [(False, 2), (True, 3)])
def test_a_page_that_cannot_be_written_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    drifted: bool,
    code: int,
) -> None:
    log = write_log(tmp_path / "predictions.jsonl", drifted)
    # Its folder is a file.
    page = log / "drift.html"
    assert command(monkeypatch, "--log", str(log), "--html", str(page)) == code
    error = capsys.readouterr().err
    assert error.startswith(f"error: {page}: ")
    assert error.endswith("choose another file with --html\n")
    assert error.count("\n") == 1


# What a check starts and writes


def test_only_drift_that_retraining_can_mend_starts_a_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sent: list[str] = []
    monkeypatch.setenv("GITHUB_TOKEN", "a-token")
    monkeypatch.setattr(
        dispatch, "ask_for_retraining", lambda repository, verdict: sent.append(repository)
    )
    log = write_log(tmp_path / "predictions.jsonl", drifted=True)
    arguments = ("--log", str(log), "--dispatch", "owner/repo")
    assert command(monkeypatch, *arguments) == 3
    assert sent == ["owner/repo"]
    other = tmp_path / "other.jsonl"
    at = (END - 100 * HOUR, END - 1.5 * HOUR, END - HOUR / 2)
    lines = [
        json.dumps(record(item, moment, "ffffffffffff"))
        for moment in at
        for item in VALIDATION[:300]
    ]
    other.write_text("\n".join(lines), encoding="utf-8")
    assert command(monkeypatch, "--log", str(other), "--dispatch", "owner/repo") == 3
    assert sent == ["owner/repo"]


def test_the_report_is_one_page_without_links(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = write_log(tmp_path / "predictions.jsonl", drifted=True)
    page = tmp_path / "deep" / "drift.html"
    assert command(monkeypatch, "--log", str(log), "--html", str(page)) == 3
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 1
    assert '<td class="drift">drift</td>' in text
    assert "<script" not in text
    assert 'src="http' not in text


# Texts for a person to label


def label_command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["label", *arguments])
    label.main()


def low_confidence_records(count: int) -> list[LogRecord]:
    now = datetime.now(UTC) - timedelta(minutes=1)
    lines = [record(item, now) for item in VALIDATION[: 2 * count]]
    for number, line in enumerate(lines):
        line["prediction"]["score"] = 0.55 if number % 2 else 0.9
        line["text"] = f"low\tconfidence\n{number // 4}" if number % 2 else f"sure {number}"
    return lines


def test_low_confidence_texts_become_rows_that_a_person_must_decide(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Elastic
) -> None:
    lines = low_confidence_records(40)
    log = tmp_path / "predictions.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    index = f"cwl-{datetime.now(UTC):%Y.%m.%d}"
    body = "".join(f'{{"create": {{"_index": "{index}"}}}}\n{json.dumps(line)}\n' for line in lines)
    server.request(
        "POST", "/_bulk?refresh=true", body.encode(), content_type="application/x-ndjson"
    )
    monkeypatch.setenv("ELASTICSEARCH_URL", server.url)
    one, two = tmp_path / "log.tsv", tmp_path / "server.tsv"
    label_command(monkeypatch, "--log", str(log), "--output", str(one))
    label_command(monkeypatch, "--output", str(two))
    rows = one.read_text(encoding="utf-8").splitlines()
    assert len(rows) == 20  # each text came twice
    assert all(row.startswith("live\t?\t\tlow confidence ") for row in rows)
    assert sorted(two.read_text(encoding="utf-8").splitlines()) == sorted(rows)
    three = tmp_path / "deep" / "few.tsv"
    label_command(monkeypatch, "--log", str(log), "--output", str(three), "--count", "5")
    assert len(three.read_text(encoding="utf-8").splitlines()) == 5


@pytest.fixture
def uncertain_log(tmp_path: Path) -> Path:
    path = tmp_path / "predictions.jsonl"
    lines = [json.dumps(line) + "\n" for line in low_confidence_records(4)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def test_rows_that_a_person_has_labelled_are_not_written_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uncertain_log: Path
) -> None:
    output = tmp_path / "to_label.tsv"
    output.write_text("live\t1\t\tHours of work.\n", encoding="utf-8")
    with pytest.raises(ColaError, match=r"to_label\.tsv: File exists: name another"):
        label_command(monkeypatch, "--log", str(uncertain_log), "--output", str(output))
    assert output.read_text(encoding="utf-8") == "live\t1\t\tHours of work.\n"


def test_a_disk_that_is_full_keeps_no_half_of_the_rows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uncertain_log: Path
) -> None:
    """A file that is there would be left alone the next time."""
    output = tmp_path / "labels" / "to_label.tsv"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(ColaError, match=r"to_label\.tsv: File too large: name another"):
            label_command(monkeypatch, "--log", str(uncertain_log), "--output", str(output))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize("count", ["0", "-1"])
def test_a_count_of_no_sentences_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uncertain_log: Path, count: str
) -> None:
    arguments = ("--output", str(tmp_path / "to_label.tsv"), "--count", count)
    with pytest.raises(ColaError, match=f"--count {count}: give at least 1"):
        label_command(monkeypatch, "--log", str(uncertain_log), *arguments)


def test_the_corpus_loader_refuses_a_row_that_nobody_decided(tmp_path: Path) -> None:
    path = tmp_path / "in_domain_train.tsv"
    path.write_text("live\t?\t\tA sentence.\n", encoding="utf-8")
    with pytest.raises(ColaError, match=r"in_domain_train\.tsv:1"):
        read_file(path)


def test_hashed_texts_cannot_be_labelled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    line = low_confidence_records(2)[1] | {"text": "sha256:" + 64 * "0"}
    log = tmp_path / "predictions.jsonl"
    log.write_text(json.dumps(line) + "\n", encoding="utf-8")
    with pytest.raises(ColaError, match="LOG_TEXT=full"):
        label_command(monkeypatch, "--log", str(log), "--output", str(tmp_path / "x.tsv"))
