"""Predictions for a file of sentences, as a stream that can be interrupted and continued."""

import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from errors import ConfigError, InvalidText
from prediction.input_files import open_input, read_records
from prediction.printing import Failure, show
from prediction.types import Answer, TextPredictor

# Sentences that are predicted, written and flushed together.
BATCH = 512

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
        with open_input(self._source) as file:
            records = read_records(file, self._source)

            if self._output is None:
                for answers in self._answers(records, file):
                    show(answers, self._as_json)
            else:
                self._write(self._output, records, file)

        self._say_summary()

    def _write(self, path: Path, records: Iterator[str], file: IO[str]) -> None:
        """Write the answers to a file, batch by batch."""
        try:
            if path.exists():
                records = self._remaining(path, records)

            with path.open("a", encoding="utf-8") as output:
                for answers in self._answers(records, file):
                    output.write("".join(json.dumps(answer) + "\n" for answer in answers))
                    output.flush()
        except OSError as error:
            raise ConfigError(f"--output {path}: {error.strerror}") from None

    def _answers(self, records: Iterator[str], file: IO[str]) -> Iterator[list[Answer | Failure]]:
        while texts := list(itertools.islice(records, BATCH)):
            yield self._predict(texts)
            self._predicted += len(texts)

            is_due = time.monotonic() - self._last_progress > PROGRESS_SECONDS
            if is_due and sys.stderr.isatty():
                self._show_progress(file)

    def _predict(self, texts: list[str]) -> list[Answer | Failure]:
        try:
            return [prediction.as_dict() for prediction in self._predictor.predict_many(texts)]
        except InvalidText as error:
            if len(texts) == 1:
                self._failed += 1
                return [{"text": texts[0], "error": str(error)}]

        # Halve the batch until the one that cannot be predicted is found.
        middle = len(texts) // 2
        return self._predict(texts[:middle]) + self._predict(texts[middle:])

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
            ConfigError: The output must not be continued, or is that of another input.
        """
        if not output.is_file():
            raise ConfigError(f"--output {output}: is no regular file; give another name")
        if not self._resume:
            raise ConfigError(f"{output} exists: continue it with --resume, or delete it")

        batch: list[str] = []
        kept_bytes = read_bytes = 0
        with output.open("rb+") as file:
            for line in file:
                # The run was interrupted within this line.
                if not line.endswith(b"\n"):
                    break

                text = next(records, None)
                if text is None or _text_of(line) != text:
                    raise ConfigError(f"{output} does not belong to {self._source}: delete it")

                batch.append(text)
                read_bytes += len(line)
                if len(batch) == BATCH:
                    batch, kept_bytes = [], read_bytes

            file.truncate(kept_bytes)

        return itertools.chain(batch, records)

    def _show_progress(self, file: IO[str]) -> None:
        self._last_progress = time.monotonic()
        rate = self._predicted / (self._last_progress - self._start)

        # How much there is to read is known of a file, not of a pipe.
        bar = ""
        if file.seekable() and (size := os.fstat(file.fileno()).st_size):
            share = file.buffer.tell() / size  # type: ignore[attr-defined]
            bar = f"[{'#' * round(PROGRESS_WIDTH * share):{PROGRESS_WIDTH}}] {share:4.0%}  "

        self._say(f"\r{bar}{self._predicted:,} sentences, {rate:,.0f}/s ")

    def _say_summary(self) -> None:
        seconds = time.monotonic() - self._start
        rate = self._predicted / seconds

        failed = ""
        if self._failed:
            failed = f"; {self._failed:,} without a prediction (see `error`)"

        self._say(f"{self._predicted:,} sentences in {seconds:.1f} s, {rate:,.0f}/s{failed}\n")

    def _say(self, message: str) -> None:
        """Write to standard error, over the last line of progress."""
        prefix = "\r\033[K" if sys.stderr.isatty() else ""
        print(prefix + message.lstrip("\r"), end="", file=sys.stderr, flush=True)


def _text_of(line: bytes) -> str | None:
    """Return the sentence of a line of output; None if it is not a line of output."""
    try:
        text: str | None = json.loads(line)["text"]
        return text
    except (ValueError, KeyError, TypeError):
        return None
