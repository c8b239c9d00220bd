"""How many cores this process may use, and which of its threads give way to others."""

import contextlib
import math
import os
import sys
from pathlib import Path

from errors import ConfigError

# Of control groups, version 2: "max 100000" or "150000 100000", the microseconds of CPU time that
# the container may use in each period, and the length of that period.
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")

LAMBDA_MEGABYTES_PER_CORE = 1769

# Of COLA_THREADS. The system refuses to start some thousands of threads, but only later.
MAX_THREADS = 1024

# See nice(2): a thread gets a thirtieth of the time of one at 0 that wants the same core.
NICENESS = 15


def available_cores() -> int:
    """Return COLA_THREADS if it is set, else the cores that this process may use.

    On Lambda these follow from the memory. Elsewhere both the process's affinity and the
    container's quota count; a fraction of a core is rounded up.

    Raises:
        ConfigError: COLA_THREADS is not a whole number from 1 to ``MAX_THREADS``.
    """
    configured = os.environ.get("COLA_THREADS", "").strip()
    if configured:
        try:
            threads = int(configured)
        except ValueError:
            threads = 0
        if not 1 <= threads <= MAX_THREADS:
            raise ConfigError(
                f"COLA_THREADS={configured} is not a whole number from 1 to {MAX_THREADS}"
            )
        return threads

    # Lambda shows more cores than the memory pays for: 1,769 MB are one
    # (docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html).
    memory = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    if memory.isdecimal():
        return max(1, int(memory) // LAMBDA_MEGABYTES_PER_CORE)

    cores = usable_cores()
    try:
        quota, period = CPU_QUOTA.read_text().split()
        return min(cores, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        # There is no container, or it has no quota.
        return cores


def usable_cores() -> int:
    """Return how many cores this process may be scheduled on."""
    # On Linux these may be fewer than the machine has; macOS does not tell.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def lower_priority() -> None:
    """Let the calling thread give way to all others that want its core.

    Linux alone gives each thread a priority of its own. Where a sandbox forbids to set it, the
    thread keeps the one it has.
    """
    if sys.platform == "linux":
        with contextlib.suppress(PermissionError):
            niceness = os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
            os.setpriority(os.PRIO_PROCESS, 0, niceness)
