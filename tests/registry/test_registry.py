"""The model registry against a folder and a real S3 server, rclone's, which checks keys (`make tools`)."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from errors import ConfigError, ModelFileError
from registry import __main__ as registry
from registry import overrides, store

ROOT = Path(__file__).parents[2]
CORPUS = {"name": "own", "sha256": "c0" * 32}


def write_model(path: Path, mcc: float, seed: int = 0, corpus: dict[str, str] = CORPUS) -> str:
    """Write the smallest file that the predictor accepts; return its md5."""
    weights = np.random.default_rng(seed).standard_normal((3, 2)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axis"], ["logits"], keepdims=0),
        helper.make_node("Identity", ["attention_mask"], ["seen"]),
    ]
    both = ["batch", "sequence"]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(n, TensorProto.INT64, both)
            for n in ("input_ids", "attention_mask")
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2]),
            helper.make_tensor_value_info("seen", TensorProto.INT64, both),
        ],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([1]), "axis"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    lineage = {
        "base_model": "tiny",
        "precision": "fp32",
        "vocabulary": 3,
        "corpus": corpus,
        "git_commit": "a" * 40,
        "created": "2026-01-01T00:00:00+00:00",
        "metrics": {"overall": {"mcc": mcc}},
    }
    metadata = {
        "labels": ["unacceptable", "acceptable"],
        "max_length": 8,
        "packing": False,
        "lineage": lineage,
        "reference": {},
    }
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]")).to_str()
    texts = {"tokenizer": tokenizer} | {key: json.dumps(value) for key, value in metadata.items()}
    helper.set_model_props(model, texts)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return md5(path)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def git(repo: Path, *arguments: str) -> None:
    identity = [
        "-c",
        "user.name=tester",
        "-c",
        "user.email=tester@invalid",
        "-c",
        "commit.gpgsign=false",
    ]
    subprocess.run(["git", *identity, *arguments], cwd=repo, check=True, capture_output=True)


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with this project's DVC settings and nothing else; no settings of this machine."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MODEL_STORE"))]:
        monkeypatch.delenv(name)
    for name in (
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "DVC_GLOBAL_CONFIG_DIR",
        "DVC_SITE_CACHE_DIR",
    ):
        monkeypatch.setenv(name, str(tmp_path / "nothing" / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    folder = tmp_path / "repo"
    (folder / ".dvc").mkdir(parents=True)
    (folder / "dvcfiles").mkdir()
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Settings")
    return folder


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A real S3 server with a bucket `models`; yield its URL and the bucket's folder."""
    command = shutil.which(
        "rclone", path=f"{ROOT / '.venv-tools/bin'}{os.pathsep}{os.environ['PATH']}"
    )
    if command is None:
        pytest.skip("rclone is not installed: run `make tools`")
    folder = tmp_path_factory.mktemp("s3")
    (folder / "models").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run = [
        command,
        "serve",
        "s3",
        "--addr",
        f"127.0.0.1:{port}",
        "--auth-key",
        "KEY-ID,SECRET-KEY",
        str(folder),
    ]
    server = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", folder / "models"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def bucket(
    s3: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Path:
    """The settings of a person who may use the store; return the folder behind this test's prefix."""
    prefix = request.node.name.replace("[", "-").replace("]", "")
    settings = {
        "AWS_ENDPOINT_URL": s3[0],
        "AWS_ACCESS_KEY_ID": "KEY-ID",
        "AWS_SECRET_ACCESS_KEY": "SECRET-KEY",
        "AWS_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "MODEL_STORE_URL": f"s3://models/{prefix}",
    }
    for key, value in settings.items():
        monkeypatch.setenv(key, value)
    return s3[1] / prefix


def objects(folder: Path) -> dict[str, int]:
    return {
        str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()
    }


def lose_local_copies(repo: Path) -> None:
    shutil.rmtree(repo / ".dvc/cache")
    (repo / registry.MODEL).unlink()


def test_push_delete_pull_gives_the_same_file(repo: Path, bucket: Path) -> None:
    before = write_model(repo / registry.MODEL, mcc=0.5)
    assert "is in model-store" in registry.push(repo, "model-store")
    assert [name.split("/")[-2] + name.split("/")[-1] for name in objects(bucket)] == [before]
    lose_local_copies(repo)
    assert "MCC 0.5000 on own" in registry.pull(repo, "model-store")
    assert md5(repo / registry.MODEL) == before


