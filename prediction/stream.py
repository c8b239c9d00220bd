"""Predictions for a file of sentences, as a stream that can be interrupted and continued."""

import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from commands.files import lock
from errors import ConfigError, InvalidText
from prediction.input_files import open_input, read_records
from prediction.printing import Failure, show
from prediction.types import Answer, TextPredictor

# Sentences that are predicted, written and flushed together.
BATCH = 512

# Of a score, for one model: sentences may share other rows than before, on more cores or fewer.
MAX_DIFFERENCE = 0.005

PROGRESS_SECONDS = 0.2
PROGRESS_WIDTH = 30


class Stream:
    """Predictions for a file, batch by batch.

    Shows its progress on standard error if that is a terminal.

    Args:
        predictor: Who predicts.
        source: The input file, or ``-`` for standard input.
        output: The file for JSON lines; None prints to standard output.
        resume: Continue an output that was interrupted.
        as_json: Print JSON lines instead of a table.
    """

    def __init__(
        self,
        predictor: TextPredictor,
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

        self._predicted = self._failed = 0
        self._start = self._last_progress = time.monotonic()

    def run(self) -> None:
        """Predict everything.

        Raises:
            ConfigError: A file cannot be used.
        """
        try:
            with open_input(self._source) as file:
                records = read_records(file, self._source)

                if self._output is None:
                    for answers in self._answers(records, file):
                        _wipe_progress()
                        show(answers, self._as_json)
                else:
                    self._write(self._output, records, file)
        finally:
            # What is said next, be it an error, begins the line.
            _wipe_progress()

        self._say_summary()

    def _write(self, path: Path, records: Iterator[str], file: IO[str]) -> None:
        """Write the answers to a file, batch by batch."""
        try:
            if path.exists() and not path.is_file():
                raise ConfigError(f"--output {path}: is no regular file; give another name")

            with path.open("a", encoding="utf-8") as output:
                if not lock(output):
                    raise ConfigError(f"--output {path}: another run is writing it")
                # Not `tell`, which does not know what another run wrote before the lock.
                if path.stat().st_size:
                    records = self._remaining(path, records)

                for answers in self._answers(records, file):
                    output.write("".join(json.dumps(answer) + "\n" for answer in answers))
                    output.flush()
        except OSError as error:
            raise ConfigError(f"--output {path}: {error.strerror}") from None

    def _answers(self, records: Iterator[str], file: IO[str]) -> Iterator[list[Answer | Failure]]:
        while texts := list(itertools.islice(records, BATCH)):
            answers = self._predict(texts)
            yield answers
            self._predicted += len(texts)
            self._failed += sum("error" in answer for answer in answers)

            is_due = time.monotonic() - self._last_progress > PROGRESS_SECONDS
            if is_due and sys.stderr.isatty():
                self._show_progress(file)

    def _predict(self, texts: list[str]) -> list[Answer | Failure]:
        return [
            Failure(text=text, error=str(result))
            if isinstance(result, InvalidText)
            else result.as_dict()
            for text, result in zip(texts, self._predictor.predict_each(texts), strict=True)
        ]

    def _remaining(self, output: Path, records: Iterator[str]) -> Iterator[str]:
        """Cut an interrupted output back to whole batches.

        Whole, so that a resumed run makes the same rows, and so the same scores to the last digit,
        as one that was never interrupted.

        Args:
            output: The file as the interrupted run left it.
            records: The sentences of the input, from the first one on.

        Returns:
            The sentences that are still to be predicted.

        Raises:
            ConfigError: The output must not be continued, or is that of another input or model.
        """
        if not self._resume:
            raise ConfigError(f"{output} exists: continue it with --resume, or delete it")

        texts: list[str] = []
        newest: list[bytes] = []
        kept_bytes = 0
        with output.open("rb+") as file:
            while lines := list(itertools.islice(file, BATCH)):
                texts = list(itertools.islice(records, len(lines)))
                if len(texts) < len(lines) or not all(map(_is_line_of, texts, lines)):
                    raise self._foreign(output)

                # The run was interrupted within a line that does not end.
                whole = [line for line in lines if line.endswith(b"\n")]
                newest = whole or newest
                if len(whole) == BATCH:
                    kept_bytes += sum(map(len, whole))
                    texts = []

            self._require_same_model(output, newest)
            file.truncate(kept_bytes)

        return itertools.chain(texts, records)

    def _require_same_model(self, output: Path, lines: list[bytes]) -> None:
        """Check that sentences would get the same scores now.

        Args:
            output: The file that has their lines.
            lines: The newest ones.

        Raises:
            ConfigError: They would not: the output would mix the answers of two models.
        """
        try:
            answers = [json.loads(line) for line in lines]
            probabilities = [_probability_of(answer) for answer in answers]
        except (ValueError, KeyError, TypeError):
            raise self._foreign(output) from None

        texts = [answer["text"] for answer in answers]
        for text, before, answer in zip(texts, probabilities, self._predict(texts), strict=True):
            now = _probability_of(answer)
            if before is None or now is None:
                is_same = before is now
            else:
                is_same = abs(now - before) <= MAX_DIFFERENCE

            if not is_same:
                raise ConfigError(
                    f"{output} was predicted by another model, which scores {text[:40]!r} "
                    "otherwise: give that one with --model, or delete the file"
                )

    def _foreign(self, output: Path) -> ConfigError:
        return ConfigError(f"{output} does not belong to {self._source}: give another name")

    def _show_progress(self, file: IO[str]) -> None:
        self._last_progress = time.monotonic()
        rate = self._predicted / (self._last_progress - self._start)

        # How much there is to read is known of a file, not of a pipe.
        bar = ""
        if file.seekable() and (size := os.fstat(file.fileno()).st_size):
            share = file.buffer.tell() / size  # type: ignore[attr-defined]
            bar = f"[{'#' * round(PROGRESS_WIDTH * share):{PROGRESS_WIDTH}}] {share:4.0%}  "

        _wipe_progress()
        line = f"{bar}{self._predicted:,} sentences, {rate:,.0f}/s "
        print(line, end="", file=sys.stderr, flush=True)

    def _say_summary(self) -> None:
        seconds = time.monotonic() - self._start
        rate = self._predicted / seconds

        failed = ""
        if self._failed:
            failed = f"; {self._failed:,} without a prediction (see `error`)"

        print(
            f"{self._predicted:,} sentences in {seconds:.1f} s, {rate:,.0f}/s{failed}",
            file=sys.stderr,
        )


def _wipe_progress() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _is_line_of(text: str, line: bytes) -> bool:
    """Return whether a line of output, or the beginning of one, is a sentence's."""
    sentence = f'{{"text": {json.dumps(text)}'
    forms = (f'{sentence}, "prediction": '.encode(), f'{sentence}, "error": '.encode())
    return line.startswith(forms) or any(form.startswith(line) for form in forms)


def _probability_of(answer: Answer | Failure) -> float | None:
    """Return the probability of ``acceptable``; None for a sentence without a prediction."""
    if "error" in answer:
        return None

    prediction = answer["prediction"]
    score = float(prediction["score"])
    return score if prediction["label"] == "acceptable" else 1 - score
