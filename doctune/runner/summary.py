"""The summary of a train-and-deploy run, as text for a person and as JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from doctune.runner.run import RunResult

_REJECTS_SHOWN = 10


class Reject(BaseModel):
    """A PDF that could not be read."""

    source: str
    reason: str


class AnswerScores(BaseModel):
    """Counts of right answers in each setting; None for a setting that was not evaluated."""

    model_config = ConfigDict(frozen=True)

    sentence: str = Field(description='Such as "Answers 84 of 120 questions right (...)".')
    questions: int
    questions_right: int
    answering: str = Field(description="quote, hybrid or model: what answers the product's users.")
    answer_accuracy_closed: float | None = Field(description="The tuned model, from memory.")
    answer_accuracy_grounded: float | None = Field(description="The product, from the documents.")
    answer_accuracy_model_grounded: float | None = Field(description="The tuned model's words.")
    answer_accuracy_quoted: float | None = Field(description="By quotation alone.")
    answer_accuracy_base_grounded: float | None = Field(description="Base, the same passages.")
    recall_at_3: float | None
    refused_right: float | None
    refused_wrong: float | None
    cited_page: float | None = Field(description="Right answers that name a passage that answers.")
    unsupported: float | None = Field(description="Answers that say what no passage says.")
    intervals: dict[str, tuple[float, float]] = Field(
        description="The interval of each of these shares that is known."
    )


# The names of each share's interval among evaluate_model's scores.
_STORED = {
    "answer_accuracy_closed": "answer_accuracy_closed_tuned",
    "answer_accuracy_grounded": "product_right",
    "answer_accuracy_model_grounded": "answer_accuracy_grounded_tuned",
    "answer_accuracy_quoted": "answer_accuracy_grounded_quoted",
    "answer_accuracy_base_grounded": "answer_accuracy_grounded_base",
    "recall_at_3": "recall_at_3_index",
    "refused_right": "product_refused_right",
    "refused_wrong": "product_refused_wrong",
    "cited_page": "product_cited_page",
    "unsupported": "product_unsupported",
}


def answer_scores(scores: Mapping[str, Any]) -> AnswerScores:
    """Returns the counts of right answers from evaluate_model's scores."""
    questions, right = int(scores["questions"]), int(scores["questions_right"])
    grounded = "answer_accuracy_grounded_quoted" in scores
    return AnswerScores(
        sentence=scores["answers"],
        questions=questions,
        questions_right=right,
        answering=scores["answering"],
        answer_accuracy_closed=scores.get("answer_accuracy_closed_tuned"),
        answer_accuracy_grounded=right / questions if grounded else None,
        answer_accuracy_model_grounded=scores.get("answer_accuracy_grounded_tuned"),
        answer_accuracy_quoted=scores.get("answer_accuracy_grounded_quoted"),
        answer_accuracy_base_grounded=scores.get("answer_accuracy_grounded_base"),
        recall_at_3=scores.get("recall_at_3_index"),
        refused_right=scores.get("product_refused_right"),
        refused_wrong=scores.get("product_refused_wrong"),
        cited_page=scores.get("product_cited_page"),
        unsupported=scores.get("product_unsupported"),
        intervals={
            name: (scores[f"{stored}_low"], scores[f"{stored}_high"])
            for name, stored in _STORED.items()
            if f"{stored}_low" in scores
        },
    )


class RunSummary(AnswerScores):
    """The result of a train-and-deploy run, which is stored in `.doctune/last_run.json`."""

    model_config = ConfigDict(frozen=True)

    files_parsed: int
    files_rejected: int
    rejects: list[Reject]
    pages: int
    examples: int
    tokens_trained: int
    loss_before: float
    loss_after: float
    perplexity_base: float
    perplexity_tuned: float
    perplexity_gain_interval: tuple[float, float] | None
    passed: bool
    outcome: str
    reason: str
    capped: str = Field(description="What settings left out of data, training, evaluation.")
    model_version: str = Field(description="Resource name with the version, such as ...@3.")
    endpoint: str = Field(description="Resource name of the endpoint that answers.")
    question: str
    answer_base: str
    answer_tuned: str
    index: str = Field(description="Folder of the knowledge index that `doctune ask` reads.")
    report: str = Field(description="The evaluation's HTML report.")
    parsing_report: str
    folder: str
    step_seconds: dict[str, float]
    cached_steps: list[str]
    seconds: float


