"""Each image, started as Vertex AI starts it: read-only root, a random user, its environment."""

import contextlib
import json
import re
import time
from pathlib import Path

import httpx
import pytest
import yaml
from kfp import compiler, dsl

from doctune.localvertex.ports import free_port
from tests.containers.conftest import IMAGES, RANDOM_USER, STEPS, Engine
from tests.serving.tiny_model import write_tiny_model

pytestmark = pytest.mark.containers

# Without torch; the base image is in them.
MOST_MEGABYTES = {"documents": 450, "gateway": 300, "ops": 480}
INVENTORY = "/usr/share/doctune"


@dsl.component(base_image="example/any:1", install_kfp_package=False)
def look_around(number: int, written: dsl.Output[dsl.Dataset]) -> str:
    """Says who it runs as, and whether it can write where it must not."""
    import json
    import os
    from pathlib import Path

    import doctune

    refused = []
    for folder in ("/", "/opt/venv", "/opt/doctune", "/usr", "/etc"):
        try:
            Path(folder, "written").write_text("here")
        except OSError as error:
            refused.append((folder, type(error).__name__))
    Path(os.environ["HOME"], "mine").write_text("here")
    Path(written.path).write_text(str(number))
    written.metadata["doctune"] = doctune.__file__
    return json.dumps({"user": os.getuid(), "refused": len(refused)})


@pytest.mark.parametrize("name", STEPS)
def test_a_step_runs_with_what_is_in_the_image(
    containers: Engine, name: str, shared: Path, tmp_path: Path
) -> None:
    compiler.Compiler().compile(look_around, str(tmp_path / "spec.yaml"))
    spec = yaml.safe_load((tmp_path / "spec.yaml").read_text())
    (executor,) = spec["deploymentSpec"]["executors"].values()
    given = {
        "inputs": {"parameterValues": {"number": 7}},
        "outputs": {
            "parameters": {"Output": {"outputFile": f"{shared}/Output"}},
            "artifacts": {
                "written": {
                    "artifacts": [
                        {
                            "name": "written",
                            "type": {"schemaTitle": "system.Dataset"},
                            "uri": f"{shared}/written",
                            "metadata": {},
                        }
                    ]
                }
            },
            "outputFile": f"{shared}/executor_output.json",
        },
    }
    command = [*executor["container"]["command"], *executor["container"]["args"]]

    ended = containers.run(
        name,
        [part.replace("{{$}}", json.dumps(given)) for part in command],
        volumes={str(shared): {"bind": str(shared), "mode": "rw"}},
        environment={"KFP_POD_NAME": "step", "CLOUD_ML_PROJECT_ID": "123456789012"},
    )

    assert ended.code == 0, ended.output
    assert "pip install" not in " ".join(command)
    output = json.loads((shared / "executor_output.json").read_text())
    seen = json.loads(output["parameterValues"]["Output"])
    assert seen == {"user": int(RANDOM_USER.split(":")[0]), "refused": 5}
    assert (shared / "written").read_text() == "7"
    (artifact,) = output["artifacts"]["written"]["artifacts"]
    assert artifact["metadata"] == {"doctune": "/opt/doctune/doctune/__init__.py"}


@pytest.mark.parametrize("name", IMAGES)
def test_the_inventory_names_every_package(containers: Engine, name: str) -> None:
    def read(file: str) -> str:
        ended = containers.run(name, ["cat", f"{INVENTORY}/{file}"])
        assert ended.code == 0, ended.output
        return ended.output

    listed = containers.run(
        name,
        [
            *("python", "-c"),
            "import importlib.metadata as m, json; "
            "print(json.dumps(sorted({d.name.lower() for d in m.distributions()})))",
        ],
    )
    installed = set(json.loads(listed.output))
    sbom = json.loads(read("sbom.cdx.json"))
    licences = json.loads(read("licences.json"))
    debian = [line.split("\t") for line in read("debian.tsv").splitlines()]

    assert sbom["bomFormat"] == "CycloneDX"
    assert {part["name"].lower() for part in sbom["components"]} >= installed
    assert {part["Name"].lower() for part in licences} >= installed - {"pip", "setuptools"}
    assert all(part["License"] for part in licences)
    assert {"libc6", "dpkg"} <= {line[0] for line in debian}
    assert "doctune" in installed
    assert ("kfp" in installed) == (name in STEPS)


