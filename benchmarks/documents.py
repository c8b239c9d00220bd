"""What the files of ``benchmarks/results/`` hold, besides the machine and the command.

The classes come in the order of the chapters. Those of ``quality`` are in ``quality_documents``,
those of walk.json in ``walk_commands``.
"""

from typing import NotRequired, TypedDict


class Group(TypedDict):
    """The validation sentences of one split and source."""

    split: str
    source: str
    sentences: int
    mcc: float
    low: float
    """Lower end of the 95 % interval."""
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
    """Spread of the seconds."""
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
    """Speed of the predictor in one process, on as many threads as the job has workers."""
    job_sentences_per_second: float
    share: float
    seconds_to_first_part: float
    cores: dict[str, float]
    """Cores in use on average: of the workers, of the process that hands out parts, of Ray."""


class LambdaCostRow(TypedDict):
    """One size of the Lambda function, computed from the measured handler."""

    sentences: int
    """Sentences per invocation."""
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
    """Loads by number of processes, then of clients."""
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
