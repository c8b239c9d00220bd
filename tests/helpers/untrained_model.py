"""An untrained model, built from a configuration as ``train.py`` builds it."""

from configs.schema import Config
from model import ColaModel
from training import provenance, weights
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
