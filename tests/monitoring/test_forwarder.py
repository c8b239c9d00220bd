"""What the forwarder makes of a subscription event: of single messages, and of whole events."""

import base64
import gzip
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from errors import PayloadError
from monitoring import log_events
from monitoring.elastic import Elastic
from monitoring.forwarder import forward, to_documents
from monitoring.log_events import CloudWatchLogsEvent, decode, encode
from monitoring.log_messages import extract
from tests.helpers.paths import ROOT
from tests.helpers.servers import search
from tests.helpers.subscription import (
    END,
    LINE,
    PREDICTION,
    REPORT,
    START,
    log_data,
    with_text,
)

PLATFORM_REPORT = json.dumps(
    {
        "time": "2026-11-21T11:00:00.000Z",
        "type": "platform.report",
        "record": {
            "requestId": "8f507cfc",
            "metrics": {
                "durationMs": 102.25,
                "billedDurationMs": 103,
                "memorySizeMB": 1024,
                "maxMemoryUsedMB": 180,
                "initDurationMs": 211.71,
            },
        },
    }
)

REPORTED = {
    "duration_ms": 102.25,
    "billed_ms": 103,
    "memory_mb": 1024,
    "max_memory_mb": 180,
    "init_ms": 211.71,
}

MEMORY_MB = 512
"""What infra/template.yaml gives the forwarder."""

JSON_FORMAT = {"timestamp": "2026-11-21T11:00:00Z", "level": "INFO"}
"""What Lambda's JSON log format adds to a message."""


# --- The JSON object in a message ------------------------------------------------------------


def json_format(message: object, **more: object) -> str:
    """Return Lambda's JSON log format around what the code logged."""
    return json.dumps({**JSON_FORMAT, "message": message, **more})


FOUND = {
    "a whole line": (LINE, PREDICTION),
    "a whole line with its newline": (LINE + "\n", PREDICTION),
    "over several lines": (json.dumps(PREDICTION, indent=2), PREDICTION),
    "after Lambda's text prefix": (
        f"[INFO]\t2026-11-21T11:00:00.123Z\t8f507cfc\t{LINE}\n",
        PREDICTION,
    ),
    "followed by text": (LINE + " took 3ms", PREDICTION),
    "after a brace": (f"state {{ready}} {{ {LINE}", PREDICTION),
    "after another object": ('{"warm": true} ' + LINE, PREDICTION),
    "the word prediction and braces in the sentence": (
        f"[INFO]\t{json.dumps(with_text('My {prediction} is {} {'))}",
        with_text("My {prediction} is {} {"),
    ),
    "JSON in the sentence": (json.dumps(with_text(LINE)), with_text(LINE)),
    "unicode": (
        json.dumps(with_text("Ünïcode ☃ 😀 שלום 文"), ensure_ascii=False),
        with_text("Ünïcode ☃ 😀 שלום 文"),
    ),
    "newlines, quotes and NUL in the sentence": (
        json.dumps(with_text('a\nb\r"c"\\\x00')),
        with_text('a\nb\r"c"\\\x00'),
    ),
    "JSON format, object": (
        json_format(PREDICTION),
        JSON_FORMAT | PREDICTION,
    ),
    "JSON format, string": (
        json_format(LINE),
        JSON_FORMAT | PREDICTION,
    ),
    "JSON format, string with a prefix": (
        json_format(f"predicted {LINE}"),
        JSON_FORMAT | PREDICTION,
    ),
    "JSON format, top level": (
        json_format("prediction", **PREDICTION),
        JSON_FORMAT | {"message": "prediction"} | PREDICTION,
    ),
    "a number too large": (
        '{"prediction": {"score": 1e999, "label": "acceptable"}, "latency_ms": -1e999}',
        {"prediction": {"score": None, "label": "acceptable"}, "latency_ms": None},
    ),
    "NaN is not JSON": (
        '{"prediction": {"score": NaN, "label": "acceptable"}}',
        {"prediction": {"score": None, "label": "acceptable"}},
    ),
}

NOT_FOUND = {
    "empty": "",
    "blank": " \n",
    "start": START,
    "end": END,
    "report": REPORT,
    "plain text with the word": "the prediction was made",
    "braces without JSON": "loading prediction {x} {y: 1} {",
    "truncated object": LINE[:-1],
    "a JSON array": json.dumps([PREDICTION])[1:3],
    "a thousand braces": '{"a":' * 1000,
    "a hundred thousand braces": '{"' * 100_000,
}  # fmt: skip


