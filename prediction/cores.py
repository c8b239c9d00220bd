"""How many cores this process may use."""

import os
from pathlib import Path

from errors import ConfigError


def available_cores() -> int:
    """COLA_THREADS, or the cores that this process may use: affinity and container quota, rounded up."""
    told = os.environ.get("COLA_THREADS", "").strip()
    if told:
        if not told.isdecimal() or int(told) == 0:
            raise ConfigError(f"COLA_THREADS={told} is not a positive whole number")
        return int(told)
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:  # cgroup v2: "max 100000" or "150000 100000", microseconds of CPU in each period
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return min(cores, max(1, -(-int(quota) // int(period))))
    except (OSError, ValueError):
        return cores
