"""What the exported model knows: it orders minimal pairs and ignores what does not matter.

    make train ARGS="data.sources=[own]" && python -m pytest -m slow tests/model -s

Tests models/model.onnx, or the file that COLA_MODEL names, if it was trained on corpus/; prints the
shares reached.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from errors import ModelFileError
from prediction.onnx_predictor import ColaONNXPredictor
from tests.helpers.paths import ROOT

pytestmark = pytest.mark.slow

MODEL = Path(os.environ.get("COLA_MODEL", ROOT / "models" / "model.onnx"))

# None of these sentences is in corpus/; the phenomena are.
PAIRS = {
    "agreement": [
        ("The children play in the garden.", "The children plays in the garden."),
        ("My sister likes old films.", "My sister like old films."),
        ("The keys to the house are on the table.", "The keys to the house is on the table."),
        ("The boy who feeds the dogs is tall.", "The boy who feeds the dogs are tall."),
    ],
    "determiners": [
        ("She bought these books.", "She bought this books."),
        ("He saw that car.", "He saw those car."),
        ("Every window was open.", "Every windows was open."),
    ],
    "reflexives": [
        ("The girl hurt herself.", "The girl hurt himself."),
        ("The men blamed themselves.", "The men blamed herself."),
    ],
    "case": [
        ("They watched us.", "They watched we."),
        ("We met him in the park.", "Us met him in the park."),
        ("I believe that he left.", "I believe that him left."),
    ],
    "argument structure": [
        ("The baby slept.", "The baby slept the bed."),
        ("The chef devoured the soup.", "The chef devoured."),
        ("The soup was eaten by the chef.", "The soup was slept by the chef."),
        ("The glass was broken.", "The glass was broke."),
    ],
    "auxiliaries": [
        ("She has finished the letter.", "She has finish the letter."),
        ("They will go home.", "They will goes home."),
        ("He is reading a book.", "He is read a book."),
        ("We could have won.", "We have could won."),
    ],
    "questions": [
        ("What did the teacher say?", "What the teacher did said?"),
        ("Who did you see?", "Who did you see him?"),
        ("Is the man who is old happy?", "Is the man who old is happy?"),
        ("What do you think that she bought?", "What do you wonder whether she bought?"),
    ],
    "comparatives": [
        ("This road is longer than that one.", "This road is longer as that one."),
        ("She is more careful than him.", "She is more carefuller than him."),
    ],
    "word order": [
        ("The old man walked home slowly.", "The man old walked home slowly."),
        ("She threw it away.", "She threw away it."),
        ("There is a cat on the roof.", "There is the every cat on the roof."),
    ],
    "ellipsis and coordination": [
        ("Tom sings and so does Anna.", "Tom sings and so is Anna."),
        ("He likes tea but she does not.", "He likes tea but she is not."),
    ],
}
NAMES = ("Anna", "Peter", "Laura", "Frank", "Sarah", "Victor")
ABOUT_SOMEBODY = (
    "{} likes old films.",
    "{} like old films.",
    "The teacher praised {}.",
    "The teacher said that {} have left.",
    "{} has finished the letter.",
    "{} has finish the letter.",
    "Who did {} see?",
    "There seemed to be a problem, but {} slept.",
)


@pytest.fixture(scope="module")
def predictor() -> ColaONNXPredictor:
    try:
        predictor = ColaONNXPredictor(MODEL)
    except ModelFileError as error:
        pytest.skip(str(error))
    if predictor.info.lineage.corpus.name != "own":
        pytest.skip(f"{MODEL} was not trained on corpus/")
    return predictor


def probabilities(predictor: ColaONNXPredictor, texts: Sequence[str]) -> list[float]:
    return [item.probability_acceptable for item in predictor.predict_many(texts)]


def test_the_acceptable_member_of_a_minimal_pair_scores_higher(
    predictor: ColaONNXPredictor,
) -> None:
    right = {
        name: [good > bad for good, bad in (probabilities(predictor, pair) for pair in pairs)]
        for name, pairs in PAIRS.items()
    }
    for name, answers in right.items():
        print(f"{name:28} {sum(answers)} of {len(answers)}")

    every = [answer for answers in right.values() for answer in answers]
    share = sum(every) / len(every)
    print(f"minimal pairs: {share:.0%} of {len(every)}")
    assert share >= 0.85


def test_a_name_makes_no_difference(predictor: ColaONNXPredictor) -> None:
    spreads = []
    for frame in ABOUT_SOMEBODY:
        scores = probabilities(predictor, [frame.format(name) for name in NAMES])
        spreads.append(max(scores) - min(scores))

    mean = sum(spreads) / len(spreads)
    print(f"names: largest change of a probability {max(spreads):.3f}, mean {mean:.3f}")
    assert mean <= 0.05


@pytest.mark.parametrize("space", [" ", "\n", "  \t ", "\u00a0"])
def test_trailing_white_space_makes_no_difference(predictor: ColaONNXPredictor, space: str) -> None:
    texts = [text for pairs in PAIRS.values() for pair in pairs for text in pair]
    assert probabilities(predictor, [text + space for text in texts]) == probabilities(
        predictor, texts
    )