@pytest.mark.parametrize("name", IMAGES)
def test_nothing_of_the_build_is_left(containers: Engine, name: str) -> None:
    ended = containers.run(
        name,
        [
            *("sh", "-c"),
            "for tool in cc gcc make strip hadolint; do command -v $tool; done;"
            "ls /opt /build /wheels 2>/dev/null; find /var/lib/apt/lists -type f;"
            "find /root /tmp -mindepth 1 -path '*cache*' 2>/dev/null; "
            "ls /opt/venv/bin | grep -x pip",
        ],
    )

    assert ended.output.split() == ["/opt:", "doctune", "venv"] or ended.output.split() == [
        *("doctune", "venv")
    ]


@pytest.mark.parametrize("name", IMAGES)
def test_the_labels_say_what_it_was_built_from(containers: Engine, name: str) -> None:
    image = containers.client.images.get(IMAGES[name])
    labels = image.attrs["Config"]["Labels"]

    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["org.opencontainers.image.revision"])
    assert labels["org.opencontainers.image.title"] == f"doctune {name}"
    assert "python" in labels["org.opencontainers.image.base.name"]
    assert image.attrs["Config"]["User"] not in ("", "0", "root")


@pytest.mark.parametrize("name", MOST_MEGABYTES)
def test_the_light_images_are_light(containers: Engine, name: str) -> None:
    size = containers.client.images.get(IMAGES[name]).attrs["Size"]

    assert size < MOST_MEGABYTES[name] * 1_000_000


def test_scanned_pages_can_be_read_in_the_documents_image(containers: Engine) -> None:
    ended = containers.run("documents", ["tesseract", "--list-langs"])

    assert ended.code == 0
    assert {"eng", "osd"} <= set(ended.output.split())


def test_the_serving_image_answers_as_vertex_asks(containers: Engine, shared: Path) -> None:
    model = write_tiny_model(shared / "model")
    (model / "model/model.safetensors").chmod(0o644)
    port = free_port()
    vertex = {
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": "/v1/health",
        "AIP_PREDICT_ROUTE": "/v1/predict",
        "AIP_STORAGE_URI": str(model),
        "AIP_MODE": "PREDICTION",
    }
    container = containers.start(
        "serving",
        environment=vertex,
        volumes={str(shared): {"bind": str(shared), "mode": "ro"}},
    )
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}/v1/health", container)
        answer = httpx.post(
            f"http://127.0.0.1:{port}/v1/predict",
            json={"instances": [{"prompt": "hello"}], "parameters": {"max_new_tokens": 4}},
            timeout=60,
        )
        check = container.attrs["Config"]["Healthcheck"]
        health = container.exec_run(check["Test"][1:])
        container.stop(timeout=30)
        code = container.wait(timeout=60)["StatusCode"]
        lines = [json.loads(line) for line in container.logs().decode().splitlines()]
    finally:
        container.remove(force=True)

    assert answer.status_code == 200
    assert answer.json()["predictions"][0]["completion_tokens"] <= 4
    assert check["Test"][0] == "CMD"
    assert health.exit_code == 0, health.output
    assert code == 0
    assert any("predict: 200" in line["message"] for line in lines)


def _wait_until_healthy(url: str, container) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url).status_code == 200:
                return
        container.reload()
        assert container.status == "running", container.logs().decode()
        time.sleep(0.2)
    pytest.fail(f"{url} never answered 200: {container.logs().decode()}")
