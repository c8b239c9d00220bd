"""The layout: imports run one way along the stages, and servers load nothing heavy."""

import ast
import json
import os
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from infra import forwarder_zip
from tests.helpers.paths import ROOT
from tests.helpers.tiny_model import TINY_MODEL

FOR_EVERYONE = ["errors", "commands", "configs", "corpus", "prediction"]
"""What each stage may use. Each of these may use only those before it."""

STAGES = {
    # Train.
    "training": [],
    "data": ["training"],
    "model": ["training"],
    "train": ["training", "data", "model"],
    # Export: it measures checkpoints on the corpus.
    "export": ["training", "data", "model"],
    "convert_model_to_onnx": ["training", "data", "model", "export"],
    # Predict; the checkpoint with the calibration that its export fitted.
    "inference": ["model", "export"],
    "inference_onnx": [],
    "batch_inference_ray": [],
    # Version.
    "registry": [],
    # Serve.
    "serving": [],
    "app": ["serving"],
    "lambda_handler": ["serving"],
    # Ship and watch.
    "infra": [],
    "monitoring": [],
    "drift": ["monitoring"],
}
"""The scripts and folders in the order of the stages, and the earlier stages that each may use.

A folder comes before its own root script: ``training/`` never imports ``train.py``.
"""

MEASURE_EVERYTHING = ["benchmarks", "tests"]
"""May use all stages, and the tests also the benchmarks. Nothing else imports them."""

HEAVY = (
    "torch",
    "lightning",
    "pytorch_lightning",
    "transformers",
    "datasets",
    "hydra",
    "wandb",
    "sklearn",
    "pandas",
)
"""What only training, export and benchmarks need; a server's image does not even hold it."""

# Scripts for other interpreters, with packages that are not installed here.
FOREIGN = "benchmarks/serving_peers/"

ROOT_MODULES = 10


def allowed_imports() -> dict[str, set[str]]:
    """Return, for each script or folder of the root, the others that it may import."""
    allowed = {name: set(FOR_EVERYONE[:place]) for place, name in enumerate(FOR_EVERYONE)}
    allowed |= {name: {*FOR_EVERYONE, *earlier} for name, earlier in STAGES.items()}

    everything = {*FOR_EVERYONE, *STAGES}
    for name in MEASURE_EVERYTHING:
        allowed[name] = set(everything)
        everything.add(name)
    return allowed


def own_files() -> dict[str, Path]:
    """Return the project's Python modules, by dotted name."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()

    files = [Path(name) for name in listed if not name.startswith(FOREIGN)]
    return {
        ".".join(path.with_suffix("").parts).removesuffix(".__init__"): ROOT / path
        for path in files
        if (ROOT / path).exists()
    }


def imports_of(path: Path, modules: dict[str, Path]) -> set[str]:
    """Return the project's modules that a file imports, at its top or inside functions."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import by the full name"
            assert node.module is not None
            # ``from serving import messages`` names a module, ``from errors import ColaError``
            # a class.
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            named |= {name if name in modules else node.module for name in full}
    return named & modules.keys()


def room(module: str) -> str:
    """Return the script or folder of the root that a module is in."""
    return module.partition(".")[0]


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    """Which of the project's modules each of them imports."""
    modules = own_files()
    return {name: imports_of(path, modules) for name, path in modules.items()}


def loaded_by(code: str, names: tuple[str, ...], **environment: str) -> list[str]:
    """Run code in a new process; return which of the named modules it has loaded."""
    report = f"\nimport json, sys; print(json.dumps([n for n in {names!r} if n in sys.modules]))"
    result = subprocess.run(
        [sys.executable, "-c", code + report],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    loaded: list[str] = json.loads(result.stdout.splitlines()[-1])
    return loaded


# Imports


def test_imports_run_one_way_along_the_stages(graph: dict[str, set[str]]) -> None:
    allowed = allowed_imports()
    wrong = [
        f"{module} imports {target}"
        for module, targets in sorted(graph.items())
        for target in sorted(targets)
        if room(target) not in {room(module), *allowed.get(room(module), ())}
    ]
    assert wrong == []


def test_the_table_of_the_stages_is_complete_and_runs_one_way_itself(
    graph: dict[str, set[str]],
) -> None:
    order = [*FOR_EVERYONE, *STAGES, *MEASURE_EVERYTHING]
    assert {room(module) for module in graph} == set(order)

    for name, earlier in allowed_imports().items():
        assert earlier <= set(order[: order.index(name)]), name


def test_no_circle_between_modules(graph: dict[str, set[str]]) -> None:
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def test_tests_share_helpers_and_never_a_test_module(graph: dict[str, set[str]]) -> None:
    wrong = [
        f"{module} imports {target}"
        for module, targets in sorted(graph.items())
        for target in sorted(targets)
        if room(target) == "tests" and not target.startswith("tests.helpers.")
    ]
    assert wrong == []


def test_the_root_holds_ten_modules_at_most() -> None:
    modules = sorted(name for name, path in own_files().items() if path.parent == ROOT)
    assert len(modules) <= ROOT_MODULES, modules


# What a process loads


@pytest.mark.parametrize("server", ["app", "lambda_handler"])
def test_a_server_loads_nothing_heavy(server: str) -> None:
    assert loaded_by(f"import {server}", HEAVY, MODEL_PATH=str(TINY_MODEL)) == []


def test_a_prediction_loads_nothing_heavy() -> None:
    code = (
        "from inference_onnx import ColaONNXPredictor\n"
        f"prediction = ColaONNXPredictor({str(TINY_MODEL)!r}).predict('The cat sleeps.')\n"
        "assert prediction['text'] == 'The cat sleeps.'"
    )
    assert loaded_by(code, HEAVY) == []


def test_naming_a_prediction_does_not_load_onnx_runtime(graph: dict[str, set[str]]) -> None:
    modules = sorted(module for module in graph if room(module) == "serving")
    code = f"import prediction.types, prediction.model_file, {', '.join(modules)}"
    assert loaded_by(code, (*HEAVY, "onnxruntime")) == []


def test_predicting_with_pytorch_does_not_load_onnx_runtime(graph: dict[str, set[str]]) -> None:
    files = own_files()
    loaded, waiting = set(), {"inference"}
    while waiting:
        module = waiting.pop()
        loaded.add(module)
        waiting |= graph[module] - loaded

    text = {module: files[module].read_text(encoding="utf-8") for module in loaded}
    assert [module for module in sorted(loaded) if "import onnxruntime" in text[module]] == []


def test_the_forwarder_runs_on_the_standard_library_alone(tmp_path: Path) -> None:
    archive = tmp_path / "forwarder.zip"
    archive.write_bytes(forwarder_zip.build())

    # -I: no PYTHONPATH and no current folder; -S: no site-packages.
    code = f"import sys; sys.path.insert(0, {str(archive)!r}); import monitoring.forwarder as f; "
    code += "print(f.__file__)"
    command = [sys.executable, "-I", "-S", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(str(archive))


def test_each_package_lists_its_modules() -> None:
    for init in sorted(ROOT.glob("[!.]*/__init__.py")):
        listed = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or ""
        modules = sorted(
            {path.stem for path in init.parent.glob("*.py")} - {"__init__", "__main__"}
        )
        missing = [name for name in modules if not re.search(rf"\b{name}\b", listed)]
        assert missing == [], init