@pytest.mark.slow
def test_second_push_uploads_nothing(repo: Path, bucket: Path) -> None:
    write_model(repo / registry.MODEL, mcc=0.5)
    registry.push(repo, "model-store")
    uploaded, pointer = objects(bucket), (repo / registry.POINTER).read_bytes()
    assert "nothing to upload" in registry.push(repo, "model-store")
    assert objects(bucket) == uploaded
    assert (repo / registry.POINTER).read_bytes() == pointer


@pytest.mark.slow
def test_each_version_comes_back_from_its_commit(repo: Path, bucket: Path) -> None:
    versions = []
    for seed, mcc in enumerate((0.40, 0.45)):
        versions.append(write_model(repo / registry.MODEL, mcc, seed))
        registry.push(repo, "model-store")
        git(repo, "add", registry.POINTER)
        git(repo, "commit", "-q", "-m", f"Model {seed}")
    table = registry.log(repo).splitlines()
    assert [line.split()[2:5] for line in table[1:]] == [
        [versions[1][:8], "0.4500", "own"],
        [versions[0][:8], "0.4000", "own"],
    ]
    lose_local_copies(repo)
    for back, version in (("HEAD~1", versions[0]), ("HEAD", versions[1])):
        git(repo, "checkout", "-q", back, "--", registry.POINTER)
        registry.pull(repo, "model-store")
        assert md5(repo / registry.MODEL) == version


REFUSED = [
    ({"AWS_SECRET_ACCESS_KEY": "WRONG"}, "refuses these credentials"),
    ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "no AWS credentials"),
    ({"MODEL_STORE_URL": "s3://no-such-bucket/x"}, "names no existing bucket"),
    ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "cannot be reached"),
    ({"MODEL_STORE_URL": None}, "set MODEL_STORE_URL"),
]
REFUSED_IDS = ["wrong-key", "no-key", "wrong-bucket", "unreachable", "no-url"]


@pytest.mark.parametrize(("settings", "says"), REFUSED, ids=REFUSED_IDS)
def test_a_push_that_fails_leaves_the_pointer(
    repo: Path,
    bucket: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str | None],
    says: str,
) -> None:
    _point_at(repo, 0.4, CORPUS["sha256"])
    before = (repo / registry.POINTER).read_bytes()
    write_model(repo / registry.MODEL, mcc=0.5)
    for key, value in settings.items():
        monkeypatch.delenv(key) if value is None else monkeypatch.setenv(key, value)
    with pytest.raises(store.StoreError, match=says) as refused:
        registry.push(repo, "model-store")
    assert "\n" not in str(refused.value)
    assert (repo / registry.POINTER).read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "says"), [REFUSED[0], REFUSED[3]], ids=["wrong-key", "unreachable"]
)
def test_a_pull_that_fails_leaves_the_model(
    repo: Path, bucket: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], says: str
) -> None:
    write_model(repo / registry.MODEL, mcc=0.5)
    registry.push(repo, "model-store")
    shutil.rmtree(repo / ".dvc/cache")
    mine = write_model(repo / registry.MODEL, mcc=0.6, seed=1)
    for key, value in settings.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(store.StoreError, match=says):
        registry.pull(repo, "model-store")
    assert md5(repo / registry.MODEL) == mine


@pytest.mark.slow
def test_a_model_that_was_never_pushed_is_not_overwritten(repo: Path, bucket: Path) -> None:
    write_model(repo / registry.MODEL, mcc=0.5)
    registry.push(repo, "model-store")
    mine = write_model(repo / registry.MODEL, mcc=0.6, seed=1)
    with pytest.raises(store.StoreError, match="never pushed"):
        registry.pull(repo, "model-store")
    assert md5(repo / registry.MODEL) == mine


