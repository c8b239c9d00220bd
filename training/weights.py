"""Where pretrained weights and tokenizer come from: a folder, an installed package, the Hub."""

import importlib.util
import json
import os
import re
import shutil
from pathlib import Path

import transformers
from huggingface_hub import HfApi, try_to_load_from_cache
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from commands.files import sha256_of
from configs.schema import ModelConfig
from errors import WeightsError
from prediction.types import LABELS
from training import dequantization
from training.provenance import Architecture

HUB_TIMEOUT = 3.0
"""Seconds until the Hub is given up; the libraries' own retries take half a minute to find that
there is no network.
"""


def resolve(config: ModelConfig) -> str:
    """Return what ``from_pretrained`` is to load: a folder, or a name that the Hub can serve.

    Raises:
        WeightsError: Nobody has the weights, the folder has no model, the package's file is not the
            one expected, or the configuration does not say which of the Hub's commits it wants.
    """
    if not config.name:
        raise WeightsError(
            "model.name is empty; set it to a folder or a model of the Hub, or use model=minilm"
        )
    if Path(config.name).is_dir():
        _require_model(Path(config.name))
        return config.name

    # A package is asked before the Hub: it needs no network, and its digest is known.
    if (folder := _package_folder(config.package)) is not None:
        if config.quantized is not None:
            return str(_dequantized(folder / config.quantized, config.sha256))
        folder /= "model"
        _check_digest(folder / "model.safetensors", config.sha256)
        return str(folder)

    if config.quantized is not None:
        raise WeightsError(
            f"model.package={config.package} is not installed, and nobody else has the weights of"
            f" {config.name}; install requirements.txt"
        )

    _require_commit(config)
    if not try_to_load_from_cache(config.name, "config.json", revision=config.revision):
        _ask_hub(config)
    return config.name


def _require_model(folder: Path) -> None:
    """Refuse a folder that happens to have the name, as ``docs`` would."""
    if not (folder / "config.json").is_file():
        raise WeightsError(
            f"model.name={folder}: that folder has no config.json, as transformers' "
            "save_pretrained writes it; set model.name to another folder or a model of the Hub"
        )


def _package_folder(package: str | None) -> Path | None:
    """Return the package's folder; None if it is not installed."""
    try:
        spec = importlib.util.find_spec(package) if package else None
    except ModuleNotFoundError:
        # For a.b, find_spec imports a, which is not installed either.
        return None
    return Path(spec.origin).parent if spec and spec.origin else None


