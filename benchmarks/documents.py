"""What the files of ``benchmarks/results/`` hold, besides the machine and the command.

The classes come in the order of the chapters.
"""

from typing import NotRequired, TypedDict

from benchmarks.machine import Machine


class SeedSpread(TypedDict):
    """The mean over seeds, and the lowest and highest of them."""

    mean: float
    min: float
    max: float


class Int8Run(TypedDict):
    """The exported model of one seed, on its validation set."""

    scheme: str
    """How it was quantized."""
    megabytes: float
    mcc: float
    label_changes: float
    """Share of the sentences that have another label than with PyTorch."""
    company_difference: float
    """Largest change of a probability that strangers in its row give a sentence."""
    company_label_changes: int
    """How often they change a label, of four times all sentences."""


class QualityRun(TypedDict):
    """One seed, trained and exported."""

    seed: int
    mcc: dict[str, float]
    """Matthews correlation per split: overall, in_domain, out_of_domain."""
    int8: Int8Run
    calibration_error: float
    """Of the scores of the int8 file, on the split that they were not fitted on; of PyTorch's
    where ``export_git_commit`` is missing."""
    calibration_error_by_chance: float
    """What exact probabilities would show on so few sentences."""
    minutes: float
    cpu_minutes: float
    """Of all threads together, which other programs do not lengthen."""
    git_commit: str | None
    """Of the training."""
    export_git_commit: NotRequired[str | None]


class Quality(TypedDict):
    """Several seeds, in quality.json by ``EXPERIMENT on CORPUS, PRECISION``."""

    model: str
    sentences: dict[str, int]
    mcc: dict[str, SeedSpread]
    int8_mcc: SeedSpread
    calibration_error: SeedSpread
    runs: list[QualityRun]
    machine: Machine


class Group(TypedDict):
    """The validation sentences of one split and source."""

    split: str
    source: str
    sentences: int
    mcc: float
    low: float
    """Of the 95 % interval."""
    high: float


class Mistake(TypedDict):
    """A sentence that was given the wrong label."""

    text: str
    label: str
    """The right one."""
    source: str
    score: float
    """Probability of the wrong one."""


class Mistakes(TypedDict):
    """What a model gets wrong, in mistakes.json by corpus."""

    model: str
    precision: str
    groups: list[Group]
    mistakes: list[Mistake]


class CorpusBaseline(TypedDict):
    """What corpus_baseline.json holds: scores by features, split and metric."""

    features: dict[str, dict[str, dict[str, float]]]


class Spread(TypedDict):
    """The median of the rounds, and the lowest and highest of them."""

    median: float
    min: float
    max: float


class Training(TypedDict):
    """What training.json holds."""

    corpus: str
    threads: int
    rounds: int
    sentences_per_second: dict[str, float]
    ratios: dict[str, Spread]
    """Speed of "ours" over that of each other way."""


class InferenceRow(TypedDict):
    """One way to predict, with one batch size and number of threads."""

    contestant: str
    batch: int
    threads: int
    sentences_per_second: float
    p50_ms: float
    """Latency of a batch."""
    p99_ms: float


class Inference(TypedDict):
    """What a file of inference holds."""

    cores: int | None
    rounds: int
    rows: list[InferenceRow]
    ratios: dict[str, float]
    gemm: dict[str, float]


class ColdStartRun(TypedDict):
    """One way to predict, from the start of its process."""

    seconds: float
    """The median of the starts."""
    spread: NotRequired[Spread]
    """Of the seconds."""
    peak_memory_mb: float
    installed_mb: float


class ColdStart(TypedDict):
    """What cold_start.json holds."""

    onnx: ColdStartRun
    pytorch: ColdStartRun
    times_sooner: float


class CommandLine(TypedDict):
    """What command_line.json holds."""

    lines: int
    threads: int
    bare_sentences_per_second: float
    command_line_sentences_per_second: float
    share: float
    memory_mb_by_tenths: list[float]
    """Resident memory each time that a tenth of the file is done."""


class BatchRay(TypedDict):
    """What batch_ray.json holds."""

    rows: int
    threads: int
    own_sentences_per_second: float
    """Of the predictor in one process, on as many threads as the job has workers."""
    job_sentences_per_second: float
    share: float
    seconds_to_first_part: float
    cores: dict[str, float]
    """Cores in use on average: of the workers, of the process that hands out parts, of Ray."""


class LambdaCostRow(TypedDict):
    """One size of the Lambda function, computed from the measured handler."""

    sentences: int
    """Per invocation."""
    memory_mb: int
    milliseconds: float
    concurrency: float
    """Invocations at one time, at a thousand predictions per second."""
    dollars_per_million_predictions: float


class LambdaCost(TypedDict):
    """What lambda_cost.json holds."""

    handler_ms: dict[str, float]
    """Measured: mean milliseconds of an invocation on one core, by its number of sentences."""
    dollars_per_gb_second: float
    dollars_per_million_requests: float
    rows: list[LambdaCostRow]


class Load(TypedDict):
    """One server under one number of closed-loop clients."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    errors: float


# Servers are loaded by 1, 8 and 32 clients; those names are no identifiers.
ServerResult = TypedDict(
    "ServerResult",
    {
        "start_s": float,
        "agreement": float,
        "1": Load,
        "8": Load,
        "32": Load,
        "memory_mb": float,
    },
)


class Serving(TypedDict):
    """What a file of serving holds."""

    cores: int
    rounds: int
    seconds: int
    sentences: int
    in_process_sentences_per_second: dict[str, float]
    """The limit of any server: the predictor without one, by precision."""
    servers: dict[str, ServerResult]


class ScalingLoad(TypedDict):
    """One number of processes under one number of closed-loop clients.

    The parts are CPU milliseconds per request, of all processes.
    """

    requests_per_second: float
    p99_ms: float
    event_loop_ms: float
    model_ms: float
    log_ms: float
    client_ms: float


class Scaling(TypedDict):
    """What a file of scaling holds."""

    rounds: int
    seconds: int
    loads: dict[str, dict[str, ScalingLoad]]
    """By number of processes, then of clients."""
    two_to_one: dict[str, Spread]
    """How many times as much two processes on two cores answer as one on one, by clients."""
    projection: dict[str, dict[str, float]]
    """Requests/s that follow from the parts, by cores."""


class Forwarder(TypedDict):
    """What forwarder.json holds."""

    events_per_second: dict[str, int]
    ratio_to_plain: float
    batch_events: int
    batch_kilobytes_packed: int
    peak_megabytes_a_batch: float
    rounds: int
    python: NotRequired[str]
    cores: NotRequired[int | None]


class WalkStep(TypedDict):
    """One command of a newcomer's walk."""

    command: str
    seconds: float
    """Until it ended; of a server, until it listened."""
    exit_code: int | None
    """None for a server, which is ended when the walk needs it no more."""
    output: list[str]
    """The lines that documents show, "..." for those that they leave out."""
    parts: NotRequired[dict[str, float]]
    """Seconds of each script that a target ran, and of the set-up before them."""


class Walk(TypedDict):
    """What walk.json holds."""

    git_commit: str
    """What was cloned."""
    environment_mb: float
    """Of .venv, once installed."""
    steps: dict[str, WalkStep]
    """By the name of the command (benchmarks/walk_commands.py)."""
    machine: NotRequired[Machine]
    """Added when the walk is recorded."""
