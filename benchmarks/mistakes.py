"""What a trained model gets wrong: MCC by phenomenon or source, and its surest mistakes.

    python -m benchmarks.mistakes models/model.onnx data.sources=[own]
    python -m benchmarks.mistakes models/model.onnx data.path=path/to/cola

In corpus/ a sentence's source is the phenomenon that it shows, in CoLA the publication that it
comes from. Sentences are kept of corpus/ only: CoLA's are other people's. Writes
benchmarks/results/mistakes.json, by corpus, with the model file that made the mistakes; prints it
as the last line.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import matthews_corrcoef

from benchmarks import results
from benchmarks.documents import Group, Mistake, Mistakes
from benchmarks.inputs import composed
from configs.schema import Source
from corpus.format import Sentence
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.types import LABELS, ModelInfo, Prediction
from training.sources import load_corpus

RESAMPLES = 1000

# Mistakes per kind, at most one per phenomenon.
MISTAKES = 10


def main() -> None:
    """Predict a validation set; record groups and mistakes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="a model file")
    parser.add_argument("overrides", nargs="*", help="of the configuration, such as data.path=...")
    arguments = parser.parse_args()

    corpus = load_corpus(composed(arguments.overrides).data)
    sentences = corpus.validation
    predictor = ColaONNXPredictor(arguments.model)
    predictions = predictor.predict_many([sentence.text for sentence in sentences])

    is_own = corpus.source is Source.own
    result: Mistakes = {
        "model": predictor.info.name,
        "precision": predictor.info.precision,
        "groups": groups(sentences, predictions, corpus.validation_splits),
        "mistakes": mistakes(sentences, predictions) if is_own else [],
    }
    group = corpus.name.removeprefix("folder:")
    results.record("mistakes", {**result, "file": file_facts(predictor.info)}, group=group)


def file_facts(info: ModelInfo) -> dict[str, object]:
    """Return which file was asked, and which training run it comes from."""
    lineage = info.lineage
    return {
        "version": info.version,
        "seed": lineage.config.get("seed"),
        "trained_git_commit": lineage.trained.git_commit,
        "exported_git_commit": lineage.git_commit,
        "checkpoint_sha256": lineage.checkpoint_sha256,
    }


def groups(
    sentences: Sequence[Sentence], predictions: Sequence[Prediction], splits: Sequence[str]
) -> list[Group]:
    """Return the MCC of each split and source, the best first within a split."""
    members: dict[tuple[str, str], list[int]] = {}
    for index, (sentence, split) in enumerate(zip(sentences, splits, strict=True)):
        members.setdefault((split, sentence.source), []).append(index)

    label = np.array([sentence.label for sentence in sentences])
    predicted = np.array([LABELS.index(prediction.label) for prediction in predictions])

    measured = []
    for (split, source), indices in members.items():
        mcc, low, high = mcc_with_interval(label[indices], predicted[indices])
        group: Group = {
            "split": split,
            "source": source,
            "sentences": len(indices),
            "mcc": mcc,
            "low": low,
            "high": high,
        }
        measured.append(group)
    return sorted(measured, key=lambda group: (group["split"], -group["mcc"]))


def mcc_with_interval(
    label: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]
) -> tuple[float, float, float]:
    """Return the MCC of n predictions, and the ends of its 95 % interval by the bootstrap.

    Args:
        label: int [n].
        predicted: int [n].
    """
    rng = np.random.default_rng(0)
    draws = rng.integers(len(label), size=(RESAMPLES, len(label)))
    values = [matthews_corrcoef(label[draw], predicted[draw]) for draw in draws]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(matthews_corrcoef(label, predicted)), float(low), float(high)


def mistakes(sentences: Sequence[Sentence], predictions: Sequence[Prediction]) -> list[Mistake]:
    """Return the surest mistakes: sentences wrongly accepted, then wrongly rejected."""
    wrong = [
        (sentence, prediction)
        for sentence, prediction in zip(sentences, predictions, strict=True)
        if LABELS[sentence.label] != prediction.label
    ]
    wrong.sort(key=lambda pair: -pair[1].score)

    chosen: list[Mistake] = []
    for label in (0, 1):
        # Of different phenomena: the surest ones alone would often be of one.
        surest: dict[str, Mistake] = {}
        for sentence, prediction in wrong:
            if sentence.label == label and len(surest) < MISTAKES:
                mistake: Mistake = {
                    "text": sentence.text,
                    "label": LABELS[label],
                    "source": sentence.source,
                    "score": prediction.score,
                }
                surest.setdefault(sentence.source, mistake)
        chosen += surest.values()
    return chosen


if __name__ == "__main__":
    main()