_TITLES = {
    "answer_accuracy_closed": "from memory",
    "answer_accuracy_base_grounded": "base with the same passages",
    "recall_at_3": "true passage among the first 3",
    "cited_page": "cited page right",
    "refused_right": "refused rightly",
    "refused_wrong": "refused wrongly",
}


def show(summary: RunSummary, console: Console) -> None:
    """Prints the summary for a person."""
    console.print(Panel(Group(*_parts(summary)), title="doctune", border_style="cyan"))


def _parts(summary: RunSummary) -> list[RenderableType]:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(summary):
        facts.add_row(name, value)
    answers = Table(title=Text(f"Q: {summary.question}", style="bold"), expand=True)
    answers.add_column("base model", ratio=1)
    answers.add_column("tuned model, from the endpoint", ratio=1)
    answers.add_row(Text(summary.answer_base), Text(summary.answer_tuned))
    return [facts, Text(""), answers]


def _facts(summary: RunSummary) -> list[tuple[str, RenderableType]]:
    verdict = Text(f"{'passed' if summary.passed else 'not passed'} ({summary.outcome})")
    verdict.stylize("bold green" if summary.passed else "bold red")
    perplexity = f"{summary.perplexity_base:.2f} before, {summary.perplexity_tuned:.2f} after"
    if summary.perplexity_gain_interval:
        low, high = summary.perplexity_gain_interval
        perplexity += f" (gain, 95% interval: {low:.1%} to {high:.1%})"
    steps = ", ".join(
        f"{name} {seconds:.0f} s" + (" (reused)" if name in summary.cached_steps else "")
        for name, seconds in summary.step_seconds.items()
    )
    return [
        ("answers", Text(_answers(summary), style="bold")),
        ("PDFs", Text(f"{summary.files_parsed} parsed, {summary.pages} pages")),
        ("rejected", _rejects(summary)),
        ("examples", Text(str(summary.examples))),
        ("tokens trained", Text(f"{summary.tokens_trained:,}")),
        ("loss", Text(f"{summary.loss_before:.3f} before, {summary.loss_after:.3f} after")),
        ("perplexity", Text(perplexity)),
        ("verdict", verdict),
        ("", Text(summary.reason)),
        *([("capped", Text(summary.capped, style="yellow"))] if summary.capped else []),
        ("model version", Text(summary.model_version or "none registered")),
        ("endpoint", Text(summary.endpoint)),
        ("report", Text(summary.report)),
        ("parsing report", Text(summary.parsing_report)),
        ("steps", Text(steps)),
        ("in all", Text(f"{summary.seconds:.0f} s")),
    ]


def _answers(summary: RunSummary) -> str:
    known = [
        f"{title} {share:.0%}"
        for name, title in _TITLES.items()
        if (share := getattr(summary, name)) is not None
    ]
    low, high = summary.intervals.get("answer_accuracy_grounded", (None, None))
    interval = "" if low is None else f", 95% interval {low:.0%} to {high:.0%}"
    return "; ".join([f"{summary.sentence}{interval}", *([", ".join(known)] if known else [])])


def _rejects(summary: RunSummary) -> Text:
    if not summary.rejects:
        return Text("none")
    lines = [f"{reject.source}: {reject.reason}" for reject in summary.rejects[:_REJECTS_SHOWN]]
    if (more := len(summary.rejects) - _REJECTS_SHOWN) > 0:
        lines.append(f"and {more} more: see the parsing report and last_run.json")
    return Text("\n".join(lines), style="yellow")


def read_rejects(documents: Path) -> list[Reject]:
    """Returns the rejected files from join_documents' output, each with its reason."""
    import pyarrow.parquet as pq

    rows = pq.read_table(
        documents / "documents.parquet",
        columns=["source", "error"],
        filters=[("status", "=", "rejected")],
    ).to_pylist()
    return [Reject(source=row["source"], reason=row["error"]) for row in rows]


def copy_reports(result: RunResult) -> dict[str, Path]:
    """Copies the run's reports to its folder, with file names that a browser can open."""
    copied = {}
    for task, output, name in (
        ("evaluate-model", "report", "evaluation.html"),
        ("join-documents", "report", "parsing.html"),
        ("tune-model", "curves", "training.html"),
        ("prepare-dataset", "card", "dataset_card.md"),
    ):
        artifact: Any = result.outputs(task).get(output)
        if artifact and Path(artifact["uri"]).is_file():
            target = result.folder / name
            target.write_bytes(Path(artifact["uri"]).read_bytes())
            copied[name] = target
    return copied
