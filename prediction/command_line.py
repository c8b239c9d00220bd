"""The command line that inference.py and inference_onnx.py share.

    python inference_onnx.py "The boy is sitting on a bench" "The boy are sitting on a bench"
    python inference_onnx.py --input corpus.csv --output predictions.jsonl --resume
    cat corpus.txt | python inference_onnx.py --input - --json

Reads sentences as arguments or from a file: .txt (one a line), .jsonl (strings, or objects with `sentence` or
`text`), .csv (with such a column); `-` is standard input, read like .txt. A file is streamed: memory does not
grow with it, and each of its records gives one line of output, in order; one that cannot be predicted gives
`{"text": ..., "error": ...}`.
"""

import argparse
import csv
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from errors import ConfigError, InvalidText

BATCH = 512  # sentences predicted, written and flushed together
COLUMNS = ("sentence", "text")


class Predictor(Protocol):
    """What the command line needs; both predictors have it."""

    def predict_batch(self, texts: Sequence[str]) -> list[dict[str, Any]]: ...


def main(open_predictor: Callable[[str], Predictor], doc: str, default_model: str) -> None:
    """Run the command; ``open_predictor`` gets the path that ``--model`` gives. Raises ColaError."""
    parser = argparse.ArgumentParser(
        description=doc.splitlines()[0], epilog=__doc__.partition("\n\n")[2]
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("sentences", nargs="*", metavar="SENTENCE", help="a sentence to judge")
    parser.add_argument(
        "--input", metavar="FILE", help=".txt, .jsonl or .csv; - for standard input"
    )
    parser.add_argument(
        "--output", metavar="FILE", help="where JSON lines go, instead of standard output"
    )
    parser.add_argument("--resume", action="store_true", help="continue an interrupted output")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    parser.add_argument(
        "--model", default=default_model, metavar="FILE", help="default: %(default)s"
    )
    options = parser.parse_args()
    if bool(options.sentences) == bool(options.input):
        parser.error("give sentences, or a file with --input")
    if options.output and not options.input:
        parser.error("--output needs --input")
    if options.resume and not options.output:
        parser.error("--resume needs --input and --output")
    try:
        predictor = open_predictor(options.model)
        if options.input:
            Stream(predictor, options.input, options.output, options.resume, options.json).run()
        else:
            _show(predictor.predict_batch(options.sentences), options.json)
    except BrokenPipeError:  # the reader has seen enough, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Stream:
    """Predictions for a file, batch by batch, with a progress bar on standard error if that is a terminal."""

    def __init__(
        self,
        predictor: Predictor,
        source: str,
        output: str | None,
        resume: bool = False,
        as_json: bool = False,
    ) -> None:
        self._predictor = predictor
        self._source = source
        self._output = Path(output) if output else None
        self._resume = resume
        self._as_json = as_json
        self._done = self._failed = 0
        self._start = self._shown = time.monotonic()

    def run(self) -> None:
        """Predict everything. Raises ConfigError for files that cannot be used."""
        with _open_input(self._source) as file:
            records = _records(file, self._source)
            if self._output is None:
                for answers in self._answers(records, file):
                    _show(answers, self._as_json)
            else:
                if self._output.exists():
                    records = self._remaining(self._output, records)
                with _open_output(self._output) as output:
                    for answers in self._answers(records, file):
                        output.write("".join(json.dumps(answer) + "\n" for answer in answers))
                        output.flush()
        seconds = time.monotonic() - self._start
        failed = (
            f", {self._failed:,} of them without a prediction (see `error`)" if self._failed else ""
        )
        self._say(
            f"{self._done:,} sentences in {seconds:.1f} s: {self._done / seconds:,.0f} sentences/s{failed}\n"
        )

    def _answers(self, records: Iterator[str], file: IO[str]) -> Iterator[list[dict[str, Any]]]:
        while texts := list(itertools.islice(records, BATCH)):
            yield self._predict(texts)
            self._done += len(texts)
            if sys.stderr.isatty() and time.monotonic() - self._shown > 0.2:
                self._show_progress(file)

    def _predict(self, texts: list[str]) -> list[dict[str, Any]]:
        try:
            return self._predictor.predict_batch(texts)
        except InvalidText as error:
            if len(texts) == 1:
                self._failed += 1
                return [{"text": texts[0], "error": str(error)}]
            middle = len(texts) // 2  # close in on the one that cannot be predicted
            return self._predict(texts[:middle]) + self._predict(texts[middle:])

    def _remaining(self, output: Path, records: Iterator[str]) -> Iterator[str]:
        """Cut an interrupted output back to whole batches; the records that are still to predict."""
        if not self._resume:
            raise ConfigError(f"{output} exists: continue it with --resume, or delete it")
        batch: list[str] = []
        kept = read = 0
        with output.open("rb+") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                text = next(records, None)
                if text is None or _text_of(line) != text:
                    raise ConfigError(f"{output} does not belong to {self._source}: delete it")
                batch.append(text)
                read += len(line)
                if len(batch) == BATCH:
                    batch, kept = [], read
            file.truncate(kept)
        return itertools.chain(batch, records)

    def _show_progress(self, file: IO[str]) -> None:
        self._shown = time.monotonic()
        rate = self._done / (self._shown - self._start)
        bar = ""
        if file.seekable() and (size := os.fstat(file.fileno()).st_size):
            share = file.buffer.tell() / size  # type: ignore[attr-defined]
            bar = f"[{'#' * round(30 * share):30}] {share:4.0%}  "
        self._say(f"\r{bar}{self._done:,} sentences, {rate:,.0f}/s ")

    def _say(self, message: str) -> None:
        prefix = "\r\033[K" if sys.stderr.isatty() else ""
        print(prefix + message.lstrip("\r"), end="", file=sys.stderr, flush=True)


def _open_input(source: str) -> IO[str]:
    # A byte order mark is dropped; a byte that is not UTF-8 becomes half a surrogate: an error of its record.
    reading = {"encoding": "utf-8-sig", "errors": "surrogateescape"}
    if source == "-":
        return open(0, closefd=False, **reading)  # type: ignore[call-overload, no-any-return]
    if Path(source).suffix not in (".txt", ".jsonl", ".csv"):
        raise ConfigError(f"--input {source}: the name must end in .txt, .jsonl or .csv (or be -)")
    try:
        return open(source, newline="", **reading)  # type: ignore[call-overload, no-any-return]
    except OSError as error:
        raise ConfigError(f"--input {source}: {error.strerror}") from None


def _open_output(path: Path) -> IO[str]:
    try:
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--output {path}: {error.strerror}") from None


def _records(file: IO[str], source: str) -> Iterator[str]:
    """The file's sentences, one by one."""
    suffix = Path(source).suffix
    if suffix == ".csv":
        csv.field_size_limit(sys.maxsize)
        rows = csv.DictReader(file)
        column = next((name for name in COLUMNS if name in (rows.fieldnames or ())), None)
        if column is None:
            raise ConfigError(f"--input {source}: no column is named {' or '.join(COLUMNS)}")
        yield from (row[column] or "" for row in rows)
    elif suffix == ".jsonl":
        yield from (
            _text_of_record(line, f"--input {source}, line {number}")
            for number, line in enumerate(file, 1)
        )
    else:
        yield from (line.rstrip("\r\n") for line in file)


def _text_of_record(line: str, where: str) -> str:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{where}: not JSON ({error})") from None
    if isinstance(value, dict):
        value = next((value[name] for name in COLUMNS if name in value), None)
    if not isinstance(value, str):
        raise ConfigError(
            f"{where}: neither a string nor an object with a string named {' or '.join(COLUMNS)}"
        )
    return value


def _text_of(line: bytes) -> str | None:
    """The sentence that a line of output is about; None if it is no line of output."""
    try:
        text: str | None = json.loads(line)["text"]
        return text
    except (ValueError, KeyError, TypeError):
        return None


def _show(answers: Sequence[dict[str, Any]], as_json: bool) -> None:
    for answer in answers:
        if as_json:
            print(json.dumps(answer))
        elif "error" in answer:
            print(f"{'error':12}         {answer['text']!r}: {answer['error']}")
        else:
            print("{label:12}  {score:.4f}  ".format(**answer["prediction"]) + answer["text"])
