"""The main job: runs the compiled pipeline, from a folder of PDFs to an answering endpoint."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from doctune import limits
from doctune.configuration.settings import Settings, VertexSettings
from doctune.digests import digest_file
from doctune.errors import DeploymentError, UsageError
from doctune.files import write_json, write_text
from doctune.runner.arguments import pipeline_arguments
from doctune.runner.display import watch
from doctune.runner.run import Runner, RunResult, run_pipeline
from doctune.runner.summary import RunSummary, answer_scores, copy_reports, read_rejects

LAST_RUN = "last_run.json"
LATEST_INDEX = "latest_index.json"


@dataclass(frozen=True, kw_only=True)
class MainJob:
    """The inputs of one run of the main job."""

    settings: Settings
    vertex: VertexSettings
    spec: Path
    root: Path
    pdfs: str
    question: str
    runner: Runner = "subprocess"
    enable_caching: bool = True


def run_main_job(job: MainJob, environment: Mapping[str, str], console: Console) -> RunSummary:
    """Runs the pipeline, asks the endpoint, and writes `last_run.json`.

    Args:
        environment: The variables that point Google's clients to the Vertex AI of the job.

    Raises:
        DoctuneError: A step failed, or no endpoint answers at the end.
    """
    from doctune.documents import corpus_digest
    from doctune.vertex.specs import read_signature

    if "://" in job.pdfs:
        raise UsageError(f"{job.pdfs} is not a folder on this machine: copy the PDFs to one first.")
    pdfs = Path(job.pdfs).expanduser().absolute()
    parameters = read_signature(job.spec).parameters
    arguments = pipeline_arguments(
        _with_questions(job.settings, job.root),
        job.vertex,
        parameters,
        pdfs=str(pdfs),
        corpus_digest=corpus_digest(pdfs),
        question=job.question,
    )
    with watch(console) as watcher:
        result = run_pipeline(
            job.spec,
            arguments,
            root=job.root,
            environment={**os.environ, **environment},
            watcher=watcher,
            local=job.vertex.local,
            runner=job.runner,
            enable_caching=job.enable_caching,
        )
    # Copied before the verdict: the index answers whether or not the model was released.
    write_json(
        job.root / LATEST_INDEX,
        {
            "index": _index(result),
            "pdfs": job.pdfs,
            "answering": _answering(result),
            "model": str(_artifact(result, "tune-model", "model")["uri"]),
        },
    )
    with console.status("Asking the endpoint and the base model"):
        summary = _summarise(job, result)
    write_json(job.root / LAST_RUN, summary.model_dump(mode="json"))
    return summary


def _with_questions(settings: Settings, root: Path) -> Settings:
    """Returns the settings with the questions copied to where steps in containers see them."""
    if not settings.evaluation.questions or "://" in settings.evaluation.questions:
        return settings
    path = Path(settings.evaluation.questions).expanduser().absolute()
    if not path.is_file():
        raise UsageError(
            f"evaluation.questions: {path} is not a file: give one, or leave it empty."
        )
    digest = digest_file(path)
    copy = root.absolute() / "pipeline_root" / f"questions-{digest[:16]}.jsonl"
    copy.parent.mkdir(parents=True, exist_ok=True)
    write_text(copy, path.read_text(encoding="utf-8"))
    update = {"questions": str(copy), "questions_digest": digest_file(copy)}
    evaluation = settings.evaluation.model_copy(update=update)
    return settings.model_copy(update={"evaluation": evaluation})


def answer_by_endpoint(vertex: VertexSettings, question: str) -> tuple[str, str]:
    """Asks the endpoint of the configured name; returns its resource name and its answer.

    Raises:
        DeploymentError: There is no such endpoint, or it does not answer.
    """
    endpoint, answers = answers_by_endpoint(vertex, [question])
    return endpoint, answers[0]


def answers_by_endpoint(vertex: VertexSettings, questions: list[str]) -> tuple[str, list[str]]:
    """Asks the endpoint of the configured name several questions in one request.

    Raises:
        DeploymentError: There is no such endpoint, or it does not answer.
    """
    from doctune.vertex import ask, find_endpoint, init_session

    init_session(vertex.project, vertex.location, vertex.staging_bucket)
    endpoint = find_endpoint(vertex.endpoint.name)
    instances = [{"prompt": question} for question in questions]
    answers = ask(endpoint, instances, retry_seconds=limits.MODEL_LOADING.seconds)
    return endpoint, [str(answer["text"]) for answer in answers]


def answer_by_base(base_model: str, question: str) -> str:
    """Asks the base model, in this process."""
    from doctune.inference.base_model import resolve_base_model
    from doctune.inference.generation import TextGenerator

    generator = TextGenerator.load(resolve_base_model(base_model))
    return generator.generate([[{"role": "user", "content": question}]])[0].text


def _summarise(job: MainJob, result: RunResult) -> RunSummary:
    documents = _artifact(result, "join-documents", "documents")
    model = _artifact(result, "tune-model", "model")["metadata"]
    scores = _artifact(result, "evaluate-model", "scores")["metadata"]
    passed = bool(result.outputs("evaluate-model")["Output"])
    version = result.outputs("register-model").get("model_version")
    reports = copy_reports(result)
    try:
        endpoint, answer = answer_by_endpoint(job.vertex, job.question)
    except DeploymentError as error:
        if passed:
            raise
        raise DeploymentError(
            f"The model was not released and no earlier one answers: {scores['reason']} "
            f"(report: {reports['evaluation.html']})"
        ) from error
    interval = None
    if "perplexity_gain_low" in scores:
        interval = (scores["perplexity_gain_low"], scores["perplexity_gain_high"])
    return RunSummary(
        files_parsed=documents["metadata"]["files_parsed"],
        files_rejected=documents["metadata"]["files_rejected"],
        rejects=read_rejects(Path(documents["uri"])),
        pages=documents["metadata"]["pages"],
        examples=_artifact(result, "prepare-dataset", "manifest")["metadata"]["examples"],
        tokens_trained=model["tokens_trained"],
        loss_before=model["loss_before"],
        loss_after=model["loss_after"],
        perplexity_base=scores["perplexity_base"],
        perplexity_tuned=scores["perplexity_tuned"],
        perplexity_gain_interval=interval,
        **answer_scores(scores).model_dump(),
        passed=passed,
        outcome=scores["outcome"],
        reason=scores["reason"],
        capped=scores["capped"],
        model_version=version["metadata"]["resourceName"] if version else "",
        endpoint=endpoint,
        question=job.question,
        answer_base=answer_by_base(model["base_model"], job.question),
        answer_tuned=answer,
        index=_index(result),
        report=str(reports["evaluation.html"]),
        parsing_report=str(reports.get("parsing.html", "")),
        folder=str(result.folder),
        step_seconds=result.step_seconds,
        cached_steps=result.cached_steps,
        seconds=round(result.seconds, 1),
    )


def _answering(result: RunResult) -> str:
    """Returns the way of answering that the evaluation chose for the released model."""
    if not result.outputs("evaluate-model")["Output"]:
        return "quote"  # the endpoint has another model, or none
    return str(_artifact(result, "evaluate-model", "scores")["metadata"]["answering"])


def _index(result: RunResult) -> str:
    return str(_artifact(result, "build-index", "index")["uri"])


def _artifact(result: RunResult, task: str, output: str) -> dict[str, Any]:
    artifact = result.outputs(task).get(output)
    if artifact is None:
        raise UsageError(
            f"The spec has no step {task} with output {output}: `doctune run` runs "
            "pipelines/train_and_deploy; compile it with `python compile.py`."
        )
    return artifact
