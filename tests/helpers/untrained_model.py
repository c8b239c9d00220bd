"""An untrained model, built from a configuration as ``train.py`` builds it, and a batch for it."""

import torch

from configs.schema import Config
from model import ColaModel
from training import provenance, weights
from training.examples import Batch
from training.provenance import CorpusFacts

NO_CORPUS = CorpusFacts(
    name="none",
    sha256="",
    sentences={},
    acceptable={},
    duplicated=0,
    contradictory=0,
    leaked=0,
    skipped_sources={},
)


def build_model(config: Config) -> ColaModel:
    """Return a model that has seen no corpus."""
    tokenizer = weights.load_tokenizer(config.model)
    network = weights.load_network(config.model, tokenizer)
    origin = provenance.collect(
        config, NO_CORPUS, weights.architecture(network), weights.tokenizer_json(tokenizer)
    )
    return ColaModel(network, config.training, origin)


def batch_of_three() -> Batch:
    """Return random sentences of seven, five and three tokens."""
    ids = torch.randint(5, 100, (3, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1] * 7, [1] * 5 + [0] * 2, [1] * 3 + [0] * 4])
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "label": torch.tensor([0, 1, 0]),
        "index": torch.arange(3),
    }
