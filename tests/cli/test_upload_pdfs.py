"""What `submit --pdfs FOLDER` sends to Cloud Storage, and what it asks first."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from kfp import compiler, dsl

from doctune.cli.upload_pdfs import reachable_pdfs
from tests.cli.conftest import Project


@pytest.fixture(scope="module")
def spec(project: Project) -> str:
    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def count(pdfs: str) -> str:
        return pdfs

    @dsl.pipeline(name="counting")
    def pipeline(pdfs: str) -> None:
        count(pdfs=pdfs)

    compiler.Compiler().compile(pipeline, str(project.folder / "counting.yaml"))
    return "counting.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep" / ".hidden").mkdir(parents=True)
    (tmp_path / "one.pdf").write_bytes(b"%PDF-1.4 one")
    (tmp_path / "deep" / "two.PDF").write_bytes(b"%PDF-1.4 two")
    (tmp_path / "deep" / "named-otherwise").write_bytes(b"%PDF-1.4 three")
    for name in ("salaries.xlsx", "id_rsa", "deep/service-account.json", ".env"):
        (tmp_path / name).write_text("secret")
    (tmp_path / "deep" / ".hidden" / "four.pdf").write_bytes(b"%PDF-1.4 four")
    return tmp_path


def stored(project: Project, said: str) -> list[str]:
    uri = re.search(r"gs://\S+(?=:)", said)[0]
    return sorted(
        item["uri"].removeprefix(f"{uri}/") for item in project.json("data", "ls", uri, "--json")
    )


def test_only_pdfs_are_uploaded_and_listed_first(project: Project, spec, folder: Path) -> None:
    done = project("submit", spec, "--pdfs", str(folder))
    assert done.returncode == 0, done.stderr
    listed = [line.strip() for line in done.stderr.splitlines() if line.startswith("  ")]
    assert listed == ["deep/named-otherwise", "deep/two.PDF", "one.pdf"]
    assert "5 other files of the folder stay here." in done.stderr
    assert stored(project, done.stderr) == sorted(listed)


def test_sidecars_go_along_since_they_say_who_may_see(folder: Path, monkeypatch) -> None:
    (folder / "one.pdf.doctune.yaml").write_text("groups: [partners]")
    (folder / "other.doctune.yaml").write_text("groups: [partners]")
    gone: list[str] = []
    monkeypatch.setattr(
        "doctune.vertex.upload_folder",
        lambda folder, uri, only: gone.extend(path.name for path in only),
    )
    reachable_pdfs(str(folder), "gs://bucket")
    assert sorted(gone) == ["named-otherwise", "one.pdf", "one.pdf.doctune.yaml", "two.PDF"]


@pytest.fixture
def many(folder: Path) -> Path:
    for number in range(200):
        (folder / f"{number}.pdf").write_bytes(b"%PDF-1.4")
    return folder


def test_many_are_refused_where_nobody_can_be_asked(project: Project, spec, many: Path) -> None:
    done = project("submit", spec, "--pdfs", str(many), "--job-id", "never-sent")
    assert done.returncode == 2
    assert "and 153 more" in done.stderr
    assert "holds 203 PDFs of 0 MB: if that is the right folder, say --yes." in done.stderr
    uri = re.search(r"gs://\S+(?=:)", done.stderr)[0]
    assert project.json("data", "ls", uri, "--json") == []
    assert "never-sent" not in [run["job_id"] for run in project.json("runs", "--json")]


def test_many_are_uploaded_where_yes_is_said(project: Project, spec, many: Path) -> None:
    done = project("submit", spec, "--pdfs", str(many), "--yes")
    assert done.returncode == 0, done.stderr
    assert len(stored(project, done.stderr)) == 203


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 2), (b"y\n", 0)])
def test_many_are_asked_about_at_a_terminal(
    project: Project, spec, many: Path, answer: bytes, code: int
) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    done = subprocess.run(
        [sys.executable, "-m", "doctune", "submit", spec, "--pdfs", str(many)],
        cwd=project.folder,
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(theirs)
    os.close(ours)
    assert "Upload 203 PDFs of 0 MB?" in done.stderr
    assert done.returncode == code, done.stderr


def test_a_folder_without_pdfs_is_refused(project: Project, spec, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    done = project("submit", spec, "--pdfs", str(tmp_path))
    assert done.returncode == 1
    assert "holds no PDF" in done.stderr


@pytest.fixture(scope="module")
def asking(project: Project) -> str:
    """A pipeline that reads the file of questions, as the evaluation does."""

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def read(advanced: dict) -> str:
        from doctune.artifacts import local_file
        from doctune.digests import digest_file

        path = local_file(advanced["questions"])
        assert digest_file(path) == advanced["questions_digest"]
        return path.read_text()

    @dsl.pipeline(name="asking")
    def pipeline(evaluation_advanced: dict) -> None:
        read(advanced=evaluation_advanced)

    compiler.Compiler().compile(pipeline, str(project.folder / "asking.yaml"))
    return "asking.yaml"


def test_questions_here_go_with_the_run_and_a_missing_file_is_refused_before_it(
    project: Project, asking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = tmp_path / "questions.jsonl"
    monkeypatch.setenv("DOCTUNE_EVALUATION__QUESTIONS", str(questions))
    refused = project("submit", asking)
    assert refused.returncode == 2
    assert f"evaluation.questions: {questions} is not a file" in refused.stderr
    questions.write_text('{"question": "What is the sill?"}')

    done = project("submit", asking, "--wait")

    assert done.returncode == 0, done.stderr
