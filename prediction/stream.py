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
            answers = self._predict(texts)
            yield answers
            self._predicted += len(texts)
            self._failed += sum("error" in answer for answer in answers)

            is_due = time.monotonic() - self._last_progress > PROGRESS_SECONDS
            if is_due and sys.stderr.isatty():
                self._show_progress(file)

    def _predict(self, texts: list[str]) -> list[Answer | Failure]:
        try:
            return [prediction.as_dict() for prediction in self._predictor.predict_many(texts)]
        except InvalidText as error:
            if len(texts) == 1:
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
            ConfigError: The output must not be continued, or is that of another input or model.
        """
        if not output.is_file():
            raise ConfigError(f"--output {output}: is no regular file; give another name")
        if not self._resume:
            raise ConfigError(f"{output} exists: continue it with --resume, or delete it")

        batch: list[tuple[str, float | None]] = []
        last_batch = batch
        kept_bytes = read_bytes = 0
        with output.open("rb+") as file:
            for line in file:
                # The run was interrupted within this line.
                if not line.endswith(b"\n"):
                    break

                text, answered = next(records, None), _read_line(line)
                if text is None or answered is None or answered[0] != text:
                    raise ConfigError(f"{output} does not belong to {self._source}: delete it")

                batch.append(answered)
                read_bytes += len(line)
                if len(batch) == BATCH:
                    last_batch, batch, kept_bytes = batch, [], read_bytes

            if kept_bytes:
                self._require_same_model(output, last_batch)
            file.truncate(kept_bytes)

        return itertools.chain([text for text, _ in batch], records)

    def _require_same_model(self, output: Path, batch: list[tuple[str, float | None]]) -> None:
        """Check that a batch that is kept would get the same scores now.

        Args:
            output: Where it is.
            batch: What ``_read_line`` found in each of its lines.

        Raises:
            ConfigError: It would not: the output would mix the answers of two models.
        """
        answers = self._predict([text for text, _ in batch])
        for (text, before), answer in zip(batch, answers, strict=True):
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


def _read_line(line: bytes) -> tuple[str, float | None] | None:
    """Return what a line of output says: its sentence, and the probability of ``acceptable``.

    None if it is not a line of output.
    """
    try:
        answer = json.loads(line)
        return answer["text"], _probability_of(answer)
    except (ValueError, KeyError, TypeError):
        return None


def _probability_of(answer: Answer | Failure) -> float | None:
    """Return the probability of ``acceptable``; None for a sentence without a prediction."""
    if "error" in answer:
        return None

    prediction = answer["prediction"]
    score = float(prediction["score"])
    return score if prediction["label"] == "acceptable" else 1 - score
