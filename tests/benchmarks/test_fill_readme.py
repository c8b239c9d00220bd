"""The documents are compared with the results, and the results with the code."""

import subprocess
from pathlib import Path

import pytest

from benchmarks import fill_readme, results


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only document, in which a table is old; there are no results."""
    path = tmp_path / "a.md"
    path.write_text(f"{fill_readme.START}old\n{fill_readme.END}\n")
    monkeypatch.setattr(fill_readme, "ROOT", tmp_path)
    monkeypatch.setattr(fill_readme, "DOCUMENTS", {path: [lambda: "new\n"]})
    monkeypatch.setenv("BENCHMARK_RESULTS", str(tmp_path))
    return path


def test_the_check_names_what_is_old_and_writes_nothing(
    document: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["fill_readme", "--check"])
    assert fill_readme.main() == 1
    assert "a.md: run `make readme`" in capsys.readouterr().err
    assert "old" in document.read_text()

    monkeypatch.setattr("sys.argv", ["fill_readme"])
    assert fill_readme.main() == 0
    assert "new" in document.read_text()

    monkeypatch.setattr("sys.argv", ["fill_readme", "--check"])
    assert fill_readme.main() == 0
    assert capsys.readouterr().err == ""


def test_samples_of_another_model_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARK_RESULTS", str(tmp_path / "results"))
    assert fill_readme.age_of_walk(tmp_path) is None

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", *identity, *arguments]
        return subprocess.check_output(command, cwd=tmp_path, text=True).strip()

    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "pretext.tsv").write_text("old")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "a")
    results.write("walk", {"cloned_commit": git("rev-parse", "HEAD")})
    assert fill_readme.age_of_walk(tmp_path) is None

    (tmp_path / "corpus" / "README.md").write_text("of the documents")
    (tmp_path / "app.py").write_text("serves")
    git("add", ".")
    assert fill_readme.age_of_walk(tmp_path) is None

    (tmp_path / "corpus" / "pretext.tsv").write_text("new")
    assert "corpus/pretext.tsv" in (fill_readme.age_of_walk(tmp_path) or "")

    # As in a shallow clone, and in a source archive.
    results.write("walk", {"cloned_commit": "0" * 40})
    assert "could not check" in (fill_readme.age_of_walk(tmp_path) or "")
