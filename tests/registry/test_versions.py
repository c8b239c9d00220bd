"""Registry against a folder and a real S3 server: rclone's, which checks keys (`make tools`)."""

import contextlib
import errno
import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
import yaml

from errors import ModelFileError, StoreError
from registry import store, versions
from registry.__main__ import print_history
from registry.history import history
from registry.pointer import MODEL, POINTER, read_pointer
from registry.versions import CANDIDATE
from tests.helpers.checkout import CORPUS_SHA256, git, md5, write_model
from tests.helpers.net import free_port
from tests.helpers.paths import ROOT, find_tool
from tests.helpers.processes import is_listening, running


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Start a real S3 server with a bucket `models`; yield its URL and the bucket's folder."""
    rclone = find_tool("rclone")
    folder = tmp_path_factory.mktemp("s3")
    (folder / "models").mkdir()

    port = free_port()
    options = ["--addr", f"127.0.0.1:{port}", "--auth-key", "KEY-ID,SECRET-KEY"]
    command = [rclone, "serve", "s3", *options, str(folder)]
    with running(command, lambda: is_listening(port), log=folder.with_suffix(".log")):
        yield f"http://127.0.0.1:{port}", folder / "models"


@pytest.fixture
def bucket(
    s3: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Path:
    """Set what a person sets who may use the store; return the folder of this test's objects."""
    url, folder = s3
    name: str = request.node.name
    prefix = name.replace("[", "-").replace("]", "")
    settings = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "KEY-ID",
        "AWS_SECRET_ACCESS_KEY": "SECRET-KEY",
        "AWS_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "MODEL_STORE_URL": f"s3://models/{prefix}",
    }
    for key, value in settings.items():
        monkeypatch.setenv(key, value)
    return folder / prefix


def objects(folder: Path) -> dict[str, int]:
    """Return when each object of the store was written last, in nanoseconds."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}


def lose_local_copies(repo: Path) -> None:
    """Remove the model and DVC's cache, as on another machine."""
    shutil.rmtree(repo / ".dvc/cache")
    (repo / MODEL).unlink()


def point_at(
    repo: Path, mcc: float, corpus_sha256: str = CORPUS_SHA256, md5: str = "0" * 32
) -> None:
    """Write a pointer, if nothing else is said to a model that nobody has."""
    facts = {"mcc": mcc, "corpus": "own", "corpus_sha256": corpus_sha256}
    pointer = {"meta": facts, "outs": [{"path": MODEL, "md5": md5, "size": 1}]}
    (repo / POINTER).write_text(yaml.safe_dump(pointer))


def pointers_md5(repo: Path) -> str:
    """Return the digest that the checkout's pointer names."""
    pointer = read_pointer(repo)
    assert pointer is not None
    return pointer.md5


# --- push, pull, look back ---------------------------------------------------------------------


def test_push_delete_pull_gives_the_same_file(repo: Path, bucket: Path) -> None:
    before = write_model(repo / MODEL, mcc=0.5)
    assert "is in model-store" in versions.push(repo, "model-store")
    assert [name.split("/")[-2] + name.split("/")[-1] for name in objects(bucket)] == [before]

    lose_local_copies(repo)
    assert "MCC 0.5000 on own" in versions.pull(repo, "model-store")
    assert md5(repo / MODEL) == before


@pytest.mark.slow
def test_second_push_uploads_nothing(repo: Path, bucket: Path) -> None:
    write_model(repo / MODEL, mcc=0.5)
    versions.push(repo, "model-store")
    uploaded, pointer = objects(bucket), (repo / POINTER).read_bytes()

    assert "nothing to upload" in versions.push(repo, "model-store")
    assert objects(bucket) == uploaded
    assert (repo / POINTER).read_bytes() == pointer


