"""The tables of trained models: what a row does not tell, and mistakes of different kinds."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import results
from benchmarks.inputs import composed
from benchmarks.machine import machine
from benchmarks.mistakes import mistakes
from benchmarks.quality_documents import configuration_digest, title
from benchmarks.result_rows import all_results
from benchmarks.training_tables import experiments, seeds
from corpus.format import TRAIN, Sentence, digest
from corpus.pretext import pretext_sentences
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


def test_a_seed_has_a_row_and_its_group_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_RESULTS", str(tmp_path))
    splits = dict.fromkeys(("overall", "in_domain", "out_of_domain"), 0.5)
    run = {
        "seed": 1,
        "mcc": splits,
        "int8": {"mcc": 0.5},
        "calibration_error": 0.04,
        "calibration_error_by_chance": 0.03,
        "minutes": 8,
        "cpu_minutes": 9,
    }
    mcc = {split: {"mean": 0.5, "min": 0.5, "max": 0.5} for split in splits}
    group = {
        "mcc": mcc,
        "int8_mcc": mcc["overall"],
        "calibration_error": {"mean": 0.04},
        "runs": [run],
        "machine": machine(),
    }
    results.write(results.name_here("quality"), {"default on own, fp32": group})

    (row,) = seeds().splitlines()[2:]
    assert "| 0.500 | 0.040 | 0.030 | 8 | 9 |" in row
    assert "int8 0.500; calibration error 0.040; 9 CPU min" in all_results()


@pytest.mark.parametrize(
    ("experiment", "overrides"), [("default", []), ("tutorial", ["experiment=tutorial"])]
)
def test_what_learned_other_sentences_or_otherwise_says_so(
    experiment: str, overrides: list[str]
) -> None:
    pretext = digest({TRAIN: pretext_sentences(for_own_corpus=False)})
    config = composed([*overrides, "training.precision=32-true", "training.lr=1"])

    def shown(name: str, pretext_sha256: str = pretext) -> str:
        configuration = configuration_digest(config)
        settings = {"configuration_sha256": configuration, "pretext_sha256": pretext_sha256}
        group: Any = {"settings": settings}
        return title(name, group)

    name = f"{experiment} on cola, training.lr=1, fp32"
    assert shown(name) == name
    assert shown(name, "0" * 64) == f"{name}, with an earlier `corpus/pretext.tsv`"

    # Another precision, or another learning rate.
    for other in (f"{experiment} on cola, training.lr=1, bf16", f"{experiment} on cola, fp32"):
        assert shown(other) == f"{other}, with earlier settings"


def test_what_does_not_tell_its_settings_is_of_an_earlier_time() -> None:
    group: Any = {}
    assert title("default on cola, fp32", group).endswith("with an earlier `corpus/pretext.tsv`")


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
