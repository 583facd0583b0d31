"""Deployments through Google's SDK, against localvertex, which starts real servers."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import scipy.stats

from doctune.errors import DeploymentError
from doctune.vertex import (
    Canary,
    Deployment,
    ServingContainer,
    ServingMachine,
    ask,
    deploy_model,
    find_endpoint,
    register_model,
    releases,
    rollback,
)
from doctune.vertex.canary import UserCounts, binomial_tail
from doctune.vertex.registry import get_version
from doctune.vertex.serving_state import EndpointReader
from doctune.vertex.smoke_test import most_predictions
from tests.vertex.conftest import IMAGES, LOCATION, PROJECT

pytestmark = pytest.mark.usefixtures("vertex")

MACHINE = ServingMachine(machine_type="n1-standard-8", max_replica_count=3)
SHORT = {"max_new_tokens": 8}
QUESTION = [{"prompt": "What does the pump have?"}]


@pytest.fixture
def register(model_folder: Path, unique: str) -> Callable[[str], str]:
    """Registers a version served by an image; returns the version's name."""

    def register(image: str) -> str:
        registered = register_model(
            model_folder, model_name=unique, serving_image=f"{IMAGES}/{image}"
        )
        return registered.version_name

    return register


def deploy(version: str, name: str, **options: object) -> Deployment:
    return deploy_model(version, endpoint_name=name, smoke_instances=QUESTION, **options)


def endpoint_of(name: str):
    from google.cloud import aiplatform

    found = aiplatform.Endpoint.list(filter=f'display_name="{name}"')
    assert len(found) <= 1
    return found[0] if found else None


def state_of(name: str) -> dict[str, int]:
    """Returns the share of the traffic of each deployed version."""
    endpoint = endpoint_of(name)
    shares = dict(endpoint.traffic_split)
    return {m.model_version_id: shares.get(m.id, 0) for m in endpoint.list_models()}


def aliases(version: str) -> set[str]:
    return set(get_version(version).version_aliases)


@pytest.fixture(scope="module")
def released(vertex, model_folder: Path) -> Deployment:
    """The tiny model behind the real model server."""
    registered = register_model(
        model_folder, model_name="real-server", serving_image=f"{IMAGES}/serving:1"
    )
    return deploy(registered.version_name, "real-server", smoke_parameters=SHORT, machine=MACHINE)


def test_the_real_server_is_deployed_as_asked_and_answers(released: Deployment) -> None:
    (answer,) = released.answers
    assert answer["text"]
    assert 1 <= answer["completion_tokens"] <= 8
    assert isinstance(answer["completion_tokens"], int)
    assert released.created
    assert aliases(released.model_version) == {"champion", "default"}
    (deployed,) = endpoint_of("real-server").list_models()
    assert deployed.dedicated_resources.machine_spec.machine_type == "n1-standard-8"
    assert deployed.dedicated_resources.min_replica_count == 1
    assert deployed.dedicated_resources.max_replica_count == 3
    assert released.artifact_uri == (
        f"https://us-central1-aiplatform.googleapis.com/v1/{released.endpoint}"
    )


def test_releasing_the_same_version_again_changes_nothing(released: Deployment) -> None:
    before = endpoint_of("real-server").list_models()
    again = deploy(released.model_version, "real-server", smoke_parameters=SHORT, machine=MACHINE)
    assert not again.created
    assert again.deployed_model_id == released.deployed_model_id
    assert again.answers == released.answers
    assert endpoint_of("real-server").list_models() == before


def test_the_endpoint_is_asked_by_either_name(released: Deployment) -> None:
    assert ask("real-server", QUESTION, SHORT) == list(released.answers)
    assert ask(released.endpoint, QUESTION, SHORT) == list(released.answers)


