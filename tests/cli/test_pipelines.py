"""The verbs of runs, against the Vertex AI of this machine."""

import sys

import pytest

from tests.cli.conftest import SPEC, Project

REPOSITORY = "https://us-central1-kfp.pkg.dev/doctune-local/pipelines"


@pytest.fixture(scope="module")
def finished(project: Project) -> dict[str, object]:
    """A run that has succeeded; one parameter came from config.yaml."""
    return project.json(
        "submit", str(SPEC), "-p", "name=Ada", "--param", "times=2", "--wait", "--json"
    )


def test_a_run_is_submitted_waited_for_and_shown(
    project: Project, finished: dict[str, object]
) -> None:
    assert finished["state"] == "succeeded"
    shown = project("status", str(finished["job_id"]))
    assert shown.returncode == 0
    assert f"{finished['job_id']}: succeeded" in shown.stdout
    assert "greet" in shown.stdout


def test_status_without_a_name_shows_the_latest_run(
    project: Project, finished: dict[str, object]
) -> None:
    latest = project.json("runs", "--limit", "1", "--json")[0]["job_id"]

    assert project.json("status", "--json")["job_id"] == latest


def test_runs_lists_those_of_a_pipeline(project: Project, finished: dict[str, object]) -> None:
    listed = project.json("runs", "--pipeline", "greetings", "--json")

    assert finished["job_id"] in [run["job_id"] for run in listed]
    assert project.json("runs", "--pipeline", "other", "--json") == []


def test_logs_are_those_of_the_step_with_its_name_and_time(
    project: Project, finished: dict[str, object]
) -> None:
    done = project("logs", str(finished["job_id"]), "--task", "greet")

    line = next(line for line in done.stdout.splitlines() if "Hello Ada. Hello Ada." in line)
    assert line.split()[1] == "greet"
    assert line.startswith("20")


def test_a_log_is_followed_to_the_end_of_a_run_with_parameters_from_a_file(
    project: Project,
) -> None:
    file = project.folder / "parameters.yaml"
    file.write_text("name: Ada\ntimes: 3\n")
    run = project.json("submit", str(SPEC), "--parameters", str(file), "-p", "name=Grace", "--json")

    done = project("logs", run["job_id"], "--follow")

    times = [line.split()[0] for line in done.stdout.splitlines()]
    assert "Hello Grace. Hello Grace. Hello Grace." in done.stdout
    assert len(times) == len(set(times))


def test_a_failed_run_is_exit_code_1_with_its_reason(project: Project) -> None:
    done = project("submit", str(SPEC), "-p", "name=", "--wait")

    assert done.returncode == 1
    assert "nobody is there to be greeted" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-p", "nmae=Ada"), "did you mean name?"),
        (("-p", "name=Ada", "-p", "times=often"), "times must be a whole number"),
        ((), "missing: name"),
        (("-p", "name"), "write NAME=VALUE"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_is_sent(
    project: Project, arguments: tuple[str, ...], said: str
) -> None:
    done = project("submit", str(SPEC), "--job-id", "never-sent", *arguments)

    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_nothing_of_refused_runs_was_sent(project: Project) -> None:
    assert "never-sent" not in [run["job_id"] for run in project.json("runs", "--json")]


def test_a_run_carries_the_labels_of_the_configuration(
    project: Project, finished: dict[str, object]
) -> None:
    code = (
        "from google.cloud import aiplatform; aiplatform.init(location='us-central1'); "
        f"print(aiplatform.PipelineJob.get('{finished['job_id']}').gca_resource.labels['team'])"
    )

    done = project("local", "exec", "--", sys.executable, "-c", code)

    assert done.stdout.strip() == "docs"


def test_a_published_pipeline_runs_by_its_version(project: Project) -> None:
    published = project.json(
        *("publish", str(SPEC), "--repository", REPOSITORY, "--tag", "staging", "--json")
    )[0]

    run = project.json("submit", published["url"], "-p", "name=Ada", "--wait", "--json")

    assert run["state"] == "succeeded"


def test_publishing_again_moves_the_tag(project: Project) -> None:
    changed = project.folder / "changed.yaml"
    changed.write_text((project.folder / SPEC).read_text().replace("Hello", "Goodbye"))

    published = project.json(
        *("publish", str(changed), "--repository", REPOSITORY, "--tag", "staging", "--json")
    )[0]

    tagged = f"{REPOSITORY}/greetings/staging"
    run = project.json("submit", tagged, "-p", "name=Ada", "--wait", "--json")
    assert published["version"].startswith("sha256:")
    assert "Goodbye Ada." in project("logs", run["job_id"]).stdout


@pytest.mark.parametrize(
    ("repository", "tag", "said"),
    [
        ("https://example.com/a/b", "t", "not a repository of pipelines"),
        (REPOSITORY, "Latest!", "cannot be a tag"),
    ],
)
def test_publishing_refuses_what_is_no_repository_or_tag(
    project: Project, repository: str, tag: str, said: str
) -> None:
    done = project("publish", str(SPEC), "--repository", repository, "--tag", tag)

    assert done.returncode == 2
    assert said in done.stderr


def test_a_run_that_is_over_is_not_asked_to_stop(
    project: Project, finished: dict[str, object]
) -> None:
    done = project("cancel", str(finished["job_id"]))

    assert done.returncode == 0
    assert done.stdout.strip() == f"{finished['job_id']} is over already (succeeded)."
    assert project.json("status", str(finished["job_id"]), "--json")["state"] == "succeeded"


def test_the_local_project_is_refused_in_the_cloud(project: Project) -> None:
    done = project("runs", "--cloud")

    assert done.returncode == 2
    assert "vertex_config.yaml" in done.stderr


def test_compile_needs_the_project(project: Project) -> None:
    done = project("compile")

    assert done.returncode == 2
    assert "compile.py" in done.stderr


def test_an_unknown_run_is_one_line(project: Project) -> None:
    done = project("status", "no-such-run")

    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