@pytest.mark.parametrize(("message", "fields"), FOUND.values(), ids=FOUND.keys())
def test_the_fields_of_the_json_in_a_message_are_found(
    message: str, fields: dict[str, Any]
) -> None:
    assert extract(message) == fields


@pytest.mark.parametrize("message", NOT_FOUND.values(), ids=NOT_FOUND.keys())
def test_a_message_without_a_json_object_has_no_fields(message: str) -> None:
    assert extract(message) is None


def test_json_inside_a_sentence_is_not_taken_for_a_prediction() -> None:
    message = json.dumps({"event": "request", "text": LINE})
    assert "prediction" not in (extract(message) or {})


# --- Documents -------------------------------------------------------------------------------


def test_a_document_holds_the_events_fields_over_the_messages_own() -> None:
    message = json.dumps({**PREDICTION, "@id": "forged", "@owner": "forged"})
    (document,) = to_documents(log_data(message))

    assert document.id == str(10**55)
    assert document.index == "cwl-2026.11.21"
    assert json.loads(document.source) == {
        **PREDICTION,
        "@id": str(10**55),
        "@timestamp": "2026-11-21T11:00:00.123Z",
        "@message": message,
        "@owner": "123456789012",
        "@log_group": "/aws/lambda/cola",
        "@log_stream": "2026/11/21/[1]0123",
    }


@pytest.mark.parametrize(
    ("moment", "index"),
    [
        (datetime(2026, 11, 21, 23, 59, 59, 999_000, UTC), "cwl-2026.11.21"),
        (datetime(2026, 11, 22, tzinfo=UTC), "cwl-2026.11.22"),
        (datetime(2024, 2, 29, 12, tzinfo=UTC), "cwl-2024.02.29"),
    ],
)
def test_the_index_is_the_utc_day_of_the_event(moment: datetime, index: str) -> None:
    (document,) = to_documents(log_data(LINE, at=round(moment.timestamp() * 1000)))
    assert document.index == index


def test_what_has_no_prediction_is_dropped_and_an_error_of_ours_is_kept() -> None:
    error = json.dumps(
        {"event": "error", "error": {"code": "too_long", "message": "..."}, "status": 413}
    )
    request = json.dumps({"event": "request"})
    documents = list(to_documents(log_data(START, LINE, error, request, END, REPORT)))

    assert [json.loads(document.source)["event"] for document in documents] == [
        "prediction",
        "error",
    ]


@pytest.mark.parametrize("message", [REPORT, PLATFORM_REPORT], ids=["text", "JSON"])
def test_report_lines_give_their_figures_when_everything_is_kept(message: str) -> None:
    start, report = to_documents(log_data(START, message), keep_all=True)
    assert "report" not in json.loads(start.source)
    assert json.loads(report.source)["report"] == REPORTED


def test_a_report_line_with_a_figure_that_is_none_holds_up_no_other_line() -> None:
    strange = REPORT.replace("211.71", "1.2.3")
    report, _ = to_documents(log_data(strange, LINE), keep_all=True)
    assert set(json.loads(report.source)["report"]) == set(REPORTED) - {"init_ms"}


@pytest.mark.parametrize(
    "fields",
    [
        {"error": "text"},
        {"model": "v1"},
        {"event": {"name": "x"}},
        {"input": 3},
        {"report": "none"},
    ],
)
def test_foreign_fields_cannot_have_a_document_refused(
    server: Elastic, fields: dict[str, Any]
) -> None:
    """They are named like ours and of other types: the line arrives as a message."""
    message = json.dumps({"level": "INFO", **fields})
    event, deadline = encode(log_data(message)), time.monotonic() + 20
    assert forward(event, server, deadline, keep_all=True)["forwarded"] == 1

    (hit,) = search(server, {})["hits"]["hits"]
    assert hit["_source"]["@message"] == message
    assert not set(hit["_source"]) & {"error", "model", "event", "input", "report"}


@pytest.mark.parametrize("end", [-1, -20, 120])
def test_a_line_of_ours_that_was_cut_is_not_dropped(end: int) -> None:
    (document,) = to_documents(log_data(LINE[:end]))
    source = json.loads(document.source)
    assert source["event"] == "unreadable"
    assert source["@message"] == LINE[:end]


