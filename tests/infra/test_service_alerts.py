"""Each alert on the services is raised once, over metrics that gateway and server wrote."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from doctune.gateway.metrics import Metrics
from tests.infra.conftest import ROOT, Terraform
from tests.infra.promql import Recording, firing

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@pytest.fixture(scope="module")
def alerts(terraform: Terraform) -> dict[str, Any]:
    """The planned policies by name, with the query as Cloud Monitoring would get it."""
    probe = {"address": "https://answers.example.com/v1#handbook"}
    gateway = {"image": "registry/gateway:abc", "probe": probe}
    planned = terraform.plan(".", "prod", project_id="my-project", gateway=gateway)
    found = {}
    for address, change in planned.items():
        if match := re.search(r'alert_policy\.service\["(\w+)"\]', address):
            found[match[1]] = change["change"]["after"]
    return found


def query(alert: dict[str, Any]) -> str:
    (condition,) = alert["conditions"]
    return str(condition["condition_prometheus_query_language"][0]["query"])


class Traffic:
    """A gateway's counters over time: the code that counts is the gateway's own."""

    def __init__(self) -> None:
        self.recording, self.metrics, self.now = Recording(), Metrics(), 0.0

    def step(self, seconds: float, **answers: int) -> None:
        """Counts answers of kinds, then scrapes."""
        for name, number in answers.items():
            for _ in range(number):
                self.metrics.count_answer("tuned", 200, name)
        self.now += seconds
        self.scrape()

    def scrape(self) -> None:
        self.recording.scrape(self.now, self.metrics.render().decode())


def steady(traffic: Traffic, seconds: float, every: float, **answers: int) -> Traffic:
    for _ in range(int(seconds / every)):
        traffic.step(every, **answers)
    return traffic


def server(name: str, *values: float) -> Recording:
    """A gauge of the model server, once a minute."""
    recording = Recording()
    for minute, value in enumerate(values, 1):
        recording.add(MINUTE * minute, f"doctune_server_{name}", {}, value)
    return recording


def histogram(name: str, seconds: float) -> Callable[[], tuple[Recording, float]]:
    """A hundred observations a minute of so many seconds."""

    def made() -> tuple[Recording, float]:
        recording = Recording()
        for minute in range(6):
            for bound in (0.5, 1, 5, 10, 30, float("inf")):
                count = 100.0 * minute * (seconds <= bound)
                labels = {"le": "+Inf" if bound == float("inf") else str(bound)}
                recording.add(MINUTE * minute, name, {**labels, "model": "tuned"}, count)
        return recording, 5 * MINUTE

    return made


def mixed(seconds: float, every: float, **answers: int) -> Callable[[], tuple[Recording, float]]:
    def made() -> tuple[Recording, float]:
        traffic = steady(Traffic(), seconds, every, **answers)
        return traffic.recording, traffic.now

    return made


def errors(share: float) -> Callable[[], tuple[Recording, float]]:
    def made() -> tuple[Recording, float]:
        traffic = Traffic()
        for _ in range(6):
            for number in range(100):
                traffic.metrics.count_answer("tuned", 502 if number < 100 * share else 200, "ok")
            traffic.step(MINUTE)
        return traffic.recording, traffic.now

    return made


def votes(down: int, up: int) -> Callable[[], tuple[Recording, float]]:
    def made() -> tuple[Recording, float]:
        traffic = Traffic()
        traffic.metrics.count_vote("up")
        traffic.metrics.count_vote("down")
        traffic.step(MINUTE)
        for vote, number in (("down", down), ("up", up)):
            for _ in range(number):
                traffic.metrics.count_vote(vote)
        traffic.step(HOUR)
        return traffic.recording, traffic.now

    return made


def drifted(refused: int) -> Callable[[], tuple[Recording, float]]:
    def made() -> tuple[Recording, float]:
        traffic = steady(Traffic(), 6 * DAY, HOUR, ok=9, refused=1)
        steady(traffic, HOUR, 10 * MINUTE, ok=10 - refused, refused=refused)
        return traffic.recording, traffic.now

    return made


def gauge(name: str, *values: float) -> Callable[[], tuple[Recording, float]]:
    return lambda: (server(name, *values), MINUTE * len(values))


def dropped(number: float) -> Callable[[], tuple[Recording, float]]:
    def made() -> tuple[Recording, float]:
        traffic = Traffic()
        traffic.metrics.log_dropped.set(number)
        traffic.step(MINUTE)
        return traffic.recording, traffic.now

    return made


def probed(answered: int) -> Callable[[], tuple[Recording, float]]:
    """Six executions of the job, as Cloud Run counts them; so many of the last three succeeded."""

    def made() -> tuple[Recording, float]:
        recording, name = Recording(), "run_googleapis_com:job_completed_execution_count"
        for start in range(7):
            succeeded = min(start, 3) + max(0, min(start - 3, answered))
            for result, count in (("succeeded", succeeded), ("failed", start - succeeded)):
                labels = {"job_name": "doctune-gateway-probe", "result": result}
                labels["monitored_resource"] = "cloud_run_job"
                recording.add(5 * MINUTE * start, name, labels, count)
        return recording, 30 * MINUTE

    return made


def tokens(number: int) -> Callable[[], tuple[Recording, float]]:
    def made() -> tuple[Recording, float]:
        recording = Recording()
        for hour in range(24):
            value = number / 23 * hour
            recording.add(HOUR * hour, "doctune_gateway_tokens_total", {"kind": "prompt"}, value)
        return recording, 23 * HOUR

    return made


Case = Callable[[], tuple[Recording, float]]

# What raises each alert, and what is like it and does not.
CASES: dict[str, tuple[Case, Case]] = {
    "gateway_errors": (errors(0.05), errors(0.01)),
    "gateway_latency": (
        histogram("doctune_gateway_seconds_bucket", 25),
        histogram("doctune_gateway_seconds_bucket", 0.9),
    ),
    "first_token": (
        histogram("doctune_server_first_token_seconds_bucket", 8),
        histogram("doctune_server_first_token_seconds_bucket", 0.4),
    ),
    "saturation": (gauge("waiting", *[40] * 10), gauge("waiting", *[0] * 9, 100)),
    "stuck": (gauge("silent_seconds", 0, 60, 130), gauge("silent_seconds", 0, 5, 2)),
    "empty_answers": (
        mixed(HOUR, 5 * MINUTE, ok=9, empty=1),
        mixed(HOUR, 5 * MINUTE, ok=10, refused=5),
    ),
    "refused_answers": (
        mixed(2 * HOUR, 5 * MINUTE, ok=4, refused=6),
        mixed(2 * HOUR, 5 * MINUTE, ok=8, refused=2),
    ),
    "unsupported_answers": (
        mixed(2 * HOUR, 5 * MINUTE, ok=8, unsupported=2),
        mixed(2 * HOUR, 5 * MINUTE, ok=20, unsupported=1),
    ),
    "drift": (drifted(refused=6), drifted(refused=1)),
    "down_votes": (votes(down=8, up=6), votes(down=3, up=1)),
    "silence": (mixed(30 * MINUTE, 5 * MINUTE), mixed(30 * MINUTE, 5 * MINUTE, ok=1)),
    "synthetic_question": (probed(answered=0), probed(answered=2)),
    "lost_predictions": (dropped(3), dropped(0)),
    "cost": (tokens(60_000_000), tokens(40_000_000)),
}


def test_every_alert_has_a_case(alerts: dict[str, Any]) -> None:
    assert set(CASES) == set(alerts)


@pytest.mark.parametrize("name", CASES)
def test_is_raised_by_what_it_is_for_and_by_nothing_like_it(
    alerts: dict[str, Any], name: str
) -> None:
    bad, good = CASES[name]
    assert firing(query(alerts[name]), *bad())
    assert not firing(query(alerts[name]), *good())


def test_every_alert_names_a_page_of_the_runbook(alerts: dict[str, Any]) -> None:
    text = (ROOT / "docs/runbook.md").read_text()
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-")
        for line in re.findall(r"^## (.*)$", text, re.MULTILINE)
    }
    for alert in alerts.values():
        (anchor,) = re.findall(r"docs/runbook\.md#([\w-]+)", alert["documentation"][0]["content"])
        assert anchor in headings


def test_every_metric_of_an_alert_is_one_that_the_services_have(alerts: dict[str, Any]) -> None:
    from doctune.serving.metrics import ServerMetrics
    from doctune.serving.readiness import Readiness

    source = (ROOT / "doctune/serving/metrics.py").read_text()
    page = (
        Metrics().render().decode()
        + ServerMetrics(lambda: None, Readiness().problem).render().decode()
    )
    for alert in alerts.values():
        for name in re.findall(r"doctune_\w+", query(alert)):
            base = re.sub(r"_(total|bucket)$", "", name)
            short = base.removeprefix("doctune_server_")
            assert base in page or f'"{short}"' in source, name
