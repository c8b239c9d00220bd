"""How far surface cues go on the corpus: TF-IDF n-grams with logistic regression.

    python -m benchmarks.corpus_baseline

Reads the three files of corpus/; writes ``benchmarks/results/corpus_baseline.json``. The corpus is
worth training on only where these numbers stay far below those of a fine-tuned transformer.
"""

import argparse

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, matthews_corrcoef
from sklearn.pipeline import Pipeline, make_pipeline

from benchmarks import results
from benchmarks.documents import CorpusBaseline
from benchmarks.results import ROOT
from corpus.format import IN_DOMAIN, OUT_OF_DOMAIN, TRAIN, read_folder

FEATURES = {
    "words": {"analyzer": "word", "ngram_range": (1, 3), "token_pattern": r"\S+"},
    "characters": {"analyzer": "char", "ngram_range": (2, 5)},
}


def pipeline(features: str) -> Pipeline:
    """Return TF-IDF and logistic regression over words or characters."""
    vectorizer = TfidfVectorizer(sublinear_tf=True, **FEATURES[features])
    return make_pipeline(
        vectorizer, LogisticRegression(C=10, max_iter=2000, class_weight="balanced")
    )


def measure() -> dict[str, dict[str, dict[str, float]]]:
    """Return MCC and accuracy by features and split."""
    splits = read_folder(ROOT / "corpus")
    measured: dict[str, dict[str, dict[str, float]]] = {}
    for features in FEATURES:
        model = pipeline(features)
        model.fit([row.text for row in splits[TRAIN]], [row.label for row in splits[TRAIN]])
        measured[features] = {}
        for split in (IN_DOMAIN, OUT_OF_DOMAIN):
            labels = [row.label for row in splits[split]]
            predicted = model.predict([row.text for row in splits[split]])
            measured[features][split] = {
                "mcc": round(float(matthews_corrcoef(labels, predicted)), 4),
                "accuracy": round(float(accuracy_score(labels, predicted)), 4),
            }
    return measured


def main() -> None:
    """Measure, print and record."""
    # There are no options: this refuses any, and answers --help.
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    result: CorpusBaseline = {"features": measure()}
    results.record("corpus_baseline", result)


if __name__ == "__main__":
    main()