@pytest.mark.slow
def test_a_pointer_whose_object_is_gone_says_so(repo: Path, bucket: Path) -> None:
    write_model(repo / registry.MODEL, mcc=0.5)
    registry.push(repo, "model-store")
    lose_local_copies(repo)
    client = boto3.client("s3")
    for item in client.list_objects_v2(Bucket="models", Prefix=bucket.name)["Contents"]:
        client.delete_object(Bucket="models", Key=item["Key"])
    with pytest.raises(store.StoreError, match="does not hold this model"):
        registry.pull(repo, "model-store")
    assert not (repo / registry.MODEL).exists()


@pytest.mark.slow
def test_an_interrupted_push_can_be_repeated(
    repo: Path, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = registry.dvc

    def interrupted(root: Path, remote: str, *arguments: str) -> str:
        if arguments[0] == "push":
            raise KeyboardInterrupt
        return real(root, remote, *arguments)

    write_model(repo / registry.MODEL, mcc=0.5)
    with monkeypatch.context() as patch:
        patch.setattr(registry, "dvc", interrupted)
        with pytest.raises(KeyboardInterrupt):
            registry.push(repo, "model-store")
    assert not (repo / registry.POINTER).exists()
    assert "is in model-store" in registry.push(repo, "model-store")


def test_the_folder_works_at_once(repo: Path) -> None:
    before = write_model(repo / registry.MODEL, mcc=0.5)
    assert "is in local" in registry.push(repo, "local")
    lose_local_copies(repo)
    registry.pull(repo, "local")
    assert md5(repo / registry.MODEL) == before
    status = subprocess.run(
        ["git", "status", "--short", "-uall"], cwd=repo, capture_output=True, text=True, check=True
    )
    assert status.stdout.split() == ["??", registry.POINTER]  # the store itself is ignored


@pytest.mark.slow
def test_the_url_stays_on_this_machine(repo: Path, bucket: Path) -> None:
    write_model(repo / registry.MODEL, mcc=0.5)
    registry.push(repo, "model-store")
    assert (repo / ".dvc/config").read_bytes() == (ROOT / ".dvc/config").read_bytes()
    ignored = subprocess.run(["git", "check-ignore", ".dvc/config.local"], cwd=repo, check=False)
    assert ignored.returncode == 0


def test_unknown_remote_is_one_line(repo: Path) -> None:
    write_model(repo / registry.MODEL, mcc=0.5)
    with pytest.raises(store.StoreError, match="there is no remote 'elsewhere'"):
        registry.push(repo, "elsewhere")


@pytest.mark.parametrize(
    "content", [None, b"", b"not a model"], ids=["missing", "empty", "damaged"]
)
def test_what_is_no_model_is_not_pushed(repo: Path, content: bytes | None) -> None:
    if content is not None:
        (repo / "models").mkdir()
        (repo / registry.MODEL).write_bytes(content)
    with pytest.raises(ModelFileError):
        registry.push(repo, "local")
    assert not (repo / registry.POINTER).exists()


def test_pull_and_log_without_a_pointer_say_what_to_do(repo: Path) -> None:
    for command in (lambda: registry.pull(repo, "local"), lambda: registry.log(repo)):
        with pytest.raises(store.StoreError, match="make model-push"):
            command()


@pytest.mark.parametrize("text", ["", "outs: []", "outs: [{path: x}]", "{", "a: [1"])
def test_a_damaged_pointer_is_one_line(repo: Path, text: str) -> None:
    (repo / registry.POINTER).write_text(text)
    with pytest.raises(store.StoreError, match="git checkout"):
        registry.pull(repo, "local")


def _point_at(repo: Path, mcc: float, corpus: str) -> None:
    facts = {"mcc": mcc, "corpus": "own", "corpus_sha256": corpus}
    pointer = {"meta": facts, "outs": [{"path": registry.MODEL, "md5": "0" * 32, "size": 1}]}
    (repo / registry.POINTER).write_text(yaml.safe_dump(pointer))


def test_compare_takes_a_better_and_refuses_a_worse_model(repo: Path) -> None:
    write_model(repo / registry.MODEL, mcc=0.5)
    assert "| mcc | 0.5000 |" in registry.compare(repo)  # no model before it
    _point_at(repo, 0.45, CORPUS["sha256"])
    assert "| mcc | 0.4500 | 0.5000 |" in registry.compare(repo)
    _point_at(repo, 0.55, CORPUS["sha256"])
    with pytest.raises(store.StoreError, match=r"worse: MCC 0\.5000, the current one has 0\.5500"):
        registry.compare(repo)


def test_compare_refuses_what_was_measured_on_another_corpus(repo: Path) -> None:
    write_model(repo / registry.MODEL, mcc=0.5)
    _point_at(repo, 0.4, "d1" * 32)
    with pytest.raises(store.StoreError, match="cannot be compared"):
        registry.compare(repo)


def test_promote_takes_the_candidate_only_if_it_is_no_worse(repo: Path) -> None:
    candidate = write_model(repo / registry.CANDIDATE, mcc=0.5, seed=1)
    current = write_model(repo / registry.MODEL, mcc=0.55)
    _point_at(repo, 0.55, CORPUS["sha256"])
    with pytest.raises(store.StoreError, match="worse"):
        registry.promote(repo, "local")
    assert md5(repo / registry.MODEL) == current
    _point_at(repo, 0.45, CORPUS["sha256"])
    assert "is in local" in registry.promote(repo, "local")
    assert md5(repo / registry.MODEL) == candidate
    assert registry.read_pointer((repo / registry.POINTER).read_text())["md5"] == candidate


def test_params_become_hydra_overrides() -> None:
    params = {
        "seed": None,
        "model": "bert_tiny",
        "training": {"lr": 5e-05, "deep": {"on": True}},
        "data": {"s": ["a"]},
    }
    assert overrides.overrides(params, ["seed", "model", "training", "data"]) == [
        "model=bert_tiny",
        "training.lr=5e-05",
        "training.deep.on=true",
        'data.s=["a"]',
    ]
    with pytest.raises(ConfigError, match="'export'"):
        overrides.overrides(params, ["export"])


def test_every_parameter_is_a_key_of_the_configuration(
    compose: Callable[..., dict[str, Any]],
) -> None:
    params = yaml.safe_load(overrides.PARAMS.read_text())
    assert overrides.overrides(params, list(params)) == []  # committed without an experiment
    config = compose()
    for group, keys in params.items():
        for key in keys or []:
            assert key in config[group], f"{group}.{key}"


def test_the_pipeline_names_what_is_there_and_not_the_pointers_file() -> None:
    stages = yaml.safe_load((ROOT / "dvcfiles/dvc.yaml").read_text())["stages"]
    made = [
        out
        for stage in stages.values()
        for key in ("outs", "metrics", "plots")
        for out in stage.get(key, [])
    ]
    assert registry.CANDIDATE in made
    assert registry.MODEL not in made
    read = [dep for stage in stages.values() for dep in stage["deps"] if dep not in made]
    read += [
        name for stage in stages.values() for entry in stage.get("params", []) for name in entry
    ]
    assert [name for name in read if not (ROOT / name).exists()] == []


@pytest.mark.slow
def test_repro_twice_does_nothing_the_second_time(repo: Path) -> None:
    """The whole pipeline, with random weights for one epoch."""
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in tracked.splitlines():
        if name.endswith((".py", ".yaml", ".tsv")) and not name.startswith(("tests/", ".")):
            (repo / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, repo / name)
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "Code")

    def dvc(*arguments: str) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        command = [sys.executable, "-m", "dvc", *arguments]
        environment = os.environ | {"PATH": path}
        done = subprocess.run(
            command,
            cwd=repo / "dvcfiles",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    settings = (
        "experiment=smoke",
        "logger=none",
        "++training.limit_train_batches=0.05",
        "training.lr=2e-3",
        "++data.sources=[corpus]",
        "export.precision=fp32",
        "++export.min_mcc=-1",
    )
    dvc("exp", "run", *(word for setting in settings for word in ("-S", setting)))
    assert "Data and pipelines are up to date" in dvc("repro")
    metrics = json.loads(dvc("metrics", "show", "--json"))
    assert -1 <= metrics[""]["data"]["../models/candidate/metrics.json"]["data"]["mcc"] <= 1
    report = json.loads((repo / "models/candidate/training_report.json").read_text())
    assert report["config"]["training"]["lr"] == 0.002
    assert not (repo / registry.MODEL).exists()  # the pointer's file is not the pipeline's to write