@pytest.mark.slow
def test_each_version_comes_back_from_its_commit(
    repo: Path, bucket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = []
    for seed, mcc in enumerate((0.40, 0.45)):
        models.append(write_model(repo / MODEL, mcc, seed))
        versions.push(repo, "model-store")
        git(repo, "add", POINTER)
        git(repo, "commit", "-q", "-m", f"Model {seed}")

    print_history(history(repo))
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[2:5] for line in table[1:]] == [
        [models[1][:8], "0.4500", "own"],
        [models[0][:8], "0.4000", "own"],
    ]

    lose_local_copies(repo)
    for commit, model in (("HEAD~1", models[0]), ("HEAD", models[1])):
        git(repo, "checkout", "-q", commit, "--", POINTER)
        versions.pull(repo, "model-store")
        assert md5(repo / MODEL) == model


def test_log_shows_commits_and_what_is_not_committed_yet(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    point_at(repo, 0.40)
    git(repo, "add", POINTER)
    git(repo, "commit", "-q", "-m", "A model")
    assert [version.pointer.facts.mcc for version in history(repo)] == [0.40]

    (repo / POINTER).unlink()
    git(repo, "commit", "-q", "-a", "-m", "No model")
    point_at(repo, 0.45)
    print_history(history(repo))
    heading, new, old = capsys.readouterr().out.splitlines()
    assert heading.split() == ["version", "date", "md5", "MCC", "corpus", "trained", "at"]
    assert new.split() == ["(uncommitted)", "00000000", "0.4500", "own"]
    assert old.split()[2:] == ["00000000", "0.4000", "own"]


def test_log_shows_the_versions_around_a_conflict_that_was_committed(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for mcc in (0.40, None, 0.45):
        if mcc is None:
            (repo / POINTER).write_text("<<<<<<< HEAD\n")
        else:
            point_at(repo, mcc)
        git(repo, "add", POINTER)
        git(repo, "commit", "-q", "-m", "A model")

    assert [version.pointer.facts.mcc for version in history(repo)] == [0.45, 0.40]
    assert f"{POINTER} is damaged in commit" in capsys.readouterr().err


def test_log_finds_the_pointer_in_a_folder_of_a_larger_repository(tmp_path: Path) -> None:
    folder = tmp_path / "larger" / "cola"
    (folder / "dvcfiles").mkdir(parents=True)
    git(folder.parent, "init", "-q")
    point_at(folder, 0.40)
    git(folder, "add", POINTER)
    git(folder, "commit", "-q", "-m", "A model")
    assert [len(version.commit) for version in history(folder)] == [7]


def test_log_needs_no_more_of_git_than_it_asks_for(repo: Path, tmp_path: Path) -> None:
    """A person may have git show the signature of each commit."""
    if not shutil.which("ssh-keygen"):
        pytest.skip("no ssh-keygen to sign with")
    key, signers = tmp_path / "key", tmp_path / "signers"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    signers.write_text(f"tester@invalid {key.with_suffix('.pub').read_text()}")
    for name, value in {
        "gpg.format": "ssh",
        "gpg.ssh.allowedSignersFile": str(signers),
        "user.signingKey": str(key),
        "log.showSignature": "true",
    }.items():
        git(repo, "config", name, value)

    point_at(repo, 0.40)
    git(repo, "add", POINTER)
    git(repo, "commit", "-q", "-S", "-m", "A model")
    assert [version.pointer.facts.mcc for version in history(repo)] == [0.40]


def test_the_folder_works_at_once(repo: Path) -> None:
    before = write_model(repo / MODEL, mcc=0.5)
    assert "is in local" in versions.push(repo, "local")

    lose_local_copies(repo)
    versions.pull(repo, "local")
    assert md5(repo / MODEL) == before

    # The store itself is ignored.
    status = subprocess.run(
        ["git", "status", "--short", "-uall"], cwd=repo, capture_output=True, text=True, check=True
    )
    assert status.stdout.split() == ["??", POINTER]


@pytest.mark.slow
def test_the_url_stays_on_this_machine(repo: Path, bucket: Path) -> None:
    write_model(repo / MODEL, mcc=0.5)
    versions.push(repo, "model-store")
    assert (repo / ".dvc/config").read_bytes() == (ROOT / ".dvc/config").read_bytes()

    ignored = subprocess.run(["git", "check-ignore", ".dvc/config.local"], cwd=repo, check=False)
    assert ignored.returncode == 0


# --- what fails changes nothing ----------------------------------------------------------------

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
    point_at(repo, 0.4)
    before = (repo / POINTER).read_bytes()
    write_model(repo / MODEL, mcc=0.5)

    for key, value in settings.items():
        monkeypatch.delenv(key) if value is None else monkeypatch.setenv(key, value)
    with pytest.raises(StoreError, match=says) as refused:
        versions.push(repo, "model-store")

    assert "\n" not in str(refused.value)
    assert (repo / POINTER).read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "says"), [REFUSED[0], REFUSED[3]], ids=["wrong-key", "unreachable"]
)
def test_a_pull_that_fails_leaves_the_model(
    repo: Path, bucket: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], says: str
) -> None:
    write_model(repo / MODEL, mcc=0.5)
    versions.push(repo, "model-store")
    shutil.rmtree(repo / ".dvc/cache")
    mine = write_model(repo / MODEL, mcc=0.6, seed=1)

    for key, value in settings.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(StoreError, match=says):
        versions.pull(repo, "model-store")
    assert md5(repo / MODEL) == mine