def test_a_refused_question_is_one_line_with_the_servers_reason(released: Deployment) -> None:
    with pytest.raises(DeploymentError) as caught:
        ask(released.endpoint, [{"question": "?"}])
    assert "instances[0].question: unknown field" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_by_invoke_routes_a_version_is_tested_before_it_has_traffic(
    model_folder: Path, unique: str
) -> None:
    def register(image: str) -> str:
        container = ServingContainer(f"{IMAGES}/{image}", invoked=True)
        return register_model(model_folder, model_name=unique, serving_image=container).version_name

    deploy(register("light:1"), unique)
    endpoint = endpoint_of(unique)
    assert endpoint.dedicated_endpoint_enabled
    # Any share of the traffic would have sent users there.
    with pytest.raises(DeploymentError, match="this server always fails"):
        deploy(register("failing:2"), unique)
    assert state_of(unique) == {"1": 100}
    done = deploy(register("light:3"), unique)
    assert done.answers[0]["text"] == "version 3"
    assert ask(unique, QUESTION)[0]["text"] == done.answers[0]["text"]
    state = EndpointReader(PROJECT, LOCATION).read(unique)
    assert state.raw_url(stream=True) == (
        f"https://{endpoint.gca_resource.dedicated_endpoint_dns}/v1/{endpoint.resource_name}"
        "/invoke/v1/chat/completions"
    )
    # The same version again is found by its routes, too.
    assert register("light:3") == done.model_version


def test_the_gateway_reads_the_endpoint_that_releases_change(
    model_folder: Path, register, unique: str
) -> None:
    from google.cloud import aiplatform

    deploy(register("light:1"), unique)
    aiplatform.Endpoint.create(display_name=unique)  # somebody else's, and newer
    state = EndpointReader(PROJECT, LOCATION).read(unique)

    assert state.name.split("/")[-1] == find_endpoint(unique).split("/")[-1]
    assert [version.share for version in state.versions] == [100]


def test_a_version_is_not_put_where_it_could_not_be_reached(
    model_folder: Path, register, unique: str
) -> None:
    deploy(register("light:1"), unique, dedicated=True)
    assert endpoint_of(unique).dedicated_endpoint_enabled
    container = ServingContainer(f"{IMAGES}/light:1", invoked=True)
    invoked = register_model(model_folder, model_name=unique, serving_image=container)
    with pytest.raises(DeploymentError, match="was created without invoke routes"):
        deploy(invoked.version_name, unique)


def test_each_release_keeps_the_one_before_and_no_older(register, unique) -> None:
    one, two, three = (register(f"light:{number}") for number in (1, 2, 3))
    deploy(one, unique)
    assert state_of(unique) == {"1": 100}
    released = deploy(two, unique)
    assert released.answers[0]["text"] == "version 2"
    assert state_of(unique) == {"1": 0, "2": 100}
    assert aliases(two) == {"champion", "default"}
    assert aliases(one) == {"previous"}
    deploy(three, unique)
    assert state_of(unique) == {"2": 0, "3": 100}
    assert aliases(two) == {"previous"}
    assert aliases(one) == set()


def test_a_rollback_gives_the_traffic_back_and_can_itself_be_rolled_back(register, unique) -> None:
    one, two = register("light:1"), register("light:2")
    deploy(one, unique)
    deploy(two, unique)
    back = rollback(unique)
    assert back.model_version == one
    assert state_of(unique) == {"1": 100, "2": 0}
    assert (aliases(one), aliases(two)) == ({"champion", "default"}, {"previous"})
    assert ask(unique, QUESTION)[0]["text"] == "version 1"
    assert rollback(back.endpoint).model_version == two
    assert state_of(unique) == {"1": 0, "2": 100}
    assert (aliases(one), aliases(two)) == ({"previous"}, {"champion", "default"})


def test_a_rollback_without_an_earlier_version_says_so(register, unique) -> None:
    with pytest.raises(DeploymentError, match="there is no endpoint called"):
        rollback(unique)
    deploy(register("light:1"), unique)
    with pytest.raises(DeploymentError, match="no earlier version deployed"):
        rollback(unique)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ("failing", "this server always fails"),
        ("empty", "failed its smoke test: 1 questions were answered"),
        ("exiting", "could not be deployed"),
    ],
)
def test_a_bad_release_leaves_the_traffic_exactly_as_it_was(
    register, unique, image: str, says: str
) -> None:
    one, two = register("light:1"), register("light:2")
    deploy(one, unique)
    deploy(two, unique, traffic_percentage=50)
    endpoint = endpoint_of(unique)
    # Somebody runs an experiment: the split is not what doctune would have chosen.
    ids = {model.model_version_id: model.id for model in endpoint.list_models()}
    endpoint.update(traffic_split={ids["1"]: 37, ids["2"]: 63})
    bad = register(f"{image}:3")
    with pytest.raises(DeploymentError, match=says) as caught:
        deploy(bad, unique, traffic_percentage=40)
    assert "\n" not in str(caught.value)
    assert state_of(unique) == {"1": 37, "2": 63}
    assert dict(endpoint_of(unique).traffic_split) == {ids["1"]: 37, ids["2"]: 63}
    assert "champion" in aliases(two)
    assert aliases(bad) == {"candidate"}


