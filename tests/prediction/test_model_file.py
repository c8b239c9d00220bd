"""What a model file says about itself, read and written."""

import json

import onnxruntime as ort
import pytest

from prediction.model_file import Lineage, Reference
from tests.helpers.tiny_model import TINY_MODEL


@pytest.fixture(scope="module")
def metadata() -> dict[str, str]:
    session = ort.InferenceSession(TINY_MODEL)
    return dict(session.get_modelmeta().custom_metadata_map)


def test_a_lineage_is_written_as_it_was_read(metadata: dict[str, str]) -> None:
    document = json.loads(metadata["lineage"])
    lineage = Lineage.from_json(document)

    # This file is older than these keys.
    later = {"largest_margin": None, "validated_on": None}
    assert json.loads(json.dumps(lineage.to_json())) == document | later
    assert [key for key in lineage.to_json() if key not in later] == list(document)
    assert lineage.mcc == document["metrics"]["overall"]["mcc"]


def test_a_reference_of_an_earlier_version_can_be_read(metadata: dict[str, str]) -> None:
    document = json.loads(metadata["reference"])
    earlier = {**document, "characters_histogram": {"edges": [0, 1], "shares": [1.0]}}

    assert Reference.from_json(earlier) == Reference.from_json(document)
    assert Reference.from_json(document).to_json().items() <= document.items()


@pytest.mark.parametrize("key", ["base_model", "corpus", "vocabulary", "precision"])
def test_a_lineage_without_what_each_file_has_is_refused(
    metadata: dict[str, str], key: str
) -> None:
    document = json.loads(metadata["lineage"])
    del document[key]

    with pytest.raises(KeyError, match=key):
        Lineage.from_json(document)


def test_a_file_without_metrics_has_no_mcc(metadata: dict[str, str]) -> None:
    document = json.loads(metadata["lineage"])
    del document["metrics"]

    with pytest.raises(KeyError):
        Lineage.from_json(document).mcc  # noqa: B018
