"""What the command lines and servers do not reach through the predictor's own tests."""

import onnxruntime as ort
import pytest

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
