"""The tables of trained models: what a row does not tell, and mistakes of different kinds."""

from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.mistakes import mistakes
from benchmarks.training_tables import experiments
from corpus.format import Sentence
from prediction.types import Prediction


def test_a_run_may_lack_a_figure_and_have_a_word_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_RESULTS", str(tmp_path))
    rows = [{"run": "a", "seed": 1, "MCC": 0.3801}, {"run": "b", "MCC": 0.0, "AUC": "about 0.8"}]
    results.write("experiments", {"tables": {"tuning": rows}})

    assert experiments("tuning").splitlines() == [
        "| run | seed | MCC | AUC |",
        "| --- | --- | --- | --- |",
        "| a | 1 | 0.380 |  |",
        "| b |  | 0 | about 0.8 |",
    ]


def test_of_each_phenomenon_the_surest_mistake_is_kept() -> None:
    def case(text: str, source: str, score: float) -> tuple[Sentence, Prediction]:
        prediction = Prediction(text, "acceptable", score, score, 1, 3, 0, truncated=False)
        return Sentence(source, 0, "*", text), prediction

    cases = [case("x", "island", 0.7), case("y", "island", 0.9), case("z", "gap", 0.8)]
    sentences, predictions = zip(*cases, strict=True)
    kept = mistakes(sentences, predictions)
    assert [(mistake["text"], mistake["source"]) for mistake in kept] == [
        ("y", "island"),
        ("z", "gap"),
    ]
