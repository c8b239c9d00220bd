"""How fast an epoch is: as it is trained, padded to 128 tokens, and with MKL's matrix products.

    python -m benchmarks.training                            # on corpus/
    python -m benchmarks.training data.path=path/to/cola     # on CoLA

All ways train the same model from the same weights with the same optimizer, in fp32 and in turn.
Prints a table and, as its last line, one JSON document, which it also writes to
benchmarks/results/training.json.
"""

import argparse
import statistics
import tempfile
from dataclasses import dataclass, replace

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import results
from benchmarks.documents import Training
from benchmarks.inputs import composed
from configs.schema import Config
from data import DataModule
from model import ColaModel
from training import provenance, weights
from training.callbacks import Throughput
from training.precision import multiply_with_onednn
from training.trainer import quieten

ROUNDS = 5


@dataclass(frozen=True)
class Way:
    """One way to train, and as many steps as take some seconds."""

    overrides: tuple[str, ...]
    steps: int
    with_onednn: bool = True


BUCKETS = ("processing.padding=longest", "processing.bucket=true")

WAYS = {
    "ours": Way(BUCKETS, steps=40),
    "multiplied by MKL": Way(BUCKETS, steps=40, with_onednn=False),
    # A padded step takes about ten times as long.
    "padded to 128": Way(("processing.padding=max_length", "processing.bucket=false"), steps=6),
}


def main() -> None:
    """Train all ways in turn; print and record the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("overrides", nargs="*", help="of the configuration, such as data.path=...")
    overrides: list[str] = parser.parse_args().overrides

    # Lightning would warn, in every run, of what is done here on purpose.
    quieten()
    speeds: dict[str, list[float]] = {name: [] for name in WAYS}
    corpus = ""
    # In turn, because a machine's speed changes within minutes.
    for _ in track(range(ROUNDS), description="rounds"):
        for name, way in WAYS.items():
            config = composed([*overrides, *way.overrides])
            speed, corpus = sentences_per_second(config, way)
            speeds[name].append(speed)

    report(speeds, corpus)


def sentences_per_second(config: Config, way: Way) -> tuple[float, str]:
    """Return the speed of the training steps alone, and the corpus they were measured on."""
    # The corpus's epochs alone: those of the pretext task have other sentences.
    training = replace(config.training, pretext_epochs=0)
    pl.seed_everything(config.seed, verbose=False)
    # The setting is the process's: the way before may have changed it.
    torch.backends.mkldnn.matmul.fp32_precision = "ieee"  # type: ignore[attr-defined]
    if way.with_onednn:
        multiply_with_onednn()

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
    steps = data.training_steps(1, 1, training.limit_train_batches)
    model = ColaModel(network, training, origin, steps=steps)

    # Everything that is not a training step is off: it would cost the same either way.
    throughput = Throughput()
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_steps=way.steps,
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
    """Print a table of the speeds (sentences/s of each round) and record them."""
    # Each round has a ratio of its own, so that slow minutes hit both sides of it.
    ratios = {
        name: [ours / other for ours, other in zip(speeds["ours"], speed, strict=True)]
        for name, speed in speeds.items()
        if name != "ours"
    }

    table = Table(title=f"training, sentences/s on {corpus}, {torch.get_num_threads()} threads")
    for column in ("way", "median", "min", "max"):
        table.add_column(column)
    over = {f"ours / {name}": values for name, values in ratios.items()}
    for name, values in {**speeds, **over}.items():
        table.add_row(name, *(f"{pick(values):.1f}" for pick in (statistics.median, min, max)))
    Console().print(table)

    result: Training = {
        "corpus": corpus,
        "threads": torch.get_num_threads(),
        "rounds": ROUNDS,
        "sentences_per_second": {
            name: statistics.median(values) for name, values in speeds.items()
        },
        "ratios": {name: results.spread(values) for name, values in ratios.items()},
    }
    results.record("training", result)


if __name__ == "__main__":
    main()