def test_errors_of_the_old_deployment_do_not_count_against_the_new_one(
    register, unique, tmp_path: Path
) -> None:
    old, new = register("flagged:1"), register("light:2")
    question = [{"prompt": str(tmp_path / "flag")}]
    deploy_model(old, endpoint_name=unique, smoke_instances=question)
    (tmp_path / "flag").touch()
    with pytest.raises(DeploymentError, match="always fails"):
        ask(unique, question)
    # Nine of ten predictions fail, and none of them is the new one's.
    deploy_model(new, endpoint_name=unique, smoke_instances=question, traffic_percentage=10)
    assert state_of(unique) == {"1": 0, "2": 100}


def test_a_bad_first_release_leaves_no_endpoint_behind(register, unique) -> None:
    with pytest.raises(DeploymentError, match="failed its smoke test"):
        deploy(register("failing:1"), unique)
    assert endpoint_of(unique) is None


def test_an_interrupted_release_is_taken_back(register, unique, monkeypatch) -> None:
    from doctune.vertex import releases

    one, two = register("light:1"), register("light:2")
    deploy(one, unique)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(releases, "smoke_test", interrupt)
    with pytest.raises(KeyboardInterrupt):
        deploy(two, unique)
    assert state_of(unique) == {"1": 100}


def test_a_release_that_was_cut_off_is_completed_by_the_next_call(register, unique) -> None:
    from google.cloud import aiplatform

    one, two = register("light:1"), register("light:2")
    deploy(one, unique)
    # As a run leaves it that was killed between the deployment and the test.
    endpoint_of(unique).deploy(aiplatform.Model(two), traffic_percentage=10)
    assert state_of(unique) == {"1": 90, "2": 10}
    assert not deploy(two, unique).created
    assert state_of(unique) == {"1": 0, "2": 100}
    assert "champion" in aliases(two)


def test_a_version_kept_for_rollback_can_be_released_again(register, unique) -> None:
    one, two = register("light:1"), register("light:2")
    deploy(one, unique)
    deploy(two, unique)
    assert not deploy(one, unique).created
    assert state_of(unique) == {"1": 100, "2": 0}
    assert (aliases(one), aliases(two)) == ({"champion", "default"}, {"previous"})


def test_an_endpoint_that_others_made_is_used(register, unique) -> None:
    from google.cloud import aiplatform

    made = aiplatform.Endpoint.create(display_name=unique)
    assert deploy(register("light:1"), unique).endpoint == made.resource_name


def test_the_first_share_is_taken_from_all_in_proportion(register, unique, monkeypatch) -> None:
    from doctune.vertex import releases

    seen: list[dict[str, int]] = []
    real = releases.smoke_test

    def watch(*arguments):
        seen.append(state_of(unique))
        return real(*arguments)

    monkeypatch.setattr(releases, "smoke_test", watch)
    one, two, three = (register(f"light:{number}") for number in (1, 2, 3))
    deploy(one, unique)
    deploy(two, unique, traffic_percentage=25)
    endpoint = endpoint_of(unique)
    ids = {model.model_version_id: model.id for model in endpoint.list_models()}
    endpoint.update(traffic_split={ids["1"]: 33, ids["2"]: 67})
    deploy(three, unique, traffic_percentage=20)
    assert seen == [{"1": 100}, {"1": 75, "2": 25}, {"1": 26, "2": 54, "3": 20}]


@pytest.mark.parametrize(("share", "predictions"), [(0, 0), (10, 132), (50, 20), (100, 5)])
def test_how_long_a_deployment_may_stay_silent(share: int, predictions: int) -> None:
    assert most_predictions(share) == predictions


