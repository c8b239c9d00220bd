"""How fast an epoch is: batches as long as their sentences, against the tutorial's padding to 128 tokens.

    python benchmarks/training.py                            # on corpus/
    python benchmarks/training.py data.path=path/to/cola     # on CoLA

Both ways train the same model from the same weights with the same optimizer, in turn. Prints a table and, as its last
line, one JSON document, which it also writes to benchmarks/results/training.json.
"""

import json
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.progress import track
from rich.table import Table

from configs.schema import as_config
from data import DataModule
from model import ColaModel
from train import quieten
from training import provenance, weights
from training.callbacks import Throughput

ROUNDS = 5
# As many steps as take some seconds: a padded one takes about ten times as long.
WAYS = {
    "ours": (["processing.padding=longest", "processing.bucket=true"], 40),
    "padded to 128": (["processing.padding=max_length", "processing.bucket=false"], 6),
}


def main() -> None:
    quieten()
    speeds: dict[str, list[float]] = {name: [] for name in WAYS}
    corpus = ""
    for _ in track(range(ROUNDS), description="rounds"):
        for name, (overrides, steps) in WAYS.items():
            speed, corpus = sentences_per_second([*sys.argv[1:], *overrides], steps)
            speeds[name].append(speed)
    report(speeds, corpus)


def sentences_per_second(overrides: list[str], steps: int) -> tuple[float, str]:
    """Speed of the training steps alone, and the corpus they were measured on."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = as_config(compose("config", overrides))
    training = replace(config.training, pretext_epochs=0)

    pl.seed_everything(config.seed, verbose=False)
    tokenizer = weights.load_tokenizer(config.model)
    data = DataModule(tokenizer, config.data, config.processing, seed=config.seed)
    data.setup()

    network = weights.load_network(config.model, tokenizer)
    origin = provenance.collect(
        config,
        data.corpus.describe(),
        weights.architecture(network),
        weights.tokenizer_json(tokenizer),
    )
    model = ColaModel(
        network,
        training,
        origin,
        total_steps=data.training_steps(1, 1, training.limit_train_batches),
    )

    throughput = Throughput()
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_steps=steps,
            max_epochs=1,
            accelerator="cpu",
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            gradient_clip_val=training.gradient_clip,
            callbacks=[throughput],
            default_root_dir=folder,
        )
        trainer.fit(model, data)
    return throughput.sentences_per_second, data.corpus.name


def report(speeds: dict[str, list[float]], corpus: str) -> None:
    ratios = [
        ours / padded for ours, padded in zip(speeds["ours"], speeds["padded to 128"], strict=True)
    ]
    table = Table(title=f"training, sentences/s on {corpus}, {torch.get_num_threads()} threads")
    for column in ("way", "median", "min", "max"):
        table.add_column(column)
    for name, values in [*speeds.items(), ("ratio", ratios)]:
        table.add_row(name, *(f"{pick(values):.1f}" for pick in (statistics.median, min, max)))
    Console().print(table)
    document: dict[str, Any] = {
        "benchmark": "training",
        "corpus": corpus,
        "threads": torch.get_num_threads(),
        "rounds": ROUNDS,
        "sentences_per_second": {
            name: statistics.median(values) for name, values in speeds.items()
        },
        "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
    }
    path = ROOT / "benchmarks" / "results" / "training.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    main()
