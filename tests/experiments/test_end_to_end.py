"""Whole experiments on the local Vertex AI: real versions, real servers, the real gateway.

Simulated users ask one question each and rate the answer by a stated rule (`users.py`).
The version that is worse on purpose has one embedding for all tokens, so that it repeats itself.
"""

import io
import os
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.cloud import storage
from kfp import compiler
from sqlalchemy import Engine, func, select

from doctune.database.experiments import (
    ENDED,
    RUNNING,
    ExperimentState,
    decisions_of,
    get_experiment,
    list_experiments,
    request_stop,
)
from doctune.database.tables import Prediction
from doctune.errors import DeploymentError, UsageError
from doctune.experiments.controller import Controller
from doctune.experiments.creation import ArmChoice, Request, create_experiment
from doctune.experiments.options import load_experiment_options
from doctune.experiments.platform import VertexPlatform
from doctune.vertex import ask, deploy_model, list_variants, register_model, rollback
from doctune.vertex.jobs import Run, RunSettings, status, submit
from pipelines.ab_test import ab_test
from tests.experiments.front import METRICS, RULES, SECOND, Front
from tests.experiments.users import QUESTION, SHORT, Users, pleases
from tests.serving.tiny_model import write_tiny_model
from tests.vertex.conftest import (
    BUCKET,
    IMAGES,
    LOCATION,
    PROJECT,
    local_vertex,
    vertex_session,
)
from tests.waiting import wait_for

NAME = f"ab-{uuid.uuid4().hex[:8]}"
WORSE_FIRST = f"{NAME}-worse"  # the endpoint whose champion is the worse one
LIGHT = f"{NAME}-light"  # the endpoint of servers that only say which version they are
WAIT_SECONDS = 240
pytestmark = pytest.mark.usefixtures("vertex")


def make_worse(artifact: Path) -> Path:
    """Gives all tokens one embedding: whatever is asked, the model repeats one token."""
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(artifact / "model")
    embeddings = model.get_input_embeddings().weight.data
    embeddings[:] = embeddings[40].clone()
    model.save_pretrained(artifact / "model")
    return artifact


def register(artifact: Path, name: str) -> str:
    registered = register_model(artifact, model_name=name, serving_image=f"{IMAGES}/serving:1")
    return registered.version_name


def release(version: str, endpoint: str) -> None:
    deploy_model(
        version,
        endpoint_name=endpoint,
        smoke_instances=[{"prompt": QUESTION}],
        smoke_parameters=SHORT,
    )


@dataclass(frozen=True)
class Versions:
    """Of one model: two that answer alike and one that is worse. Of another: the worse released."""

    good: str
    equal: str
    worse: str
    better: str  # of the model whose champion is the worse one


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The gateway's database, which steps of pipelines find by their environment."""
    return f"sqlite:///{tmp_path_factory.mktemp('database')}/gateway.db"