def test_a_share_out_of_range_and_a_release_without_a_test_are_refused(unique) -> None:
    version = "projects/1/locations/us-central1/models/2@3"
    with pytest.raises(DeploymentError, match="1 to 100"):
        deploy(version, unique, traffic_percentage=0)
    with pytest.raises(DeploymentError, match="at least one smoke instance"):
        deploy_model(version, endpoint_name=unique, smoke_instances=[])


CANARY = Canary(steps=(20, 60), seconds=0.0)


def test_a_canary_goes_up_in_steps_and_is_released(register, unique, monkeypatch) -> None:
    one, two = register("light:1"), register("light:2")
    deploy(one, unique, canary=CANARY)
    assert state_of(unique) == {"1": 100}
    seen = []
    real = releases.smoke_test

    def remember(*arguments):
        seen.append(state_of(unique))
        return real(*arguments)

    monkeypatch.setattr(releases, "smoke_test", remember)
    deploy(two, unique, canary=CANARY)
    assert seen == [{"1": 80, "2": 20}, {"1": 40, "2": 60}]
    assert state_of(unique) == {"1": 0, "2": 100}
    assert (aliases(one), aliases(two)) == ({"previous"}, {"champion", "default"})


def test_a_canary_that_begins_to_fail_after_its_smoke_test_is_rolled_back(
    register, unique, tmp_path: Path, monkeypatch
) -> None:
    one, two = register("light:1"), register("flagged:1")
    flag = tmp_path / "fail"
    question = [{"prompt": str(flag)}]
    deploy_model(one, endpoint_name=unique, smoke_instances=question)
    real = releases.smoke_test

    def then_fail(*arguments):
        answers = real(*arguments)
        flag.touch()
        return answers

    monkeypatch.setattr(releases, "smoke_test", then_fail)
    with pytest.raises(DeploymentError, match=r"with 20 % of the traffic .* predictions failed"):
        deploy_model(two, endpoint_name=unique, smoke_instances=question, canary=CANARY)
    assert state_of(unique) == {"1": 100}
    assert aliases(one) == {"champion", "default"}
    assert aliases(two) == {"candidate"}


def test_a_canary_whose_users_requests_fail_is_rolled_back(register, unique) -> None:
    one, two = register("light:1"), register("light:2")
    deploy(one, unique)
    with pytest.raises(DeploymentError, match=r"with 20 % .* 12 of 40 requests of users failed"):
        deploy(two, unique, canary=CANARY, user_counts=failing_after(0, 12))
    assert state_of(unique) == {"1": 100}
    # As many had failed before.
    deploy(two, unique, canary=Canary(steps=(20,), seconds=0), user_counts=failing_after(12, 12))
    assert state_of(unique) == {"1": 0, "2": 100}


def failing_after(before: int, after: int) -> UserCounts:
    """Counts 40 requests in the hour before, and as many since."""
    began = datetime.now(UTC) - timedelta(minutes=1)
    return lambda since: (40, before if since < began else after)


@pytest.mark.parametrize(
    ("canary", "says"),
    [
        (Canary(steps=(50, 20)), "percents that rise"),
        (Canary(steps=(50, 100)), "percents that rise"),
        (Canary(max_error_rate=0.0), "canary_error_rate between 0 and 1"),
    ],
)
def test_a_canary_that_makes_no_sense_is_refused(canary: Canary, says: str, unique) -> None:
    with pytest.raises(DeploymentError, match=says):
        deploy("projects/p/locations/l/models/m@1", unique, canary=canary)


def test_failures_are_as_likely_as_the_binomial_says() -> None:
    assert binomial_tail(0, 20, 0.1) == 1.0
    assert binomial_tail(1000, 100_000, 0.01) == pytest.approx(
        scipy.stats.binom.sf(999, 100_000, 0.01), rel=1e-6
    )
    assert binomial_tail(1, 20, 0.1) == pytest.approx(1 - 0.9**20)
    assert binomial_tail(20, 20, 0.1) == pytest.approx(0.1**20, abs=1e-15)
    assert binomial_tail(3, 100, 0.005) == pytest.approx(float(scipy.stats.binom.sf(2, 100, 0.005)))
