"""Chapter 7: serve the model over HTTP, with a page to try it on.

    python app.py                          # http://127.0.0.1:8000; settings: docs/07_serve.md
    curl -s 127.0.0.1:8000/predict --json '{"sentence": "The boy is sitting on a bench."}'

Reads models/model.onnx and serving/web/; writes one JSON line per prediction to standard output.
"""

import gc
import os
import resource
import signal
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn

from commands.run import run_command
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.types import Predictor
from serving.connections import Limits
from serving.http import Routes
from serving.log_writer import LineWriter
from serving.metrics import count_alone, share_counters
from serving.middleware import RequestMiddleware
from serving.protocol import bounded_by
from serving.service import Service
from serving.settings import Settings
from serving.supervisor import Supervisor
from serving.worker import END_SIGNALS, WorkerSlot, listen

# Threads for a single sentence, which is too small a matrix for more.
MAX_SINGLE_THREADS = 4

# Time to finish what was accepted. A client that never finishes its request is cut off then.
SHUTDOWN_SECONDS = 20

# Open files besides connections: the log, the model, the event loop's own.
RESERVED_FILES = 100


def create_app(
    predictor: Predictor, settings: Settings, slot: WorkerSlot | None = None
) -> RequestMiddleware:
    """Build the application around a predictor; tests pass a fake one."""
    service = Service(predictor, settings, slot)
    routes = Routes(service, settings)
    return RequestMiddleware(routes, service, settings, routes.paths)


def serve(predictor: Predictor, settings: Settings, slot: WorkerSlot | None = None) -> None:
    """Serve until one of ``END_SIGNALS``; then finish what was accepted, and return.

    Args:
        predictor: What predicts.
        settings: The settings of this process.
        slot: What this one of several workers is given; None for the only one.

    Raises:
        ConfigError: The log file cannot be written.
        ModelFileError: The other workers have loaded another model.
    """
    if slot:
        slot.scoreboard.require_version(predictor.info.version)
    app = create_app(predictor, settings, slot)

    # uvicorn shuts down in good order and then sends itself the signal again, which would end the
    # process with an error code. A signal that comes before uvicorn listens for it ends it, too.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)

    # uvicorn does not know SIGHUP.
    if signal.SIGHUP in END_SIGNALS:
        signal.signal(signal.SIGHUP, lambda number, frame: signal.raise_signal(signal.SIGTERM))

    allow_connections(settings.max_connections)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=bounded_by(Limits.of(settings), app.service.metrics.record_unread),
        ws="none",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    # Where it cannot start, uvicorn says why and ends the process with code 3.
    uvicorn.Server(config).run(sockets=[slot.listener] if slot else None)


def serve_with_workers(load: Callable[[], Predictor], settings: Settings) -> None:
    """Serve like ``serve``, with several processes.

    Args:
        load: Loads the predictor; called in each process.
        settings: The settings of all of them together.

    Raises:
        ConfigError: The port or the log file cannot be had.
        SystemExit: The first worker could not come up, and has said why.
    """
    share = settings.share()
    listeners = listen(settings.host, settings.port, settings.workers)
    log = LineWriter(1, settings.log_file, settings.log_file_mb, background=True)

    # In memory where there is such a folder: it is written to with every request.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
    with tempfile.TemporaryDirectory(prefix="cola-", dir=memory) as folder:

        def work(slot: WorkerSlot) -> None:
            share_counters(Path(folder), slot.number)
            run_command(lambda: serve(load(), share, slot))

        code = Supervisor(listeners, work, log).run()
    if code:
        raise SystemExit(code)


def allow_connections(count: int) -> None:
    """Raise the process's limit of open files to what so many connections need, if it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Each may be sent a file, which is open until its client has read it.
    wanted = 2 * count + RESERVED_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _exit(signal_number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    """Serve the model, with as many processes as the settings say."""
    settings = Settings.from_environment()
    load = partial(load_predictor, settings)

    if settings.workers > 1:
        serve_with_workers(load, settings)
    else:
        count_alone()
        serve(load(), settings)


def load_predictor(settings: Settings) -> Predictor:
    """Load the model of this process.

    Raises:
        ModelFileError: There is none, or it cannot be used.
    """
    # The batcher runs one row per core; a sentence that comes alone gets several.
    single_threads = min(settings.threads, MAX_SINGLE_THREADS)
    predictor = ColaONNXPredictor(settings.model_path, threads=1, single_threads=single_threads)

    # What is loaded stays: the garbage collector need not look at it again.
    gc.freeze()
    return predictor


if __name__ == "__main__":
    run_command(main)
