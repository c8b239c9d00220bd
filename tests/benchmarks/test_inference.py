"""How rounds of predictions become latencies and ratios."""

from benchmarks.inference import THREADS, speed_ratios
from benchmarks.inference_ways import BATCH_SIZES, Way


def test_a_latency_above_all_that_were_measured_is_none() -> None:
    way = Way("eager", 8, 8, list, print, [100.0], [0.001, 0.002, 0.003, 0.004, 0.010])
    assert 9 < way.row(1)["p99_ms"] <= 10


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    names = ["eager", "eager, padded to 128"]
    names += [
        f"ONNX {precision}{way}" for precision in ("fp32", "int8") for way in ("", ", packed")
    ]
    speeds = {
        (name, size, threads): [10.0, 20.0, 30.0]
        for name in names
        for size in BATCH_SIZES
        for threads in THREADS
    }
    # Round by round 2, 1.5 and 0.5 times as fast; of the medians it would be once.
    speeds["ONNX int8, packed", 32, 1] = [20.0, 30.0, 15.0]
    ratios = speed_ratios(speeds)
    assert ratios.pop("packed_over_padded_32_int8_1_threads") == 1.5
    assert set(ratios.values()) == {1.0}