@pytest.fixture(scope="module")
def vertex(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("localvertex")
    with local_vertex(folder, DATABASE_URL=database_url) as local, vertex_session(local):
        yield


@pytest.fixture(scope="module")
def versions(vertex: None, tmp_path_factory: pytest.TempPathFactory) -> Versions:
    folder = tmp_path_factory.mktemp("models")
    good = write_tiny_model(folder / "good", seed=3)
    equal = write_tiny_model(folder / "equal", seed=3)
    (equal / "training.json").write_text('{"base_model": "tiny", "seed": 33}\n')
    worse = make_worse(write_tiny_model(folder / "worse", seed=4))
    first = register(good, NAME)
    release(first, NAME)
    worse_champion = register(worse, WORSE_FIRST)
    release(worse_champion, WORSE_FIRST)
    for endpoint, is_good in ((NAME, True), (WORSE_FIRST, False)):
        text = ask(endpoint, [{"prompt": QUESTION}], SHORT)[0]["text"]
        assert pleases(text) == is_good, f"{endpoint} answers {text!r}"
    return Versions(
        good=first,
        equal=register(equal, NAME),
        worse=register(worse, NAME),
        better=register(good, WORSE_FIRST),
    )


@pytest.fixture(scope="module")
def light(vertex: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two versions whose servers only say which version they are; the first one is released."""
    model_folder = write_tiny_model(tmp_path_factory.mktemp("light"))
    first, second = (
        register_model(
            model_folder, model_name=LIGHT, serving_image=f"{IMAGES}/light:{number}"
        ).version_name
        for number in (1, 2)
    )
    release(first, LIGHT)
    return first, second


@pytest.fixture(scope="module")
def gateway(
    vertex: None, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("gateway")
    front = Front(folder, (NAME, WORSE_FIRST, LIGHT), database_url)
    try:
        yield front
    finally:
        front.close()


def begin(front: Front, name: str, model: str, treatment: str, **more: object) -> None:
    request = Request(
        name=name,
        model=model,
        endpoint=model,
        registered=model,
        metric="helpful",
        smoke_prompt=QUESTION,
        **{
            "treatments": (ArmChoice("treatment", treatment),),
            "guardrails": ("error_rate",),
            **more,
        },  # type: ignore[arg-type]
    )
    create_experiment(front.engine, load_experiment_options(front.config), request)


def wait_until(front: Front, name: str, what: str, condition) -> ExperimentState:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        state = get_experiment(front.engine, name)
        if condition(state):
            return state
        assert front.is_controlled, front.log()
        assert time.monotonic() < deadline, (
            f"{name}: {what} did not happen in {WAIT_SECONDS} s; it is {state.state}, "
            f"{[d.sentence for d in decisions_of(front.engine, name)][-3:]} {front.log()}"
        )
        time.sleep(0.1)


def until_ended(front: Front, name: str) -> ExperimentState:
    return wait_until(front, name, "its end", lambda state: state.state == ENDED)


def exposed(engine: Engine, name: str) -> int:
    """Returns how often the treatment has answered."""
    query = select(func.count()).where(
        Prediction.experiment == name,
        Prediction.exposure == "given",
        Prediction.arm == "treatment",
    )
    with engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


def deployed_for(name: str) -> list[str]:
    """Returns the display names of the experiment's endpoints that are still there."""
    from google.cloud import aiplatform

    return [e.display_name for e in aiplatform.Endpoint.list()
            if e.display_name.startswith(f"experiment-{name}-")]  # fmt: skip


def champion(endpoint: str) -> str:
    (serving,) = [variant for variant in list_variants(endpoint) if variant.share == 100]
    return serving.model_version


def test_a_worse_version_is_rolled_back_while_an_equal_one_ends_as_a_tie(
    gateway: Front, versions: Versions
) -> None:
    """Both at once, in two halves of the same users."""
    # What people say of an answer comes after it, so a stage must leave time to hear of it.
    gateway.set_rules(stage_days=10 * SECOND)
    begin(gateway, "worse", NAME, versions.worse, ramp=(20, 24, 50), layer_share=50)
    gateway.set_rules(max_users=60)
    begin(gateway, "equal", NAME, versions.equal, ramp=(50,), layer_share=50)
    for name in ("worse", "equal"):
        gateway.control(name)
    with Users(gateway, NAME):
        worse, equal = (until_ended(gateway, name) for name in ("worse", "equal"))
    assert (worse.verdict, equal.verdict) == ("lose", "tie"), gateway.log()
    shares = [decided.numbers["shares"] for decided in decisions_of(gateway.engine, "worse")
              if decided.numbers]  # fmt: skip
    assert max(share.get("treatment", 0) for share in shares) < 2500
    last_look = [d for d in decisions_of(gateway.engine, "worse") if d.action == "end"][-1]
    assert "helpful" in last_look.sentence
    assert champion(NAME) == versions.good
    assert deployed_for("worse") == deployed_for("equal") == []


def submit_ab_test(folder: Path, **parameters: Any) -> Run:
    """Submits the compiled pipeline to the pipeline service, as `doctune submit` does."""
    spec = folder / "ab_test.yaml"
    compiler.Compiler().compile(ab_test, str(spec))
    release = {"metric": "helpful", "guardrails": ["error_rate"], "ramp": [20, 50]}
    values = {
        "project": PROJECT,
        "location": LOCATION,
        "staging_bucket": BUCKET,
        "model_name": LIGHT,
        "endpoint_name": LIGHT,
        "question": QUESTION,
        "experiment": {
            "rules": RULES,
            "metrics": METRICS,
            "drain_seconds": 0.5,
            "release": release,
        },
        **parameters,
    }
    return submit(spec, values, settings=RunSettings(enable_caching=False))


def outputs_of(run: Run, task: str) -> dict[str, Any]:
    """Returns the artifacts of a step, as the pipeline service tells of them."""
    from google.cloud import aiplatform

    details = aiplatform.PipelineJob.get(run.job_id).gca_resource.job_detail.task_details
    (found,) = [detail for detail in details if detail.task_name == task]
    return {name: listed.artifacts[0] for name, listed in found.outputs.items()}


def test_the_pipeline_service_deploys_a_candidate_lets_users_decide_and_promotes_it(
    gateway: Front, light: tuple[str, str], tmp_path: Path
) -> None:
    first, second = light
    run = submit_ab_test(tmp_path, version="candidate")
    with Users(gateway, LIGHT, pleased=lambda text: text == "version 2"):
        wait_for(lambda: status(run.job_id).is_over, WAIT_SECONDS, "the end of the run")
    over = status(run.job_id)
    assert over.state == "succeeded", over.error
    outputs = outputs_of(run, "run-experiment")
    numbers = dict(outputs["numbers"].metadata)
    assert (numbers["verdict"], numbers["winner"]) == ("win", "treatment")
    assert numbers["helpful_treatment_lower"] > 0
    page = io.BytesIO()
    storage.Client(PROJECT).download_blob_to_file(outputs["report"].uri, page)
    assert "treatment wins" in page.getvalue().decode()
    (name,) = [state.name for state in list_experiments(gateway.engine)
               if state.name.startswith("release-2-")]  # fmt: skip
    assert deployed_for(name) == []
    assert champion(LIGHT) == second
    assert rollback(LIGHT).model_version == first


def test_a_better_version_is_promoted_although_everything_is_killed_once(
    gateway: Front, versions: Versions
) -> None:
    gateway.set_rules(max_days=400 * SECOND)  # on a busy machine a dead server is away for long
    before = champion(WORSE_FIRST)
    begin(gateway, "better", WORSE_FIRST, versions.better, ramp=(20, 50))
    first = gateway.control("better")
    with Users(gateway, WORSE_FIRST):
        wait_until(gateway, "better", "its start", lambda state: state.state == RUNNING)
        _kill_arm("better")
        wait_until(gateway, "better", "an answer", lambda _: exposed(gateway.engine, "better") > 5)
        os.kill(first.pid, signal.SIGKILL)
        gateway.control("better")
        gateway.kill_and_restart()
        state = until_ended(gateway, "better")
    assert (state.verdict, state.winner) == ("win", "treatment"), gateway.log()
    assert champion(WORSE_FIRST) == versions.better
    assert deployed_for("better") == []
    assert rollback(WORSE_FIRST).model_version == before
    starts = [d for d in decisions_of(gateway.engine, "better") if d.action == "start"]
    assert len(starts) == 1


def _kill_arm(name: str) -> None:
    """Kills the model server of an experiment's treatment."""
    from google.cloud import aiplatform

    (endpoint,) = [e for e in aiplatform.Endpoint.list()
                   if e.display_name == f"experiment-{name}-treatment"]  # fmt: skip
    number = endpoint.resource_name.split("/")[-1]
    servers = [process for process in psutil.process_iter() if _serves(process, number)]
    assert servers
    for process in servers:
        process.kill()


def _serves(process: psutil.Process, endpoint: str) -> bool:
    try:
        return process.environ().get("AIP_ENDPOINT_ID") == endpoint
    except (psutil.Error, OSError):
        return False


def deploy_for_invoke(versions: int = 2) -> tuple[str, list[str]]:
    """Deploys versions of a model with invoke routes; the first gets all traffic."""
    from google.cloud import aiplatform

    name = f"{NAME}-invoked"
    endpoint = aiplatform.Endpoint.create(display_name=name, dedicated_endpoint_enabled=True)
    parent = None
    for number in range(versions):
        model = aiplatform.Model.upload(
            display_name=name,
            parent_model=parent,
            serving_container_image_uri=f"{IMAGES}/light:1",
            serving_container_health_route="/health",
            serving_container_invoke_route_prefix="/*",
        )
        parent = model.resource_name
        model.deploy(
            endpoint=endpoint,
            machine_type="n1-standard-4",
            traffic_percentage=0 if number else 100,
        )
    variants = sorted(list_variants(name), key=lambda variant: variant.model_version)
    return name, [variant.deployed_model_id for variant in variants]


def test_an_arm_may_be_one_deployed_model_by_its_invoke_route(
    gateway: Front, light: tuple[str, str]
) -> None:
    name, (_, idle) = deploy_for_invoke()
    arm = f"vertex:{name}/deployedModels/{idle}"
    with pytest.raises(DeploymentError, match="has no deployed model 12: it has"):
        begin(gateway, "invoked", LIGHT, f"vertex:{name}/deployedModels/12")
    serving = next(variant for variant in list_variants(LIGHT) if variant.share == 100)
    with pytest.raises(DeploymentError, match="has no invoke route"):
        begin(
            gateway,
            "invoked",
            LIGHT,
            f"vertex:{LIGHT}/deployedModels/{serving.deployed_model_id}",
        )
    begin(gateway, "invoked", LIGHT, arm, ramp=(50,))
    controller = Controller(gateway.engine, "invoked", VertexPlatform(), "test")
    started = controller.step()
    assert started is not None
    assert started.action == "start"
    with Users(gateway, LIGHT, threads=2):
        wait_for(lambda: exposed(gateway.engine, "invoked") > 5, 60, "answers of the arm")
    query = select(Prediction.upstream, Prediction.deployed_model_id, Prediction.answer)
    with gateway.engine.connect() as connection:
        rows = set(
            connection.execute(
                query.where(
                    Prediction.experiment == "invoked",
                    Prediction.arm == "treatment",
                    Prediction.exposure == "given",
                )
            ).tuples()
        )
    assert rows == {(arm, idle, "version 2")}
    request_stop(gateway.engine, "invoked", "control")
    assert controller.run().verdict == "stopped"
    assert {variant.share for variant in list_variants(name)} == {0, 100}  # as it was


def test_a_control_that_does_not_serve_is_refused(gateway: Front, versions: Versions) -> None:
    with pytest.raises(DeploymentError, match="does not have all traffic"):
        begin(gateway, "wrong", NAME, versions.equal, control=versions.worse)
    with pytest.raises(UsageError, match="same as the control"):
        begin(gateway, "same", NAME, versions.good)
    arm = ArmChoice("treatment", "same", {"temprature": 0.2})
    with pytest.raises(UsageError, match="temprature cannot be set: temperature, top_p"):
        begin(gateway, "wrong", NAME, "same", treatments=(arm,))
