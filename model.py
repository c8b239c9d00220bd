"""The model: a pretrained encoder with a classification head, and how it is optimized.

A checkpoint written by ``train.py`` holds the weights and, under ``cola``, its own records, so that it can be
used without the hub, the package or the configuration it came from:

    base_model          {"name", "revision", "sha256"}
    network             the architecture, as transformers' configuration dictionary
    tokenizer           tokenizer.json as one string, without truncation and padding
    labels              names by number: ["unacceptable", "acceptable"]
    max_length          tokens
    config              the run's resolved configuration
    corpus              name, sha256, counts (``data.Corpus.describe``)
    git_commit, packages, created
    validation_metrics  {"overall": {"mcc": ...}, "in_domain": ..., "out_of_domain": ...}
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    get_linear_schedule_with_warmup,
)

from errors import CheckpointError
from training.examples import NO_LABEL, Batch
from training.metrics import evaluate
from training.validation import Validation, ValidationRows


class ColaModel(pl.LightningModule):
    """Tells acceptable sentences from unacceptable ones.

    Args:
        network: a transformers model for sequence classification with two labels.
        training: the ``training`` group of the configuration.
        records: what the checkpoint says of itself (see this module's docstring).
    """

    def __init__(
        self, network: PreTrainedModel, training: Mapping[str, Any], records: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.network, self.training_settings, self.records = network, training, dict(records)
        self.validation_rows = ValidationRows()
        self.validation: Validation | None = None
        self.token_head = (
            nn.Linear(network.config.hidden_size, 2) if training["pretask_epochs"] else None
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits, float [sentences, 2], of tokens, int [sentences, tokens]."""
        logits: Tensor = self.network(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if "token_label" in batch:
            return self._pretask_loss(batch)
        embeddings = self.network.get_input_embeddings()(batch["input_ids"])
        loss = self._sentence_loss(embeddings, batch)
        self.log("train/loss", loss, prog_bar=True)
        if step := self.training_settings["adversarial"]:
            loss = loss + self._sentence_loss(
                embeddings + step * worst_direction(loss, embeddings), batch
            )
        if (
            self.token_head is not None
        ):  # processes that train together expect a gradient for each parameter
            loss = loss + 0.0 * (self.token_head.weight.sum() + self.token_head.bias.sum())
        return loss

    def _sentence_loss(self, embeddings: Tensor, batch: Batch) -> Tensor:
        logits = self.network(
            inputs_embeds=embeddings, attention_mask=batch["attention_mask"]
        ).logits
        return self._cross_entropy(logits, batch)

    def _pretask_loss(self, batch: Batch) -> Tensor:
        """Of telling broken sentences from whole ones, and which of their tokens are wrong."""
        assert self.token_head is not None
        outputs = self.network(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            output_hidden_states=True,
        )
        loss = self._cross_entropy(outputs.logits, batch)
        self.log("train/loss", loss, prog_bar=True)
        logits = self.token_head(outputs.hidden_states[-1]).flatten(0, 1)
        label = batch["token_label"].flatten()
        total = functional.cross_entropy(logits, label, ignore_index=NO_LABEL, reduction="sum")
        return loss + total / (label != NO_LABEL).sum().clamp(
            min=1
        )  # a batch may have no labelled token

    def _cross_entropy(self, logits: Tensor, batch: Batch) -> Tensor:
        smoothing = self.training_settings["label_smoothing"]
        return functional.cross_entropy(logits, batch["label"], label_smoothing=smoothing)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        # Lightning's own refuses a fused optimizer under bf16, without need: gradients are not scaled there.
        norm = nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val or float("inf"))
        self.log("train/gradient_norm", norm)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        with torch.autocast(
            self.device.type, enabled=False
        ):  # judged in fp32, as the exported model will be
            logits = self(batch["input_ids"], batch["attention_mask"])
        self.validation_rows.update(batch["index"], batch["label"], logits)

    def on_validation_epoch_end(self) -> None:
        self.validation = Validation.from_rows(self.validation_rows.compute())
        self.validation_rows.reset()
        splits = self.trainer.datamodule.corpus.validation_splits  # type: ignore[attr-defined]
        results = evaluate(
            self.validation.probability,
            self.validation.label,
            [splits[i] for i in self.validation.index],
        )
        self.records["validation_metrics"] = results
        loss = functional.cross_entropy(self.validation.logits, self.validation.label)
        self.log("val/loss", loss, sync_dist=True)
        for group, values in results.items():
            suffix = "" if group == "overall" else f"_{group}"
            for name, value in values.items():
                if value is not None and name != "sentences":
                    self.log(
                        f"val/{name}{suffix}",
                        value,
                        prog_bar=name + suffix == "mcc",
                        sync_dist=True,
                    )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["cola"] = self.records

    def configure_optimizers(self) -> OptimizerLRScheduler:
        settings = self.training_settings
        if settings["optimizer"] == "adam":
            return torch.optim.Adam(self.parameters(), lr=settings["lr"])
        groups = parameter_groups(
            self, settings["lr"], settings["weight_decay"], settings["layer_decay"]
        )
        optimizer = torch.optim.AdamW(groups, fused=True)
        trainer, data = self.trainer, self.trainer.datamodule  # type: ignore[attr-defined]
        steps = data.training_steps(
            trainer.max_epochs, trainer.world_size, settings["limit_train_batches"]
        )
        schedule = get_linear_schedule_with_warmup(
            optimizer, int(settings["warmup_share"] * steps), steps
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def worst_direction(loss: Tensor, embeddings: Tensor) -> Tensor:
    """For each sentence the direction of length 1 in which its embeddings raise the loss most, float [sentences,
    tokens, width] as ``embeddings`` (adversarial training for text: Miyato et al. 2017, section 3)."""
    gradient: Tensor = torch.autograd.grad(loss, embeddings, retain_graph=True)[0]
    direction: Tensor = gradient / gradient.flatten(1).norm(dim=1).clamp(min=1e-12)[:, None, None]
    return direction


def parameter_groups(
    model: ColaModel, lr: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Optimizer groups: biases and norms are not decayed; each layer's rate is ``layer_decay`` times the next one's.

    The head has depth 0 and the full rate, the top encoder layer depth 1, the embeddings the greatest depth
    (layer-wise learning-rate decay: Howard and Ruder 2018).
    """
    layers = int(model.network.config.num_hidden_layers)
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        depth = _depth(name, layers)
        decayed = parameter.ndim > 1
        group = groups.setdefault(
            (depth, decayed),
            {
                "params": [],
                "lr": lr * layer_decay**depth,
                "weight_decay": weight_decay if decayed else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())


def _depth(parameter_name: str, layers: int) -> int:
    parts = parameter_name.split(".")
    if "embeddings" in parts:
        return layers + 1
    if "layer" in parts:
        return layers - int(parts[parts.index("layer") + 1])
    return 0


def load_checkpoint(path: str | Path) -> ColaModel:
    """The model of a checkpoint, ready to predict; needs nothing but the file.

    Raises:
        CheckpointError: the file is missing, damaged or not one of ``train.py``'s.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        records, weights = checkpoint["cola"], checkpoint["state_dict"]
    except FileNotFoundError as error:
        raise CheckpointError(
            f"there is no checkpoint {path}; run `make train` to make one"
        ) from error
    except Exception as error:  # torch raises many kinds for a damaged file
        raise CheckpointError(
            f"{path} is not a checkpoint of train.py ({type(error).__name__}); run `make train` to make one"
        ) from error
    network = AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model(**records["network"])
    )
    model = ColaModel(network, records["config"]["training"], records)
    model.load_state_dict(weights)
    return model.eval()
