"""How fast a sentence is judged: PyTorch as the tutorial runs it, PyTorch without padding to 128, ONNX fp32 and int8.

    python benchmarks/inference.py [models/best-checkpoint.ckpt]

Sentences come in random order, in batches of 1, 8 and 32, on one and two threads; all contestants take turns. Prints a
table and, as its last line, one JSON document, which it also writes to benchmarks/results/inference.json.
"""

import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from rich.progress import track
from rich.table import Table

from export import model_file, packing, quantization, variants
from export.variants import Feed, Subject, packed_rows, padded_batches
from prediction.model_file import Reference
from prediction.onnx_predictor import ColaONNXPredictor

BATCH_SIZES = (1, 8, 32)
THREADS = (1, 2)
ROUNDS = 5
SENTENCES = {"eager, padded to 128": 32}  # a round of the slowest
OTHER_SENTENCES = 192
Run = Callable[[Feed], object]


def main() -> None:
    torch.set_grad_enabled(False)
    checkpoint = Path(sys.argv[1] if len(sys.argv) > 1 else "models/best-checkpoint.ckpt")
    subject = variants.prepare(checkpoint, {}, calibrate=False)
    order = random.Random(0).sample(range(len(subject.sentences)), OTHER_SENTENCES)
    texts = [subject.texts[place] for place in order]
    sentences = [subject.sentences[place] for place in order]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = export_both(subject, Path(folder))
        for threads in track(THREADS, description="threads"):
            rows += measure(subject, files, threads, sentences, texts)
    report(rows, gemm_share(subject, sentences, rows))


def export_both(subject: Subject, folder: Path) -> dict[str, Path]:
    """Model files at both precisions, quantized as convert_model_to_onnx.py does."""
    graph = packing.to_onnx(subject.model.network)
    largest = quantization.observe(graph, padded_batches(subject.calibration_sentences, 1))
    graphs = {"fp32": graph, "int8": quantization.quantize(graph, quantization.SCHEMES[0], largest)}
    for precision, model in graphs.items():
        lineage = model_file.describe_lineage(subject.model.provenance, precision)
        model_file.write(
            folder / f"{precision}.onnx",
            model,
            subject.model.provenance,
            lineage,
            Reference.empty(),
        )
    return {precision: folder / f"{precision}.onnx" for precision in graphs}


def measure(
    subject: Subject,
    files: dict[str, Path],
    threads: int,
    sentences: list[list[int]],
    texts: list[str],
) -> list[dict[str, Any]]:
    """Each contestant's sentences/s (median of the rounds) and latency of a batch."""
    torch.set_num_threads(threads)
    sessions = {precision: open_session(path, threads) for precision, path in files.items()}
    predictors = {
        precision: ColaONNXPredictor(path, threads=threads) for precision, path in files.items()
    }
    contestants: dict[tuple[str, int], tuple[Callable[[], Iterable[Any]], Run]] = {}
    for size in BATCH_SIZES:

        def eager(feed: Feed) -> object:
            return variants.torch_logits(subject.model.network, [feed])

        few = sentences[: SENTENCES["eager, padded to 128"]]
        contestants["eager, padded to 128", size] = (
            (lambda few=few, size=size: padded_to_128(few, size)),
            eager,
        )
        contestants["eager", size] = (lambda size=size: padded_batches(sentences, size)), eager
        for name, session in sessions.items():

            def run(feed: Feed, session: ort.InferenceSession = session) -> object:
                return session.run(["logits"], feed)

            contestants[f"ONNX {name}", size] = (
                (lambda size=size: padded_batches(sentences, size)),
                run,
            )
            if size > 1:
                contestants[f"ONNX {name}, packed", size] = (
                    (lambda size=size: packed_rows(sentences, size)),
                    run,
                )
    for (
        name,
        predictor,
    ) in predictors.items():  # from text to label, in rows and threads of its own choice
        contestants[f"predict_batch {name}", len(texts)] = (
            (lambda: [texts]),
            predictor.predict_batch,
        )
    speeds: dict[tuple[str, int], list[float]] = {key: [] for key in contestants}
    latencies: dict[tuple[str, int], list[float]] = {key: [] for key in contestants}
    for number in range(ROUNDS + 1):  # the first is to warm up
        for key, (batches, run_batch) in contestants.items():
            feeds = list(batches())
            times = []
            for feed in feeds:
                start = time.perf_counter()
                run_batch(feed)
                times.append(time.perf_counter() - start)
            if number:
                speeds[key].append(SENTENCES.get(key[0], OTHER_SENTENCES) / sum(times))
                latencies[key] += times
    return [
        {
            "contestant": name,
            "batch": size,
            "threads": threads,
            "sentences_per_second": statistics.median(speeds[name, size]),
            "p50_ms": 1000 * statistics.median(latencies[name, size]),
            "p99_ms": 1000 * statistics.quantiles(latencies[name, size], n=100)[98],
        }
        for name, size in contestants
    ]