def test_an_exchanged_object_is_refused_and_the_old_model_stays(repo: Path, bucket: Path) -> None:
    write_model(repo / MODEL, mcc=0.5)
    versions.push(repo, "model-store")
    pushed = (repo / POINTER).read_bytes()

    # A model that the cache holds may be replaced; this one is there when the bad one comes.
    old = write_model(repo / MODEL, mcc=0.4, seed=1)
    versions.push(repo, "local")
    (repo / POINTER).write_bytes(pushed)
    shutil.rmtree(repo / ".dvc/cache/files/md5" / pointers_md5(repo)[:2])

    (stored,) = (path for path in bucket.rglob("*") if path.is_file())
    write_model(stored, mcc=0.9, seed=2)

    with pytest.raises(StoreError, match="another file") as refused:
        versions.pull(repo, "model-store")
    assert "\n" not in str(refused.value)
    assert md5(repo / MODEL) == old


def test_a_file_with_another_sha256_than_the_pointers_is_refused(repo: Path) -> None:
    write_model(repo / MODEL, mcc=0.5)
    versions.push(repo, "local")
    document = yaml.safe_load((repo / POINTER).read_text())
    document["meta"]["sha256"] = "0" * 64
    (repo / POINTER).write_text(yaml.safe_dump(document))
    (repo / MODEL).unlink()

    with pytest.raises(StoreError, match="sent another file"):
        versions.pull(repo, "local")
    assert not (repo / MODEL).exists()


