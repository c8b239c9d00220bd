"""A checkpoint, and the digest of the very file that it was loaded from."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification

from commands.files import sha256_of
from errors import CheckpointError
from model import ColaModel
from training.provenance import Provenance


def load_with_digest(path: Path) -> tuple[ColaModel, str]:
    """Return the model of a checkpoint, and the SHA-256 of its file.

    A training run may end meanwhile and publish another checkpoint under this name.

    Raises:
        CheckpointError: The file is missing or damaged, or was replaced while it was being read.
    """
    # If the file is missing, load_checkpoint's error says what to do.
    sha256 = sha256_of(path) if path.is_file() else None
    model = load_checkpoint(path)

    if sha256 is None or sha256_of(path) != sha256:
        raise CheckpointError(f"{path}: was replaced while it was being read; try again")
    return model, sha256


def load_checkpoint(path: str | Path) -> ColaModel:
    """Return the model of a checkpoint, ready to predict; needs nothing but the file.

    Raises:
        CheckpointError: The file is missing, damaged or not one of ``train.py``'s.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        provenance = Provenance.from_json(checkpoint["cola"])

        network = AutoModelForSequenceClassification.from_config(
            AutoConfig.for_model(**provenance.network)
        )
        model = ColaModel(network, provenance.config.training, provenance)

        # An older checkpoint has no offset.
        model.load_state_dict({"offset": torch.zeros(2), **checkpoint["state_dict"]})
    except FileNotFoundError:
        raise CheckpointError(
            f"there is no checkpoint {path}; run `make train` to make one"
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})") from None
    except Exception as error:
        # torch and transformers raise errors of many kinds for what is damaged. Their messages do
        # not help: they tell how to load what one trusts, or list all weights of another network.
        raise CheckpointError(
            f"{path} is not a checkpoint of train.py ({type(error).__name__}); "
            "run `make train` to make one"
        ) from None

    _fold_offset(model)
    return model.eval()


def _fold_offset(model: ColaModel) -> None:
    """Make the offset part of the head, so that the network alone gives the final logits."""
    # BERT's head is one layer, ELECTRA's ends in one.
    head: Any = model.network.classifier
    bias: Tensor = getattr(head, "out_proj", head).bias
    bias.data += model.offset
    model.offset.zero_()