def padded_to_128(sentences: list[list[int]], size: int) -> Iterable[Feed]:
    """Batches as the tutorial makes them."""
    for feed in padded_batches(sentences, size):
        yield {
            name: torch.nn.functional.pad(torch.tensor(values), (0, 128 - values.shape[1])).numpy()
            for name, values in feed.items()
        }


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """A session with ONNX Runtime's own threads, as any other consumer of the file would open it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def gemm_share(
    subject: Subject, sentences: list[list[int]], rows: list[dict[str, Any]]
) -> dict[str, float]:
    """The share of this machine's best matrix product that fp32 reaches in packed rows of 32, on one thread."""
    config = subject.model.network.config
    hidden, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    a_token = (layers - 1) * (4 * hidden**2 + 2 * hidden * inner) + 2 * hidden**2
    a_sentence = (
        3 * hidden**2 + 2 * hidden * inner
    )  # the last layer and the head read first tokens only
    tokens = statistics.mean(len(ids) for ids in sentences)
    speed = find(rows, "ONNX fp32, packed", 32, 1)["sentences_per_second"]
    reached, peak = 2 * (a_token * tokens + a_sentence) * speed, gemm_peak()
    return {"gemm_peak_gflops": peak / 1e9, "fp32_gflops": reached / 1e9, "share": reached / peak}


def gemm_peak(size: int = 1024) -> float:
    """Floating point operations/s of a product of two matrices on one thread: the better of two libraries."""
    left, right = np.random.default_rng(0).random((2, size, size), np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["left", "right"], ["product"])],
        "gemm",
        [helper.make_tensor_value_info("left", TensorProto.FLOAT, [size, size])],
        [helper.make_tensor_value_info("product", TensorProto.FLOAT, [size, size])],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options)
    torch.set_num_threads(1)
    torch_left, torch_right = torch.from_numpy(left), torch.from_numpy(right)
    seconds = []
    for _ in range(20):
        for product in (
            lambda: session.run(None, {"left": left}),
            lambda: torch_left @ torch_right,
        ):
            start = time.perf_counter()
            product()
            seconds.append(time.perf_counter() - start)
    return float(2 * size**3 / min(seconds))


def find(rows: list[dict[str, Any]], contestant: str, batch: int, threads: int) -> dict[str, Any]:
    (row,) = (
        r
        for r in rows
        if (r["contestant"], r["batch"], r["threads"]) == (contestant, batch, threads)
    )
    return row


def report(rows: list[dict[str, Any]], gemm: dict[str, float]) -> None:
    def speed(contestant: str, batch: int, threads: int) -> float:
        return float(find(rows, contestant, batch, threads)["sentences_per_second"])

    ratios = {
        "int8_over_eager_batch_1": speed("ONNX int8", 1, 1) / speed("eager", 1, 1),
        "int8_over_padded_to_128_batch_1": speed("ONNX int8", 1, 1)
        / speed("eager, padded to 128", 1, 1),
        **{
            f"packed_over_padded_8_{name}_{threads}_threads": speed(
                f"ONNX {name}, packed", 8, threads
            )
            / speed(f"ONNX {name}", 8, threads)
            for name in ("fp32", "int8")
            for threads in THREADS
        },
    }
    table = Table("contestant", "batch", "threads", "sentences/s", "p50 ms", "p99 ms")
    for row in rows:
        figures = [
            f"{row['sentences_per_second']:.0f}",
            f"{row['p50_ms']:.2f}",
            f"{row['p99_ms']:.2f}",
        ]
        table.add_row(row["contestant"], str(row["batch"]), str(row["threads"]), *figures)
    console = Console(width=100)
    console.print(table)
    console.print({**ratios, **gemm})
    document = {
        "cores": os.cpu_count(),
        "rounds": ROUNDS,
        "rows": rows,
        "ratios": ratios,
        "gemm": gemm,
    }
    text = json.dumps(document)
    (ROOT / "benchmarks" / "results").mkdir(exist_ok=True)
    (ROOT / "benchmarks" / "results" / "inference.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
