"""The Ray environment that `make tools` makes, and clusters of two machines within this one.

The tests' own environment has no Ray. So the job and the cluster are processes of .venv-ray.
"""

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[2]
RAY_PYTHON = ROOT / ".venv-ray" / "bin" / "python"


def start_job(
    *arguments: str | Path, address: str = "", cwd: Path = ROOT
) -> "subprocess.Popen[str]":
    """Start the job, as a person does; skip the test where Ray is not installed."""
    require_ray()
    return subprocess.Popen(
        [RAY_PYTHON, ROOT / "batch_inference_ray.py", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "RAY_ADDRESS": address},
        stderr=subprocess.PIPE,
        text=True,
    )


def run_ray_python(program: str) -> "subprocess.CompletedProcess[str]":
    """Run a program where Ray is installed; skip the test where it is not."""
    require_ray()
    return subprocess.run(
        [RAY_PYTHON, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )


def require_ray() -> None:
    """Skip the test where Ray is not installed."""
    # Not above: the cluster's process, which has Ray, has no pytest.
    import pytest

    if not RAY_PYTHON.exists():
        pytest.skip("Ray is not installed: run `make tools`")


class Cluster:
    """Two machines, as far as Ray can tell, whose working directory is not the job's.

    Args:
        cores: Of each of them.

    Attributes:
        address: For RAY_ADDRESS.
    """

    def __init__(self, cores: int = 1) -> None:
        self._cores = cores

    def __enter__(self) -> Self:
        """Start both; return when they accept work."""
        require_ray()
        self._process = subprocess.Popen(
            [RAY_PYTHON, __file__, str(self._cores)],
            cwd=Path(__file__).parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )
        self.address = self._answer()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what is left of them."""
        assert self._process.stdin is not None
        with self._process:
            self._process.stdin.close()

    def kill_second_machine(self) -> None:
        """End it and all that runs on it, without notice; return when that is done."""
        assert self._process.stdin is not None
        self._process.stdin.write("kill\n")
        assert self._answer() == "killed"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        assert answer, "the cluster has ended: run this file with 1 to see why"
        return answer


def main() -> None:
    """Run the cluster until standard input ends; a line on it kills the second machine."""
    from ray.cluster_utils import Cluster as RayCluster

    machine = {
        "num_cpus": int(sys.argv[1]),
        "object_store_memory": 100_000_000,
        "include_dashboard": False,
    }
    cluster = RayCluster(initialize_head=True, head_node_args=machine)
    second = cluster.add_node(**machine)
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)

    for _ in sys.stdin:
        cluster.remove_node(second, allow_graceful=False)
        print("killed", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
