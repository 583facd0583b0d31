"""What the Dockerfiles promise, as far as reading them shows; no container engine is needed."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from components import images
from containers import build, lock

ROOT = Path(__file__).parents[2]
HADOLINT = ROOT / ".venv-tools/bin/hadolint"
DOCKERFILES = sorted((ROOT / "containers").glob("*/Dockerfile"))
NAMES = [path.parent.name for path in DOCKERFILES]
LOCKS = sorted((ROOT / "containers").glob("*/requirements*.txt"))


def _instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Returns keyword and value of each instruction, its continued lines joined."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (keyword, " ".join(rest.split()))
        for keyword, _, rest in (line.partition(" ") for line in joined.splitlines() if line)
    ]


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~ ]", requirement)[0]).lower()


def test_every_image_that_a_step_names_has_a_dockerfile() -> None:
    named = {
        getattr(images, name).rpartition("/")[2].split(":")[0]
        for name in ("DOCUMENTS", "TRAINING", "SERVING", "OPS")
    }

    # The gateway is a service, no step of a pipeline.
    assert named | {"gateway"} == set(NAMES) == set(build.IMAGES) == set(lock.LOCKS)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=NAMES)
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    done = subprocess.run(
        [HADOLINT, dockerfile], capture_output=True, text=True, check=False, timeout=300
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python:latest\nRUN sudo apt-get install gcc\n")

    done = subprocess.run(
        [HADOLINT, tmp_path / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert done.returncode == 1
    assert "DL3007" in done.stdout


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=NAMES)
def test_the_base_is_pinned_by_digest_and_the_same_everywhere(dockerfile: Path) -> None:
    instructions = _instructions(dockerfile)
    bases = {value for keyword, value in instructions if keyword == "FROM"}

    default = next(value for keyword, value in instructions if keyword == "ARG")
    assert re.fullmatch(
        r"BASE_IMAGE=docker\.io/library/python:3\.11[\w.-]*@sha256:[0-9a-f]{64}", default
    )
    assert default == f"BASE_IMAGE={build.pinned_base()}"
    assert {base.split(" AS ")[0] for base in bases} <= {"${BASE_IMAGE}", "dependencies", "scratch"}


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=NAMES)
def test_the_last_stage_is_slim_labelled_and_not_root(dockerfile: Path) -> None:
    instructions = _instructions(dockerfile)
    last = [at for at, (keyword, _) in enumerate(instructions) if keyword == "FROM"][-1]
    stage = instructions[last:]
    values = dict(stage)

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", values["USER"])
    for label in ("title", "description", "licenses", "base.name"):
        assert f"org.opencontainers.image.{label}=" in values["LABEL"]
    assert 'org.opencontainers.image.revision="${COMMIT}"' in values["LABEL"]
    # Nothing is built here: what a step needs comes whole from the stages before.
    ran = " ".join(value for keyword, value in stage if keyword == "RUN")
    assert "pip" not in ran
    assert "gcc" not in ran
    assert ("HEALTHCHECK" in values) == (dockerfile.parent.name == "serving")
    copied = [value for keyword, value in stage if keyword == "COPY"]
    assert [value.split()[1] for value in copied] == ["/opt/venv", "/opt/doctune", "/opt/inventory"]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_package_of_a_lock_is_pinned_with_hashes(path: Path) -> None:
    blocks = re.findall(r"^[a-z0-9].*\n(?:    .*\n)*", path.read_text(), re.MULTILINE)

    assert blocks
    for block in blocks:
        assert re.match(r"[a-z0-9-]+==\S+", block)
        # The index has no hash of torch's build for CPU.
        assert "--hash=sha256:" in block or path.stem == "requirements-cpu"
    assert "://" not in path.read_text()


def test_the_locks_agree_with_the_constraints(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert lock.disagreements() == []

    (tmp_path / "constraints.txt").write_text("pydantic==1.0\n")
    monkeypatch.setattr(lock, "CONSTRAINTS", tmp_path / "constraints.txt")
    assert {line.split(":")[0] for line in lock.disagreements()} == {
        f"containers/{name}/requirements.txt" for name in NAMES
    }


@pytest.mark.parametrize("name", NAMES)
def test_each_image_has_what_its_extras_ask_for(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = set(project["dependencies"])
    for extra in lock.LOCKS[name].extras:
        wanted |= set(project["optional-dependencies"][extra])
    held: set[str] = set()
    for path in (ROOT / "containers" / name).glob("requirements*.txt"):
        held |= set(lock.pins(path.read_text()))

    assert {_name(requirement) for requirement in wanted} - held == set()
    assert {_name(requirement) for requirement in lock.LOCKS[name].alone} - held == set()
    assert ("kfp" in held) == (name != "gateway")  # its executor runs a step's function


@pytest.mark.parametrize("name", ["documents", "gateway", "ops"])
def test_the_light_images_have_no_torch(name: str) -> None:
    held = lock.pins((ROOT / "containers" / name / "requirements.txt").read_text())

    assert not {"torch", "transformers", "triton"} & set(held)


def test_only_what_is_built_from_is_sent_to_the_engine() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()

    assert lines[1] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == {
        *("pyproject.toml", "README.md", "LICENSE"),
        *("doctune", "components", "pipelines", "containers"),
    }


def test_a_machine_without_an_engine_gets_one_clear_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "containers/build.py"],
        env={"PATH": str(tmp_path), "DOCTUNE_CONFIG": str(ROOT / "config")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Neither podman nor docker is installed" in done.stderr
