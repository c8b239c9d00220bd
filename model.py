"""Chapter 3: the model, a pretrained encoder with a classification head, and its optimizer.

A checkpoint written by ``train.py`` holds the weights and, as the entry ``cola``, its provenance
(``training.provenance.Provenance``), so that it can be used without the hub, the package or the
configuration it came from.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from configs.training_schema import TrainingConfig
from corpus.format import IN_DOMAIN, TRAIN
from errors import CheckpointError, ConfigError
from training.adversarial import WorstDirections
from training.examples import NO_LABEL, Batch
from training.last_layer import FirstTokenHook
from training.metrics import evaluate, logged
from training.optimization import make_optimizer
from training.provenance import Provenance, require_same_settings
from training.schedule import NO_STEPS, Steps, peak_at
from training.validation import Validation, ValidationRows, offset_to_rate


class ColaModel(pl.LightningModule):
    """Distinguishes acceptable from unacceptable sentences.

    Args:
        network: A transformers model for sequence classification with two labels.
        config: The ``training`` group of the configuration.
        provenance: What a checkpoint of this model says about itself.
        validation_splits: The split of each validation sentence; needed to validate.
        steps: Optimizer steps of the whole run; needed to train with AdamW.

    Attributes:
        provenance: The argument, with the metrics of the last validation.
        validation: Predictions of the last validation; None before the first.
        offset: Added to the logits, which moves the decision threshold; float [2].
    """

    offset: Tensor

    def __init__(
        self,
        network: PreTrainedModel,
        config: TrainingConfig,
        provenance: Provenance,
        *,
        validation_splits: Sequence[str] = (),
        steps: Steps = NO_STEPS,
    ) -> None:
        super().__init__()
        self.network, self.config, self.provenance = network, config, provenance
        self.validation_splits, self.steps = validation_splits, steps

        self.validation_rows = ValidationRows()
        self.validation: Validation | None = None

        # The head of the pretext task: which tokens are wrong.
        self.token_head = (
            nn.Linear(network.config.hidden_size, 2) if config.pretext_epochs else None
        )

        self.register_buffer("offset", torch.zeros(2))
        self.first_token_hook = FirstTokenHook(network)
        self.worst_directions = WorstDirections()
        if config.freeze_words:
            network.get_input_embeddings().weight.requires_grad_(False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Compute the network's logits, without the offset.

        Args:
            input_ids: int64 [sentences, tokens].
            attention_mask: 1 for a token, 0 for padding, int64 [sentences, tokens].

        Returns:
            float [sentences, 2].
        """
        logits: Tensor = self.network(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Begin the corpus with an optimizer that has seen no gradient of the pretext task."""
        if self.config.pretext_lr is not None and self.global_step == self.steps.pretext:
            self.trainer.optimizers[0].state.clear()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the loss of a batch, of the pretext task if its tokens are labelled."""
        if "token_label" in batch:
            return self._pretext_loss(batch)

        embeddings = self.network.get_input_embeddings()(batch["input_ids"])
        if radius := self.config.adversarial:
            embeddings = embeddings + radius * self.worst_directions.directions_of(
                batch, embeddings
            )

            # Frozen word embeddings do not require a gradient by themselves, which the hook needs.
            embeddings.requires_grad_()
            embeddings.register_hook(lambda grad: self.worst_directions.update(batch, grad))

        logits = self.network(
            inputs_embeds=embeddings, attention_mask=batch["attention_mask"]
        ).logits
        loss = self._cross_entropy(logits, batch)
        self.log("train/loss", loss, prog_bar=True)

        # DDP needs a gradient for every parameter, so also for the head of the pretext task.
        if self.token_head is not None:
            loss = loss + 0.0 * (self.token_head.weight.sum() + self.token_head.bias.sum())
        return loss

    def _pretext_loss(self, batch: Batch) -> Tensor:
        """Compute how well it finds the broken sentences and, in them, the wrong tokens."""
        assert self.token_head is not None
        with self.first_token_hook.paused():
            outputs = self.network(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                output_hidden_states=True,
            )
        loss = self._cross_entropy(outputs.logits, batch)
        self.log("train/loss", loss, prog_bar=True)

        # One row per token of all sentences.
        logits = self.token_head(outputs.hidden_states[-1]).flatten(0, 1)
        label = batch["token_label"].flatten()
        total = functional.cross_entropy(logits, label, ignore_index=NO_LABEL, reduction="sum")

        # The mean over the labelled tokens; a batch may have none.
        return loss + total / (label != NO_LABEL).sum().clamp(min=1)

    def _cross_entropy(self, logits: Tensor, batch: Batch) -> Tensor:
        return functional.cross_entropy(
            logits, batch["label"], label_smoothing=self.config.label_smoothing
        )

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient to its largest norm, and log the norm before."""
        # Lightning's own clipping refuses a fused optimizer under bf16, where it would do no harm:
        # gradients are scaled under fp16 only.
        norm = nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val or float("inf"))
        self.log("train/gradient_norm", norm)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect the predictions for a batch."""
        # Evaluated in fp32, as the exported model will be, also where training is in bf16.
        with torch.autocast(self.device.type, enabled=False):
            logits = self(batch["input_ids"], batch["attention_mask"])
        self.validation_rows.update(batch["index"], batch["label"], logits)

    def on_validation_epoch_end(self) -> None:
        """Evaluate all predictions at once; log the metrics and keep them for the checkpoint.

        Raises:
            ConfigError: A prediction is not a number.
        """
        result = Validation.from_rows(self.validation_rows.compute())
        self.validation_rows.reset()

        # Such a model would call each sentence unacceptable, with an MCC of 0.
        if not result.logits.isfinite().all():
            peak = peak_at(self.global_step - 1, self.steps, self.config)
            raise ConfigError(f"training diverged, a prediction is not a number; lower {peak}")

        splits = [self.validation_splits[index] for index in result.index]

        if self.config.match_rate:
            in_domain = torch.tensor([split == IN_DOMAIN for split in splits])
            self._match_rate(result.logits[in_domain])
            result = replace(result, logits=result.logits + self.offset.cpu())
        self.validation = result

        metrics = evaluate(result.probability, result.label, splits)
        self.provenance = replace(self.provenance, validation_metrics=metrics)

        # As a Python number: Lightning moves it to the device, since NCCL cannot reduce CPU
        # tensors. It is equal on all processes; sync_dist only silences a warning.
        loss = functional.cross_entropy(result.logits, result.label)
        self.log("val/loss", float(loss), sync_dist=True)
        for name, value in logged(metrics).items():
            self.log(name, value, prog_bar=name == "val/mcc", sync_dist=True)

    def _match_rate(self, logits: Tensor) -> None:
        """Call as large a share of sentences acceptable as is acceptable in training.

        The decision threshold of a network differs more from seed to seed than how it ranks
        sentences.

        Args:
            logits: Logits of the in-domain validation sentences, float [sentences, 2]; their
                labels are not used.
        """
        corpus = self.provenance.corpus
        rate = corpus.acceptable[TRAIN] / corpus.sentences[TRAIN]
        self.offset.copy_(offset_to_rate(logits, rate))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the provenance, and to a checkpoint to resume from the worst directions."""
        checkpoint["cola"] = self.provenance.to_json()
        if "optimizer_states" in checkpoint:
            checkpoint["worst_directions"] = self.worst_directions.of_all_processes()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the worst directions of the interrupted run.

        Raises:
            CheckpointError: That run had other settings, or another number of processes.
        """
        if "optimizer_states" not in checkpoint:
            return
        require_same_settings(Provenance.from_json(checkpoint["cola"]), self.provenance)

        # Batches are dealt out by the number of processes.
        directions = checkpoint["worst_directions"]
        if len(directions) != self.trainer.world_size:
            raise CheckpointError(
                f"training.resume={self.config.resume}: that run had {len(directions)} "
                "process(es); resume it with as many"
            )
        self.worst_directions.by_index = directions[self.trainer.global_rank]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and its schedule."""
        layers = int(self.network.config.num_hidden_layers)
        return make_optimizer(self, layers, self.config, self.steps)
