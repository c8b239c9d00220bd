"""Where pretrained weights and their tokenizer come from: a local folder, an installed package, then the Hub."""

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers
from huggingface_hub import HfApi, try_to_load_from_cache
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from errors import WeightsError
from prediction.types import LABELS

HUB_TIMEOUT = (
    3.0  # seconds; the libraries' own retries take half a minute to find that there is no network
)


def resolve(settings: Mapping[str, Any]) -> str:
    """What ``from_pretrained`` is to load: a folder, or a name that the Hub can serve (see ``configs/model``).

    Raises:
        WeightsError: nobody has them, or the package's file is not the one expected.
    """
    name, package = settings["name"], settings["package"]
    if not name:
        raise WeightsError(
            "model.name is empty; set it to a folder or a model of the Hub, or use model=minilm"
        )
    if Path(name).is_dir():
        return str(name)
    if package and (spec := importlib.util.find_spec(package)) and spec.origin:
        folder = Path(spec.origin).parent / "model"
        _check_digest(folder / "model.safetensors", settings["sha256"])
        return str(folder)
    if try_to_load_from_cache(name, "config.json", revision=settings["revision"]):
        return str(name)
    try:
        HfApi().model_info(name, revision=settings["revision"], timeout=HUB_TIMEOUT)
    except Exception as error:  # the Hub's client raises its own kinds; all mean: not from there
        raise WeightsError(
            f"model.name={name}: there is no such folder"
            + (f", the package {package} is not installed" if package else "")
            + f" and the Hub does not give it ({type(error).__name__}); set model.name to a folder, "
            "or use model=minilm, whose weights come with requirements.txt"
        ) from error
    return str(name)


def _check_digest(path: Path, expected: str | None) -> None:
    if expected is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise WeightsError(
            f"{path} has sha256 {found}, not model.sha256={expected}; reinstall requirements.txt"
        )


def load_tokenizer(settings: Mapping[str, Any]) -> PreTrainedTokenizerBase:
    """The model's tokenizer. Raises WeightsError if nobody has it."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        resolve(settings), revision=settings["revision"] or "main"
    )
    return tokenizer


def load_network(
    settings: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase
) -> PreTrainedModel:
    """The encoder with a new head for two labels. Raises WeightsError if nobody has the weights."""
    options: dict[str, Any] = {
        "num_labels": len(LABELS),
        "id2label": dict(enumerate(LABELS)),
        "label2id": {label: number for number, label in enumerate(LABELS)},
    }
    if (dropout := settings["dropout"]) is not None:
        options |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    network: PreTrainedModel
    if settings["from_scratch"] is not None:
        architecture = {**settings["from_scratch"], **options, "vocab_size": len(tokenizer)}
        network = AutoModelForSequenceClassification.from_config(
            AutoConfig.for_model(**architecture)
        )
        return network
    transformers.logging.set_verbosity_error()  # the head is new, as it should be: no need to report it
    transformers.logging.disable_progress_bar()
    network = AutoModelForSequenceClassification.from_pretrained(
        resolve(settings), revision=settings["revision"] or "main", **options
    )
    network.train()  # from_pretrained leaves it in evaluation mode: without dropout
    return network


def describe(
    settings: Mapping[str, Any], network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    """The part of a checkpoint's records that rebuilds network and tokenizer without their source."""
    return {
        "base_model": {key: settings[key] for key in ("name", "revision", "sha256")},
        "network": json.loads(network.config.to_json_string(use_diff=False)),
        "tokenizer": tokenizer_json(tokenizer),
        "labels": LABELS,
    }


def tokenizer_json(tokenizer: PreTrainedTokenizerBase) -> str:
    """tokenizer.json without the truncation and padding that its source may have set."""
    description = json.loads(tokenizer.backend_tokenizer.to_str())
    return json.dumps(description | {"truncation": None, "padding": None}, ensure_ascii=False)
