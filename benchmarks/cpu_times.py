"""CPU time of the threads of a server of ours, what each of them does, and of its clients."""

import resource
from collections.abc import Mapping

from benchmarks.server_process import Running


def thread_seconds(started: Running) -> dict[int, float]:
    """Return the CPU seconds of all threads of the server so far."""
    return {
        thread.id: thread.user_time + thread.system_time
        for process in (started.process, *started.process.children())
        for thread in process.threads()
    }


def parts_of(started: Running, seconds: Mapping[int, float]) -> dict[int, str]:
    """Return what each thread does that did anything.

    A worker's main thread is its event loop. Of its other threads the log's is the first that the
    service starts; the one that predicts comes after it. A supervisor only writes the log.
    """
    parts: dict[int, str] = {}
    workers = started.process.children()
    if workers:
        parts |= {thread.id: "log" for thread in started.process.threads()}

    for worker in workers or [started.process]:
        # Libraries have threads, too, that are idle here.
        threads = sorted(thread.id for thread in worker.threads() if seconds.get(thread.id))
        parts |= dict(zip(threads, ("event loop", "log"), strict=False))
        parts |= dict.fromkeys(threads[2:], "model")
    return parts


def client_cpu_seconds() -> float:
    """Return the CPU seconds of all clients that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