FORWARD = """
import json, re, sys, time
from pathlib import Path
from monitoring.elastic import Elastic
from monitoring.forwarder import forward
forward(json.load(sys.stdin), Elastic(sys.argv[1]), time.monotonic() + 60, keep_all=True)
# Not ru_maxrss: a process inherits that of the one that started it.
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.parametrize("characters", [200, 200_000], ids=["small lines", "large lines"])
def test_the_largest_payload_fits_into_the_functions_memory(
    httpserver: HTTPServer, characters: int
) -> None:
    httpserver.expect_request("/_bulk").respond_with_json({"errors": False})

    line = json.dumps(with_text("x" * characters))
    # About as many as the limit allows; an event's other fields take 120 bytes.
    count = log_events.MAX_PAYLOAD_BYTES // (len(json.dumps(line)) + 120)
    event = encode(log_data(*[line] * count))

    done = subprocess.run(
        [sys.executable, "-c", FORWARD, httpserver.url_for("")],
        cwd=ROOT,
        input=json.dumps(event),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < MEMORY_MB


def test_a_control_message_holds_nothing() -> None:
    control = log_data("CWL CONTROL MESSAGE: Checking health", kind="CONTROL_MESSAGE")
    assert list(to_documents(control)) == []


def test_ten_thousand_events_keep_their_order_and_ids() -> None:
    messages = [json.dumps(with_text(f"sentence {number}")) for number in range(10_000)]
    documents = list(to_documents(decode(encode(log_data(*messages)))))

    assert [json.loads(document.source)["text"] for document in documents] == [
        f"sentence {number}" for number in range(10_000)
    ]
    assert len({document.id for document in documents}) == 10_000


def test_a_lone_surrogate_still_makes_valid_utf8_json() -> None:
    (document,) = to_documents(log_data('{"prediction": {"label": "\\ud800"}}'))
    assert json.loads(document.source)["prediction"] == {"label": "?"}


@settings(max_examples=200, deadline=None)
@given(st.text(), st.text(), st.text())
def test_any_sentence_survives_between_any_prefix_and_suffix(
    text: str, before: str, after: str
) -> None:
    # What starts with a brace before the object may be taken for one.
    before = before.replace("{", "(")

    fields = extract(before + json.dumps(with_text(text)) + after)
    assert fields == with_text(text)


# --- Events that cannot be read --------------------------------------------------------------


def packed(data: bytes) -> CloudWatchLogsEvent:
    return {"awslogs": {"data": base64.b64encode(data).decode()}}


GZIP = gzip.compress(json.dumps(log_data(LINE)).encode())


@pytest.mark.parametrize(
    "event",
    [
        packed(GZIP[:-9]),
        packed(GZIP[:20]),
        packed(b"not gzip"),
        packed(gzip.compress(b"not json")),
        packed(gzip.compress(b"[]")),
        {"awslogs": {"data": "not base64!"}},
        {"awslogs": {"data": None}},
        {"awslogs": {}},
        {},
        [],
    ],
)
def test_a_payload_that_cannot_be_read_says_so_in_one_line(event: Any) -> None:
    with pytest.raises(PayloadError, match=r"awslogs\.data") as caught:
        decode(event)
    assert "\n" not in str(caught.value)


def test_a_gzip_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_events, "MAX_PAYLOAD_BYTES", 1000)
    with pytest.raises(PayloadError, match="unpacks to more than 1000 bytes"):
        decode(packed(gzip.compress(b" " * 1001)))


@pytest.mark.parametrize(
    "change", [{"timestamp": "yesterday"}, {"timestamp": 10**30}, {"message": 7}]
)
def test_a_malformed_log_event_raises(change: dict[str, Any]) -> None:
    broken: Any = log_data(LINE)
    broken["logEvents"][0].update(change)

    with pytest.raises(PayloadError):
        list(to_documents(broken))


@pytest.mark.parametrize("missing", ["id", "timestamp", "message"])
def test_a_log_event_without_a_field_raises(missing: str) -> None:
    broken: Any = log_data(LINE)
    del broken["logEvents"][0][missing]

    with pytest.raises(PayloadError, match=missing):
        list(to_documents(broken))
