"""Reading CoLA's format: the malformed is refused, the suspicious is counted."""

from pathlib import Path

import pytest

from corpus.format import Sentence, audit, digest, read_file, read_folder, write_file
from errors import CorpusError


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_reads_what_it_writes(tmp_path: Path) -> None:
    sentences = [
        Sentence("a", 1, "", 'She said "no"\'s fine.'),
        Sentence("b", 0, "*", "Élan café sleep."),
    ]
    write_file(tmp_path / "x.tsv", sentences)
    assert read_file(tmp_path / "x.tsv") == sentences


def test_windows_line_ends_are_not_part_of_the_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", b"a\t1\t\tShe left.\r\nb\t0\t*\tShe leave.\r\n")
    assert [s.text for s in read_file(path)] == ["She left.", "She leave."]


def test_a_byte_order_mark_is_not_part_of_the_first_source(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", b"\xef\xbb\xbfa\t1\t\tShe left.\n")
    assert read_file(path) == [Sentence("a", 1, "", "She left.")]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (b"a\t1\tShe left.", "3 columns instead of 4"),
        (b"a\t1\t\tShe left.\textra", "5 columns instead of 4"),
        (b"", "1 columns instead of 4"),
        (b"a\t2\t\tShe left.", "label '2' is neither 0"),
        (b"a\t\t\tShe left.", "label '' is neither 0"),
        (b"a\t1\t\t", "the sentence is empty"),
        (b"a\t1\t\t  \t".rstrip(b"\t"), "the sentence is empty"),
        (b"a\t1\t\tcaf\xe9.", "not UTF-8 (byte 9)"),
        (b"a\t1\t\tShe\0left.", "a NUL character"),
        ("a\t1\t\t\u200b \u0301".encode(), "the sentence is empty or invisible"),
    ],
)
def test_a_malformed_row_is_refused_with_file_and_line(
    tmp_path: Path, row: bytes, complaint: str
) -> None:
    path = write(tmp_path / "x.tsv", b"a\t1\t\tFine.\n" + row + b"\na\t1\t\tFine too.\n")
    with pytest.raises(CorpusError) as error:
        read_file(path)
    assert str(error.value).startswith(f"{path}:2: ")
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_and_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="in_domain_train.tsv: cannot be read"):
        read_folder(tmp_path)
    with pytest.raises(CorpusError, match="is empty"):
        read_file(write(tmp_path / "x.tsv", b""))


def test_audit_counts_duplicates_contradictions_and_leaks() -> None:
    good, bad = Sentence("a", 1, "", "One."), Sentence("a", 0, "*", "One.")
    two = Sentence("a", 1, "", "Two.")
    splits = {
        "train": [good, bad, two, two, two],
        "in_domain": [two],
        "out_of_domain": [Sentence("b", 1, "", "New.")],
    }
    assert audit(splits) == {"duplicated": 2, "contradictory": 1, "leaked": 1}


def test_digest_depends_on_labels_and_text_but_not_on_the_source() -> None:
    def splits(source: str, label: int) -> dict[str, list[Sentence]]:
        sentence = Sentence(source, label, "", "One.")
        return {"train": [sentence], "in_domain": [sentence], "out_of_domain": [sentence]}

    assert digest(splits("a", 1)) == digest(splits("b", 1)) != digest(splits("a", 0))
