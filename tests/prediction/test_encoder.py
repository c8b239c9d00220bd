"""What the command lines and servers do not reach through the predictor's own tests."""

import random
import time

import onnxruntime as ort
import pytest
from tokenizers import Tokenizer

from errors import InvalidText
from prediction.encoder import TextEncoder
from tests.helpers.tiny_model import TINY_MODEL


@pytest.fixture(scope="module")
def tokenizer_json() -> str:
    model = TINY_MODEL
    return str(ort.InferenceSession(model).get_modelmeta().custom_metadata_map["tokenizer"])


def test_the_limit_counts_special_tokens(tokenizer_json: str) -> None:
    encoded = TextEncoder(tokenizer_json, 5).encode("the cat sees the dog")
    assert len(encoded.ids) == 5
    assert encoded.truncated
    assert not TextEncoder(tokenizer_json, 32).encode("the cat sees the dog").truncated


def test_settings_of_the_tokenizer_file_do_not_matter(tokenizer_json: str) -> None:
    padding = (
        '"padding":{"strategy":{"Fixed":128},"direction":"Right","pad_to_multiple_of":null,'
        '"pad_id":0,"pad_type_id":0,"pad_token":"[PAD]"}'
    )
    padded = tokenizer_json.replace('"padding":null', padding)
    padded = padded.replace('"padding": null', padding)
    assert padded != tokenizer_json
    text = "the cat sees the dog"
    assert TextEncoder(padded, 32).encode(text) == TextEncoder(tokenizer_json, 32).encode(text)


def test_special_tokens_in_a_text_are_text(tokenizer_json: str) -> None:
    encoder = TextEncoder(tokenizer_json, 32)
    plain = encoder.encode("the cat").ids
    marked = encoder.encode("the [SEP] cat").ids
    assert marked.count(plain[-1]) == 1
    assert len(marked) > len(plain) + 1


# Long texts are not read to their end


def texts(dice: random.Random) -> list[str]:
    """Return long texts of odd shapes: words of any length, no spaces, marks, other scripts."""
    words = ["the", "cat", "unbelievable", "x" * 40, "y" * 90, "z" * 500, "\u4e2d\u6587", "e\u0301"]
    spaces = [" ", "  ", "\n", "", "-", "\u3000", "\u200b"]
    return [
        "".join(dice.choice(words) + dice.choice(spaces) for _ in range(dice.randrange(5, 3000)))
        for _ in range(60)
    ] + ["a" * 10_000, "\u4e2d" * 10_000, "\u0301" * 10_000 + "a", " " * 9000 + "the cat"]


@pytest.mark.parametrize("max_length", [8, 128])
def test_a_long_text_gives_the_tokens_of_the_whole(tokenizer_json: str, max_length: int) -> None:
    whole = Tokenizer.from_str(tokenizer_json)
    whole.no_padding()
    whole.enable_truncation(max_length)
    whole.encode_special_tokens = True
    encoder = TextEncoder(tokenizer_json, max_length)
    for text in texts(random.Random(0)):
        expected = whole.encode(text)
        encoded = encoder.encode(text)
        assert encoded.ids == expected.ids
        assert encoded.truncated == bool(expected.overflowing)


def test_a_long_text_costs_hardly_more_than_a_short_one(tokenizer_json: str) -> None:
    encoder = TextEncoder(tokenizer_json, 128)
    started = time.perf_counter()
    encoder.encode("the cat sees the dog " * 50_000)
    assert time.perf_counter() - started < 0.1


def test_half_a_character_is_refused_at_the_end_of_a_long_text_too(tokenizer_json: str) -> None:
    with pytest.raises(InvalidText, match="not UTF-8, or half of a surrogate pair"):
        TextEncoder(tokenizer_json, 8).encode("the cat " * 5000 + "\ud800")