def _dequantized(quantized: Path, sha256: str | None) -> Path:
    """Return a folder with the float weights of an int8 file, which is written on first use.

    Raises:
        WeightsError: The file is not the one expected, or the folder cannot be written.
    """
    _check_digest(quantized, sha256)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "cola" / f"{quantized.parent.name}-{sha256_of(quantized)[:16]}"
    if folder.is_dir():
        return folder

    # The folder has another name until it is complete; another process may be quicker.
    temporary = folder.with_name(f"{folder.name}-{os.getpid()}")
    try:
        dequantization.convert(quantized, quantized.with_name("tokenizer.json"), temporary)
        temporary.rename(folder)
    except OSError as error:
        if not folder.is_dir():
            raise WeightsError(
                f"{cache} cannot be written ({error.strerror or error}); set XDG_CACHE_HOME to a"
                " folder for the weights of model.quantized, 0.3 GB"
            ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _check_digest(path: Path, expected: str | None) -> None:
    if expected is None:
        return

    actual = sha256_of(path)
    if actual != expected:
        raise WeightsError(
            f"{path} has sha256 {actual}, not model.sha256={expected}; reinstall requirements.txt"
        )


def _require_commit(config: ModelConfig) -> None:
    """Refuse a branch or nothing: whoever owns the model could exchange the weights behind it."""
    if re.fullmatch("[0-9a-f]{40}", config.revision or "") is None:
        raise WeightsError(
            f"model.name={config.name}: there is no such folder or package, and the Hub serves by"
            f" commit only, not model.revision={config.revision or 'null'}; give the 40 digits that"
            " the model's page shows under 'Files and versions'"
        )


def _ask_hub(config: ModelConfig) -> None:
    """Raise WeightsError if the Hub does not have the model, or does not answer in time."""
    try:
        HfApi().model_info(config.name, revision=config.revision, timeout=HUB_TIMEOUT)
    except Exception as error:
        # The Hub's client raises errors of several libraries; all of them mean: not from there.
        package = f", the package {config.package} is not installed" if config.package else ""
        raise WeightsError(
            f"model.name={config.name}: there is no such folder{package}"
            f" and the Hub does not give its commit {config.revision} ({type(error).__name__});"
            " set model.name to a folder, or use model=minilm, whose weights come with"
            " requirements.txt"
        ) from error


def load_tokenizer(config: ModelConfig) -> PreTrainedTokenizerBase:
    """Return the model's tokenizer.

    Raises:
        WeightsError: Nobody has it.
    """
    # As in prediction: a text that says "[SEP]" is five characters, not the end of a sentence.
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        resolve(config), revision=config.revision or "main", split_special_tokens=True
    )

    # Where there is none, transformers makes one that knows no word.
    if set(tokenizer.get_vocab().values()) <= set(tokenizer.all_special_ids):
        raise WeightsError(
            f"model.name={config.name}: there is no tokenizer beside the weights; write it there "
            "with its save_pretrained"
        )
    return tokenizer


def load_network(config: ModelConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """Return the encoder with a new head for two labels.

    Raises:
        WeightsError: Nobody has the weights.
    """
    labels: dict[str, object] = {
        "num_labels": len(LABELS),
        "id2label": dict(enumerate(LABELS)),
        "label2id": {label: number for number, label in enumerate(LABELS)},
    }

    # "eager" is at least as fast as torch's fused attention on a CPU, at the length of sentences.
    attention = "eager"

    network: PreTrainedModel
    if config.from_scratch is not None:
        shape = {**config.from_scratch, **labels, "vocab_size": len(tokenizer)}
        description = AutoConfig.for_model(**shape)
        _set_dropout(description, config)
        network = AutoModelForSequenceClassification.from_config(
            description, attn_implementation=attention
        )
        return network

    # Otherwise transformers reports that the head has no pretrained weights, as is intended.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    source, revision = resolve(config), config.revision or "main"
    description = AutoConfig.from_pretrained(source, revision=revision, **labels)
    _set_dropout(description, config)
    network = AutoModelForSequenceClassification.from_pretrained(
        source, revision=revision, config=description, attn_implementation=attention
    )

    # from_pretrained leaves it in evaluation mode, without dropout.
    network.train()
    return network


def _set_dropout(description: PretrainedConfig, config: ModelConfig) -> None:
    """Set the dropouts that the configuration names, by the names that each architecture uses."""
    hidden = {"hidden_dropout_prob", "dropout"}
    head = {"classifier_dropout", "seq_classif_dropout", "pooler_dropout", "cls_dropout"}
    attention = {"attention_probs_dropout_prob", "attention_dropout"}

    for value, names in (
        (config.dropout, hidden | head | attention),
        (config.attention_dropout, attention),
    ):
        for name in names:
            # Without one of its own, a head has that of the hidden layers.
            if value is not None and getattr(description, name, None) is not None:
                setattr(description, name, value)


def architecture(network: PreTrainedModel) -> Architecture:
    """Return transformers' configuration dictionary, complete enough to rebuild the network."""
    complete: Architecture = json.loads(network.config.to_json_string(use_diff=False))
    return complete


def tokenizer_json(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return ``tokenizer.json`` without the truncation and padding that its source may have set."""
    description = json.loads(tokenizer.backend_tokenizer.to_str())
    return json.dumps(description | {"truncation": None, "padding": None}, ensure_ascii=False)
