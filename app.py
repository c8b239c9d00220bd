"""Chapter 7: serve the model over HTTP, with a page to try it on.

    python app.py                          # http://127.0.0.1:8000; settings: docs/07_serve.md
    curl -s 127.0.0.1:8000/predict --json '{"sentence": "The boy is sitting on a bench."}'

Reads models/model.onnx and serving/web/; writes one JSON line per prediction to standard output.
"""

import gc
import resource
import signal
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from commands.run import run_command
from prediction.cores import available_cores
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.types import Predictor
from serving.http import Routes
from serving.middleware import RequestMiddleware
from serving.protocol import Limits, bounded_by
from serving.service import Service
from serving.settings import Settings

# One sentence is too small a matrix for more threads.
MAX_SINGLE_THREADS = 4

# For what was accepted. A client that never finishes its request is cut off then.
SHUTDOWN_SECONDS = 20

# Open files besides connections: the log, the model, the event loop's own.
RESERVED_FILES = 100


def create_app(predictor: Predictor, settings: Settings) -> ASGIApp:
    """Build the application around a predictor; tests pass a fake one."""
    service = Service(predictor, settings)
    routes = Routes(service, settings)
    return RequestMiddleware(routes, service, settings, routes.paths)


def serve(predictor: Predictor, settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; then finish what was accepted, and return."""
    app = create_app(predictor, settings)

    # uvicorn shuts down in good order and then sends itself the signal again, which would end the
    # process with an error code. A signal that comes before uvicorn listens for it ends it, too.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)

    allow_connections(settings.max_connections)
    limits = Limits(
        max_connections=settings.max_connections, max_body_bytes=settings.max_body_bytes
    )
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=bounded_by(limits),
        ws="none",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def allow_connections(count: int) -> None:
    """Raise the process's limit of open files to what so many connections need, if it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + RESERVED_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _exit(signal_number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    """Load the model and serve it."""
    settings = Settings.from_environment()

    # The batcher runs one row per core; a sentence that comes alone gets several.
    single_threads = min(available_cores(), MAX_SINGLE_THREADS)
    predictor = ColaONNXPredictor(settings.model_path, threads=1, single_threads=single_threads)

    # What is loaded stays: the garbage collector need not look at it again.
    gc.freeze()

    serve(predictor, settings)


if __name__ == "__main__":
    run_command(main)
