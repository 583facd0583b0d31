"""`doctune local notebook`: what is said of a cell is what happened in it."""

from pathlib import Path

import pytest

from doctune.errors import UsageError
from doctune.localvertex.notebooks.cells import Cell, left_out, prepared
from doctune.localvertex.notebooks.run import run_notebook

NOTEBOOKS = Path(__file__).parent / "notebooks"
# Each shows one of the causes for which Google's own notebooks did not run.
WHOLE = sorted(path.stem for path in (NOTEBOOKS / "whole").glob("*.ipynb"))


@pytest.fixture
def run(local, tmp_path):
    def run_one(name, **changes):
        values = {"values": {}, "on_cell": lambda _: None, "timeout_seconds": 240} | changes
        return run_notebook(NOTEBOOKS / f"{name}.ipynb", local, tmp_path / "run", **values)

    return run_one


def states(result):
    return [(cell.state, cell.reason) for cell in result.cells]


def test_shell_cells_and_magics_run_and_what_is_left_out_is_said(run):
    result = run("shell_and_magics", keep_going=True)

    output = (result.folder / "output.txt").read_text()[-3000:]
    assert not result.count("failed"), (states(result), output)
    assert result.passed
    skipped = {cell.number: cell.reason for cell in result.cells if cell.state == "skipped"}
    assert set(skipped) == {1, 13, 15, 16}, states(result)
    assert "pip install" in skipped[1]
    assert "gcloud services enable" in skipped[13]
    assert "docker run" in skipped[15]
    assert "asks the container that docker was to run" in skipped[16]


@pytest.mark.parametrize("name", WHOLE)
def test_a_notebook_for_a_cause_passes(run, name):
    result = run(f"whole/{name}")

    output = (result.folder / "output.txt").read_text()[-3000:]
    assert result.passed, (states(result), result.problems, output)
    assert result.count("skipped") == 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("failing_command", "`ls /nowhere-at-all` ended with exit code 2"),
        ("captured_error", "ValueError: hidden"),
        ("shown_traceback", "no_such_file.py"),
    ],
)
def test_what_a_notebook_keeps_to_itself_is_a_failure(run, name, reason):
    result = run(name)

    assert not result.passed
    assert result.cells[-1].state == "failed"
    assert reason in result.cells[-1].reason


def test_a_cell_that_asks_for_input_is_skipped_and_says_so(run):
    result = run("asks_for_input")

    assert [state for state, _ in states(result)] == ["skipped", "passed"]
    assert "it asks for input (Your name:)" in result.cells[0].reason


def test_a_kernel_that_dies_has_not_passed(run):
    result = run("kernel_dies")

    assert not result.passed
    assert result.problems == ["the kernel ended in cell 1 (exit code 3)"]


def test_a_cell_that_takes_too_long_ends_the_notebook(run, tmp_path):
    result = run("slow", timeout_seconds=3)

    assert not result.passed
    assert result.problems == ["cell 1 took longer than 3 s"]


def test_a_job_that_failed_behind_a_notebooks_back_fails_it(run):
    result = run("failed_job")

    assert result.count("failed") == 0
    assert not result.passed
    (problem,) = result.problems
    assert problem.startswith("CustomJob fails-in-the-background is JOB_STATE_FAILED")


def test_a_notebook_of_which_nothing_ran_has_not_passed(run):
    result = run("only_installs")

    assert result.count("skipped") == 2
    assert not result.passed


def test_what_is_no_notebook_is_refused(local, tmp_path):
    (tmp_path / "a.ipynb").write_text("{}")
    with pytest.raises(UsageError, match="is not a Jupyter notebook"):
        run_notebook(
            tmp_path / "a.ipynb",
            local,
            tmp_path / "run",
            values={},
            on_cell=print,
            timeout_seconds=1,
        )


def test_placeholders_get_a_value_and_other_constants_stay():
    source = 'PROJECT_ID = "[your-project-id]"  # @param\nREGION = "europe-west4"\nN = 3\n! ls $N'

    done = prepared(source, {"N": "4"}, {"PROJECT_ID": "mine", "REGION": "us-central1"})

    assert done == "PROJECT_ID = 'mine'\nREGION = \"europe-west4\"\nN = '4'\n! ls $N"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("from google.colab import auth\nauth.authenticate_user()", "it logs in"),
        ("if IS_COLAB:\n    from google.colab import auth\n", ""),
        ("app = IPython.Application.instance()\napp.kernel.do_shutdown(True)", "starts the kernel"),
        ("print(1)", ""),
    ],
)
def test_cells_that_do_nothing_but_log_in_or_restart_are_left_out(source, reason):
    said = left_out(Cell(1, source))

    assert reason in said
    assert bool(reason) is bool(said)
