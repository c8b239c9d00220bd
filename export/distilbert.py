"""DistilBERT as BERT: the same layers under other names, without token types and pooler."""

from collections.abc import Mapping

import torch
from transformers import BertConfig, BertModel, PreTrainedModel

NAMES: Mapping[str, str] = {
    "transformer.layer": "encoder.layer",
    "attention.q_lin": "attention.self.query",
    "attention.k_lin": "attention.self.key",
    "attention.v_lin": "attention.self.value",
    "attention.out_lin": "attention.output.dense",
    "sa_layer_norm": "attention.output.LayerNorm",
    "ffn.lin1": "intermediate.dense",
    "ffn.lin2": "output.dense",
    "output_layer_norm": "output.LayerNorm",
}
"""Parts of a weight's name: DistilBERT's and BERT's."""


def as_bert(distilbert: PreTrainedModel) -> BertModel:
    """Return an encoder of BERT's architecture with a copy of DistilBERT's weights.

    Args:
        distilbert: Transformers' ``DistilBertModel``; it is not changed.
    """
    config = distilbert.config
    bert = BertModel(
        BertConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.dim,
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
            intermediate_size=config.hidden_dim,
            hidden_act=config.activation,
            max_position_embeddings=config.max_position_embeddings,
            type_vocab_size=1,
        ),
        add_pooling_layer=False,
    )

    weights = {_bert_name(name): value for name, value in distilbert.state_dict().items()}
    weights["embeddings.token_type_embeddings.weight"] = torch.zeros(1, config.dim)
    bert.load_state_dict(weights)
    return bert


def _bert_name(name: str) -> str:
    for distilbert, bert in NAMES.items():
        name = name.replace(distilbert, bert)
    return name
