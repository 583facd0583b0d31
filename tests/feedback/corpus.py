"""A small corpus with its sets, and feedback that is reviewed by the rules."""

import json
from pathlib import Path

from sqlalchemy import Engine

from doctune.configuration.retraining import AugmentOptions, ReviewRules
from doctune.database.feedback_rows import read_feedback
from doctune.feedback.collect import FeedbackAuthor, StorageRules, keep
from doctune.feedback.examples import AugmentPaths, AugmentSummary, augment_dataset
from doctune.feedback.request import FeedbackRequest
from doctune.feedback.rules import RulesSummary, review_by_rules
from doctune.feedback.support import Passage, PassageSupport
from tests.database.rows import write_prediction

PARTS = {
    "sill": ("depth", "140 mm", "of oak"),
    "pump": ("pressure", "3.5 bar", "by a cast valve"),
    "boiler": ("capacity", "80 litres", "of stainless steel"),
    "gutter": ("width", "125 mm", "of zinc"),
    "hinge": ("load", "60 kg", "of hardened brass"),
    "mast": ("height", "12 m", "of galvanised steel"),
    "filter": ("interval", "90 days", "by the caretaker"),
    "lamp": ("power", "18 watts", "by a sealed driver"),
}
KEEPING = StorageRules(lambda text: text, lambda name: name)
OPTIONS = AugmentOptions(regression_share=0.0)


def fact(part: str) -> tuple[str, str, str]:
    """Returns a question about a part, its answer, and the passage that says it."""
    quality, value, more = PARTS[part]
    question = f"What is the {quality} of the {part}?"
    return (
        question,
        f"The {quality} is {value}.",
        f"The {quality} of the {part} is {value}, {more}.",
    )


def support() -> PassageSupport:
    return PassageSupport(
        Passage(fact(part)[2], f"{part}.pdf", f"doc-{part}", (1,), part) for part in PARTS
    )


def example(part: str, question: str = "", answer: str = "") -> dict:
    asked, told, passage = fact(part)
    return {
        "messages": [
            {"role": "user", "content": question or asked},
            {"role": "assistant", "content": answer or told},
        ],
        "source": {"doc_id": f"doc-{part}", "file": f"{part}.pdf", "pages": [1], "heading": part},
        "kind": "statement",
        "fact": f"fact-{part}",
        "passage": passage,
    }


def write_sets(folder: Path, train: list[dict], test: list[dict]) -> tuple[Path, Path]:
    paths = folder / "train.jsonl", folder / "test.jsonl"
    for path, rows in zip(paths, (train, test), strict=True):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return paths


def correct(engine: Engine, question: str, correction: str, *, key: str = "key1", user: str) -> str:
    """Asks a question that is answered wrongly, and corrects the answer."""
    prediction = write_prediction(engine, question, "I think it is 7.")
    request = FeedbackRequest(
        prediction_id=prediction, kind="correction", correction=correction, user=user
    )
    keep(engine, KEEPING, FeedbackAuthor(key, "ana"), request)
    return prediction


def accept(engine: Engine, rules: ReviewRules | None = None) -> RulesSummary:
    return review_by_rules(engine, support(), rules or ReviewRules(), AugmentOptions())


def augment(
    engine: Engine,
    folder: Path,
    train: list[dict],
    test: list[dict],
    options: AugmentOptions = OPTIONS,
) -> tuple[AugmentSummary, AugmentPaths]:
    from doctune.feedback.queue import question_cluster

    def by_words(questions: object) -> list[list[int]]:
        groups: dict[str, list[int]] = {}
        for at, question in enumerate(questions):  # type: ignore[arg-type, var-annotated]
            groups.setdefault(question_cluster(question), []).append(at)
        return list(groups.values())

    folder.mkdir(parents=True, exist_ok=True)
    train_path, test_path = write_sets(folder, train, test)
    out = folder / "out"
    names = ("train", "test", "regression", "preferences", "answers", "manifest")
    paths = AugmentPaths(*(out / name for name in names))
    summary = augment_dataset(
        read_feedback(engine), train_path, test_path, paths, options, support(), by_words
    )
    return summary, paths


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]
