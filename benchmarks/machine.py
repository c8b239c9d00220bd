"""The processor that gives a result."""

import platform
from pathlib import Path
from typing import TypedDict

from prediction.cores import usable_cores

# Instructions that multiply int8 and bfloat16, as Linux names them on x86-64 and on ARM.
VNNI = {"avx512_vnni", "avx_vnni", "asimddp"}
BF16 = {"avx512_bf16", "amx_bf16", "bf16"}


class Machine(TypedDict):
    """The processor that gave a result."""

    cpu: str
    cores: int
    """Cores that the process may use."""
    has_vnni: bool
    has_bf16: bool


def machine() -> Machine:
    """Return what this process runs on."""
    facts: dict[str, str] = {}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        facts = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}

    # The keys of x86-64 and of ARM. Elsewhere there is no such file, and no set is known.
    instructions = set((facts.get("flags") or facts.get("Features") or "").split())
    return {
        "cpu": facts.get("model name") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "has_vnni": bool(instructions & VNNI),
        "has_bf16": bool(instructions & BF16),
    }


def describe(machine: Machine) -> str:
    """Return a processor as people read it: "AMD EPYC, 2 cores, VNNI"."""
    parts = [machine["cpu"], f"{machine['cores']} cores"]
    return ", ".join([*parts, "VNNI" if machine["has_vnni"] else "no VNNI"])