@pytest.mark.parametrize("command", [versions.push, versions.promote])
def test_a_second_push_in_one_checkout_is_refused(
    repo: Path, command: Callable[[Path, str], str]
) -> None:
    for model in (MODEL, CANDIDATE):
        write_model(repo / model, mcc=0.5)

    (repo / ".dvc/tmp").mkdir()
    with (repo / ".dvc/tmp/push.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="another push or pull is running"):
            command(repo, "local")
    assert not (repo / POINTER).exists()
    assert "is in local" in command(repo, "local")


def test_a_pull_that_fails_does_not_undo_a_promotion(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(repo / MODEL, mcc=0.5)
    versions.push(repo, "local")
    candidate = write_model(repo / CANDIDATE, mcc=0.6, seed=1)

    # The promotion begins when the pull has begun, and holds DVC's lock.
    def promote_meanwhile(root: Path, remote: str, *arguments: str) -> str:
        monkeypatch.setattr(store, "dvc", dvc)
        with contextlib.suppress(StoreError):
            versions.promote(repo, "local")
        raise StoreError("another DVC command is running here: wait for it")

    dvc = store.dvc
    monkeypatch.setattr(store, "dvc", promote_meanwhile)
    with pytest.raises(StoreError):
        versions.pull(repo, "local")

    pointer = read_pointer(repo)
    assert pointer is not None
    assert (md5(repo / MODEL) == candidate) == (pointer.md5 == candidate)


@pytest.mark.slow
def test_a_model_that_was_never_pushed_is_not_overwritten(repo: Path, bucket: Path) -> None:
    write_model(repo / MODEL, mcc=0.5)
    versions.push(repo, "model-store")
    mine = write_model(repo / MODEL, mcc=0.6, seed=1)

    with pytest.raises(StoreError, match="never pushed"):
        versions.pull(repo, "model-store")
    assert md5(repo / MODEL) == mine


@pytest.mark.slow
def test_a_pointer_whose_object_is_gone_says_so(repo: Path, bucket: Path) -> None:
    write_model(repo / MODEL, mcc=0.5)
    versions.push(repo, "model-store")
    lose_local_copies(repo)
    client = boto3.client("s3")
    for item in client.list_objects_v2(Bucket="models", Prefix=bucket.name)["Contents"]:
        client.delete_object(Bucket="models", Key=item["Key"])

    with pytest.raises(StoreError, match="does not hold this model"):
        versions.pull(repo, "model-store")
    assert not (repo / MODEL).exists()


@pytest.mark.slow
def test_an_interrupted_push_can_be_repeated(
    repo: Path, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store.dvc

    def interrupted(root: Path, remote: str, *arguments: str) -> str:
        if arguments[0] == "push":
            raise KeyboardInterrupt
        return real(root, remote, *arguments)

    write_model(repo / MODEL, mcc=0.5)
    with monkeypatch.context() as patch:
        patch.setattr(store, "dvc", interrupted)
        with pytest.raises(KeyboardInterrupt):
            versions.push(repo, "model-store")

    assert not (repo / POINTER).exists()
    assert "is in model-store" in versions.push(repo, "model-store")


def test_dvc_is_told_the_region_that_people_set(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, str] = {}

    def run(*_: object, env: dict[str, str], **__: object) -> subprocess.CompletedProcess[str]:
        seen.update(env)
        return subprocess.CompletedProcess([], 0, "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    store.dvc(repo, "local", "remote", "list")
    assert seen["AWS_DEFAULT_REGION"] == "eu-west-1"


def test_unknown_remote_is_one_line(repo: Path) -> None:
    write_model(repo / MODEL, mcc=0.5)
    with pytest.raises(StoreError, match="there is no remote 'elsewhere'"):
        versions.push(repo, "elsewhere")


@pytest.mark.parametrize(
    "content", [None, b"", b"not a model"], ids=["missing", "empty", "damaged"]
)
def test_what_is_no_model_is_not_pushed(repo: Path, content: bytes | None) -> None:
    if content is not None:
        (repo / "models").mkdir()
        (repo / MODEL).write_bytes(content)

    with pytest.raises(ModelFileError):
        versions.push(repo, "local")
    assert not (repo / POINTER).exists()


def test_pull_and_log_without_a_pointer_say_what_to_do(repo: Path) -> None:
    for command in (lambda: versions.pull(repo, "local"), lambda: history(repo)):
        with pytest.raises(StoreError, match="make model-push"):
            command()


@pytest.mark.parametrize("text", ["", "outs: []", "outs: [{path: x}]", "{", "a: [1"])
def test_a_damaged_pointer_is_one_line(repo: Path, text: str) -> None:
    (repo / POINTER).write_text(text)
    with pytest.raises(StoreError, match="git checkout"):
        versions.pull(repo, "local")


# --- is the new model as good? -----------------------------------------------------------------


def test_compare_takes_a_better_and_refuses_a_worse_model(repo: Path) -> None:
    write_model(repo / MODEL, mcc=0.5)
    first = versions.compare(repo).as_markdown()
    assert first.splitlines()[:3] == ["| | new |", "|---|---|", "| mcc | 0.5000 |"]

    point_at(repo, 0.45)
    better = versions.compare(repo).as_markdown()
    assert better.splitlines()[:2] == ["| | current | new |", "|---|---|---|"]
    assert "| mcc | 0.4500 | 0.5000 |" in better
    assert max(map(len, better.splitlines())) <= 80

    point_at(repo, 0.55)
    with pytest.raises(StoreError, match=r"worse: MCC 0\.5000, the current one has 0\.5500"):
        versions.compare(repo)


def test_a_model_is_taken_that_is_worse_by_what_two_machines_differ(repo: Path) -> None:
    write_model(repo / MODEL, mcc=0.5)
    point_at(repo, 0.504)
    versions.compare(repo)

    point_at(repo, 0.506)
    with pytest.raises(StoreError, match="worse"):
        versions.compare(repo)


def test_compare_refuses_what_was_measured_on_another_corpus(repo: Path) -> None:
    write_model(repo / MODEL, mcc=0.5)
    point_at(repo, 0.4, corpus_sha256="d1" * 32)
    with pytest.raises(StoreError, match="cannot be compared"):
        versions.compare(repo)


def test_promote_takes_the_candidate_only_if_it_is_no_worse(repo: Path) -> None:
    candidate = write_model(repo / CANDIDATE, mcc=0.5, seed=1)
    current = write_model(repo / MODEL, mcc=0.55)

    point_at(repo, 0.55, md5=current)
    with pytest.raises(StoreError, match="worse"):
        versions.promote(repo, "local")
    assert md5(repo / MODEL) == current

    point_at(repo, 0.45, md5=current)
    assert "is in local" in versions.promote(repo, "local")
    assert md5(repo / MODEL) == candidate
    assert pointers_md5(repo) == candidate


def test_who_reads_the_model_during_a_promotion_reads_the_old_one_whole(repo: Path) -> None:
    write_model(repo / CANDIDATE, mcc=0.5, seed=1)
    current = write_model(repo / MODEL, mcc=0.45)
    point_at(repo, 0.45, md5=current)

    before = (repo / MODEL).read_bytes()
    with (repo / MODEL).open("rb") as reader:
        versions.promote(repo, "local")
        assert reader.read() == before


def test_promote_keeps_a_model_that_was_never_pushed(repo: Path) -> None:
    write_model(repo / CANDIDATE, mcc=0.5, seed=1)
    mine = write_model(repo / MODEL, mcc=0.55)
    point_at(repo, 0.45)
    with pytest.raises(StoreError, match="push it, or move it away"):
        versions.promote(repo, "local")
    assert md5(repo / MODEL) == mine


def test_a_promotion_that_the_store_refuses_leaves_model_and_pointer(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(repo / CANDIDATE, mcc=0.5, seed=1)
    current = write_model(repo / MODEL, mcc=0.45)
    point_at(repo, 0.45, md5=current)
    pointer = (repo / POINTER).read_bytes()

    monkeypatch.delenv("MODEL_STORE_URL", raising=False)
    with pytest.raises(StoreError, match="set MODEL_STORE_URL"):
        versions.promote(repo, "model-store")
    assert md5(repo / MODEL) == current
    assert (repo / POINTER).read_bytes() == pointer


def test_a_full_disk_costs_no_model_that_was_left_alone(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = write_model(repo / MODEL, mcc=0.5)
    point_at(repo, 0.5)

    def fail(*arguments: object) -> str:
        raise StoreError("dvc: No space left on device")

    # What is written on a full disk is empty.
    def write_on_full_disk(path: Path, content: bytes) -> int:
        path.open("wb").close()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(store, "dvc", fail)
    monkeypatch.setattr(Path, "write_bytes", write_on_full_disk)
    with pytest.raises(StoreError, match="No space left"):
        versions.pull(repo, "local")
    assert md5(repo / MODEL) == mine
