"""Measure what an endpoint carries, under open-loop load at rising rates."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.OPS, install_kfp_package=False)
def bench_endpoint(
    questions: dsl.Input[dsl.Dataset],
    measurement: dsl.Output[dsl.Artifact],
    scores: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
    endpoint_name: str,
    project: str,
    location: str,
    machine: str = "",
    cpus: int = 1,
    parameters: float = 0.0,
    slo: str = "ttft_p95=1s,e2e_p95=8s",
    rates: list = [],
    seconds: float = 20.0,
    max_tokens: int = 64,
) -> None:
    """Asks one question at a time, then at rising rates, and writes times, goodput and the knee.

    Args:
        questions: JSONL of a test set, or of objects with question or prompt.
        measurement: JSON that `doctune size --measured` takes.
        report: The curves.
        endpoint_name: Display name of the endpoint.
        machine: The machine behind the endpoint, for the record.
        cpus: Its cores; two vCPUs of Google Cloud are one.
        parameters: Parameters of the model, for estimates of other machines.
        slo: The times to keep, as ttft_p95=1s,e2e_p95=8s.
        rates: Requests a second; empty: they double until the endpoint falls behind.
        seconds: Seconds of each rate.
        max_tokens: Most tokens of an answer.
    """
    from pathlib import Path

    from doctune.artifacts import local_file
    from doctune.capacity.bench import BenchOptions, Subject, measure_endpoint
    from doctune.capacity.report import render
    from doctune.files import write_json, write_text

    found = measure_endpoint(
        Subject(endpoint_name, machine=machine, cpus=cpus, parameters=round(parameters)),
        local_file(questions.uri),
        slo,
        BenchOptions(rates=tuple(map(float, rates)), seconds=seconds, max_tokens=max_tokens),
        project=project,
        location=location,
    )
    write_json(Path(measurement.path), found.document())
    write_text(Path(report.path), render(found))
    scores.log_metric("knee", found.knee)
    scores.log_metric("capacity_at_slo", found.capacity)
    scores.log_metric("tokens_a_second", found.tokens_rate)
