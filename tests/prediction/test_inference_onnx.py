"""The predictor, with tests/helpers/tiny_model.onnx and without any package of training."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from corpus.format import FILES, IN_DOMAIN, read_file
from errors import ConfigError, InvalidText, ModelFileError
from prediction import onnx_predictor, session
from prediction.cores import available_cores
from prediction.onnx_predictor import ColaONNXPredictor
from tests.helpers.paths import ROOT
from tests.helpers.tiny_model import TINY_MODEL

SENTENCES = [row.text for row in read_file(ROOT / "corpus" / FILES[IN_DOMAIN])[:200]]


@pytest.fixture(scope="module")
def predictor() -> ColaONNXPredictor:
    return ColaONNXPredictor(TINY_MODEL, threads=2)


def damaged(path: Path, old: bytes, new: bytes) -> Path:
    """Write the model with some bytes replaced by as many others: it stays a valid file."""
    content = TINY_MODEL.read_bytes()
    assert content.count(old) == 1
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    return path


def test_the_answer_is_the_contract(predictor: ColaONNXPredictor) -> None:
    answer = predictor.predict(SENTENCES[0])
    assert set(answer) == {"text", "prediction"}
    assert answer["text"] == SENTENCES[0]
    assert set(answer["prediction"]) == {"label", "score"}
    assert answer["prediction"]["label"] in predictor.info.labels
    assert 0.5 <= answer["prediction"]["score"] <= 1


def test_a_batch_answers_in_order_what_one_by_one_answers(predictor: ColaONNXPredictor) -> None:
    batch = predictor.predict_batch(SENTENCES)
    assert [answer["text"] for answer in batch] == SENTENCES
    assert len({answer["prediction"]["label"] for answer in batch}) == 2
    for answer in batch:
        alone = predictor.predict(answer["text"])["prediction"]
        assert alone["label"] == answer["prediction"]["label"]
        assert alone["score"] == pytest.approx(answer["prediction"]["score"], abs=1e-4)


def test_many_threads_may_share_a_predictor(predictor: ColaONNXPredictor) -> None:
    expected = [predictor.predict(text) for text in SENTENCES]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(predictor.predict, SENTENCES)) == expected


def test_threads_that_share_a_lone_row_change_nothing(predictor: ColaONNXPredictor) -> None:
    wide = ColaONNXPredictor(TINY_MODEL, threads=1, single_threads=2)
    for text in SENTENCES[:20]:
        (exclusive,) = wide.predict_encoded([wide.encode(text)], exclusive=True)
        (answer,) = predictor.predict_many([text])
        assert exclusive.label == answer.label
        assert exclusive.score == pytest.approx(answer.score, abs=1e-6)


def test_a_score_belongs_to_its_label(predictor: ColaONNXPredictor) -> None:
    for item in predictor.predict_many(SENTENCES):
        acceptable = item.label == "acceptable"
        assert item.score == pytest.approx(
            item.probability_acceptable if acceptable else 1 - item.probability_acceptable
        )


def test_no_sentences_give_no_predictions(predictor: ColaONNXPredictor) -> None:
    assert predictor.predict_batch([]) == []


def test_info_describes_the_file(predictor: ColaONNXPredictor) -> None:
    info = predictor.info
    assert info.version == hashlib.sha256(TINY_MODEL.read_bytes()).hexdigest()[:12]
    assert (info.name, info.labels) == ("tiny", ["unacceptable", "acceptable"])
    assert (info.max_length, info.packing, info.precision) == (32, True, "fp32")
    assert info.lineage.corpus.name == "own"
    assert sum(info.reference.score_histogram.shares) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "characters", "tokens", "truncated"),
    [
        ("the cat sleeps. " * 7000, 112_000, 32, True),
        ("😀", 1, 3, False),
        ("שלום עולם", 9, 4, False),
        ("...", 3, 5, False),
        ("a\u0301e\u0301", 4, None, False),
        ("1", 1, None, False),
    ],
)
def test_odd_texts_are_predicted(
    predictor: ColaONNXPredictor, text: str, characters: int, tokens: int | None, truncated: bool
) -> None:
    (item,) = predictor.predict_many([text])
    assert (item.characters, item.truncated) == (characters, truncated)
    assert tokens is None or item.tokens == tokens
    assert 0.5 <= item.score <= 1


def test_unknown_tokens_are_counted(predictor: ColaONNXPredictor) -> None:
    (item,) = predictor.predict_many(["😀 sees 😀"])
    assert item.unknown_tokens == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (" \t\n\u3000", "empty"),
        ("\u200b\u200b", "invisible"),
        ("a\0b", "NUL character at position 1"),
        ("half a \ud83d pair", "surrogate"),
        (None, "must be a string, not NoneType"),
        (b"bytes", "must be a string, not bytes"),
        (["list"], "must be a string, not list"),
    ],
)
def test_impossible_texts_are_refused(
    predictor: ColaONNXPredictor, text: str, message: str
) -> None:
    with pytest.raises(InvalidText, match=message) as caught:
        predictor.predict(text)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(InvalidText, match=message):
        predictor.predict_batch([SENTENCES[0], text, SENTENCES[1]])


@pytest.mark.parametrize("threads", [1, 3])
def test_a_batch_that_is_refused_runs_no_row(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = ColaONNXPredictor(TINY_MODEL, threads=threads)
    monkeypatch.setattr(predictor, "_run_row", lambda *arguments: pytest.fail("a row was run"))
    with pytest.raises(InvalidText, match="empty"):
        predictor.predict_many([*SENTENCES, ""])


@pytest.mark.parametrize("threads", [1, 3])
def test_a_text_that_cannot_be_predicted_keeps_its_place(threads: int) -> None:
    predictor = ColaONNXPredictor(TINY_MODEL, threads=threads)
    first, refused, last = predictor.predict_each([SENTENCES[0], "", SENTENCES[1]])
    assert [first, last] == predictor.predict_many(SENTENCES[:2])
    assert isinstance(refused, InvalidText)
    assert predictor.predict_each([]) == []


@pytest.mark.parametrize(
    "key", ["labels", "tokenizer", "max_length", "packing", "lineage", "reference"]
)
def test_a_file_without_metadata_is_refused(tmp_path: Path, key: str) -> None:
    name = key.encode()
    old = b"\x0a" + bytes([len(name)]) + name + b"\x12"  # a protobuf string, then the value's field
    path = damaged(tmp_path / "model.onnx", old, old.replace(name, name[:-1] + b"_"))
    with pytest.raises(
        ModelFileError, match=rf"model.onnx: no {key} in its metadata.*convert_model_to_onnx"
    ):
        ColaONNXPredictor(path)


def test_a_file_with_another_tokenizer_is_refused(tmp_path: Path) -> None:
    path = damaged(tmp_path / "model.onnx", b'"vocabulary": 800', b'"vocabulary": 799')
    with pytest.raises(ModelFileError, match="its tokenizer .800 tokens. is not the model's"):
        ColaONNXPredictor(path)


def test_a_file_without_an_embedding_of_the_last_token_is_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model, path = onnx.load(TINY_MODEL), tmp_path / "model.onnx"
    (words,) = (weight for weight in model.graph.initializer if weight.name == "words.weight")
    rows = onnx.numpy_helper.to_array(words)[:-1]
    words.CopyFrom(onnx.numpy_helper.from_array(rows, words.name))
    onnx.save(model, path)

    with pytest.raises(ModelFileError, match="its tokenizer .800 tokens. is not the model's"):
        ColaONNXPredictor(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"base_model": "tiny"', b'"base_mode_": "tiny"'),
        (b'["unacceptable", "acceptable"]', b'["unacceptable", "acceptible"]'),
    ],
)
def test_incomplete_metadata_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    with pytest.raises(ModelFileError, match="labels or lineage are incomplete"):
        ColaONNXPredictor(damaged(tmp_path / "model.onnx", old, new))


def test_metadata_that_is_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="metadata cannot be read"):
        ColaONNXPredictor(damaged(tmp_path / "model.onnx", b'{"base_model"', b'["base_model"'))


@pytest.mark.parametrize("content", [b"", b"not a model at all", TINY_MODEL.read_bytes()[:50_000]])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"model.onnx: not a model that ONNX Runtime can load"):
        ColaONNXPredictor(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ModelFileError, match=r"nowhere.onnx: No such file.*convert_model_to_onnx.py"
    ):
        ColaONNXPredictor(tmp_path / "nowhere.onnx")


def test_a_file_that_is_replaced_while_it_is_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "model.onnx", tmp_path / "other.onnx"
    for file in (path, other):
        file.write_bytes(TINY_MODEL.read_bytes())
    load = session.Session

    def replace_and_load(*arguments: Any, **options: Any) -> session.Session:
        other.replace(path)
        return load(*arguments, **options)

    monkeypatch.setattr(session, "Session", replace_and_load)
    with pytest.raises(ModelFileError, match="was replaced while it was being read"):
        session.open_session(path, threads=1)


def test_a_file_that_is_replaced_between_its_two_readings_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "model.onnx", tmp_path / "other.onnx"
    path.write_bytes(TINY_MODEL.read_bytes())
    damaged(other, b"\x18convert_model_to_onnx.py", b"\x18convert_model_to_ONNX.py")

    def open_and_replace(file: Path, threads: int) -> tuple[str, session.Session]:
        opened = session.open_session(file, threads)
        if other.exists():
            other.replace(path)
        return opened

    monkeypatch.setattr(onnx_predictor, "open_session", open_and_replace)
    with pytest.raises(ModelFileError, match="was replaced while it was being read"):
        ColaONNXPredictor(path, threads=1, single_threads=2)


def test_threads_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLA_THREADS", raising=False)
    assert available_cores() >= 1
    monkeypatch.setenv("COLA_THREADS", "3")
    assert available_cores() == 3
    assert ColaONNXPredictor(TINY_MODEL).threads == 3
    for wrong in ("0", "-1", "two", "1.5", "1025", "1" * 5000):
        monkeypatch.setenv("COLA_THREADS", wrong)
        with pytest.raises(ConfigError, match=f"COLA_THREADS={wrong}"):
            available_cores()
