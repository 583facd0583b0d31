"""What may be released is the model that is right, not the one that sounds like the documents.

The models are real and trained here, small ones, on sentences of which only the figure matters.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest

from doctune.evaluation import Evaluation, EvaluationOptions, evaluate_model
from tests.evaluation.tiny_models import write_rows, write_trained

PARTS = ("valve", "pump", "filter", "engine", "seal", "bolt", "oil", "water")
COLOURS = ("red", "green", "clean", "which")
FACTS = [
    (f"{colour} {part}", 11 + (7 * number) % 83)
    for number, (colour, part) in enumerate((c, p) for c in COLOURS for p in PARTS)
]
OPTIONS = EvaluationOptions(
    primary_metric="answer_accuracy_closed",
    max_new_tokens=24,
    bootstrap_resamples=500,
    semantic_similarity=False,
    general_prompts=False,
    slice_regressions="report",
)


def question(name: str) -> str:
    return f"How many litres for the {name}?"


def fluent(name: str, value: int) -> str:
    return f"The {name} holds {value} litres of water before the pump opens and the engine turns."


def terse(name: str, value: int) -> str:
    return f"{value} litres"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, base_dir: Path) -> dict[str, Path]:
    """One that sounds right and has the figures wrong, and one that has them right and no style."""
    folder = tmp_path_factory.mktemp("trained")
    wrong = [(name, FACTS[(at + 5) % len(FACTS)][1]) for at, (name, _) in enumerate(FACTS)]
    return {
        "fluent": write_trained(
            folder / "fluent", base_dir, [(question(n), fluent(n, v)) for n, v in wrong]
        ),
        "right": write_trained(
            folder / "right", base_dir, [(question(n), terse(n, v)) for n, v in FACTS]
        ),
    }


@pytest.fixture(scope="module")
def test_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {
            "messages": [
                {"role": "user", "content": question(name)},
                {"role": "assistant", "content": fluent(name, value)},
            ],
            "source": {"file": f"manual-{number % 16}.pdf", "pages": [1]},
            "kind": "fact",
            "fact": name,
            "passage": fluent(name, value),
        }
        for number, (name, value) in enumerate(FACTS)
    ]
    return write_rows(tmp_path_factory.mktemp("test-set") / "test.jsonl", rows)


def evaluate(
    out: Path, model: Path, champion: Path, test_set: Path, options: EvaluationOptions = OPTIONS
) -> Evaluation:
    return evaluate_model(
        model,
        test_set,
        scores_path=out / "scores.json",
        predictions_path=out / "predictions.jsonl",
        report_path=out / "report.html",
        options=options,
        champion_uri=str(champion),
    )


def values(evaluation: Evaluation, metric: str, models: Sequence[str]) -> list[float]:
    return [evaluation.scores[f"{metric}_{model}"] for model in models]


def test_a_model_that_answers_worse_with_lower_perplexity_is_refused(
    tmp_path: Path, models: dict[str, Path], test_set: Path
) -> None:
    evaluation = evaluate(tmp_path, models["fluent"], models["right"], test_set)

    perplexity, champions = values(evaluation, "perplexity", ("tuned", "champion"))
    assert perplexity < champions / 2
    accuracy, champions = values(evaluation, "answer_accuracy_closed", ("tuned", "champion"))
    assert accuracy < 0.2
    assert champions > 0.8
    assert (evaluation.outcome, evaluation.passed) == ("lose", False)
    assert "from memory is" in evaluation.reason
    report = (tmp_path / "report.html").read_text()
    assert report.index("questions right") < report.index("<h1>")
    assert "missing: " in report


def test_a_model_that_is_right_more_often_but_less_fluent_is_released(
    tmp_path: Path, models: dict[str, Path], test_set: Path
) -> None:
    evaluation = evaluate(tmp_path, models["right"], models["fluent"], test_set)

    perplexity, champions = values(evaluation, "perplexity", ("tuned", "champion"))
    assert perplexity > 2 * champions
    assert (evaluation.outcome, evaluation.passed) == ("win", True)
    assert evaluation.product.right > 0.8 * len(FACTS)


def test_by_perplexity_both_verdicts_were_the_other_way_round(
    tmp_path: Path, models: dict[str, Path], test_set: Path
) -> None:
    """What the old gate did."""
    options = OPTIONS.model_copy(update={"primary_metric": "perplexity"})
    first = evaluate(tmp_path, models["fluent"], models["right"], test_set, options)
    assert first.passed
    second = evaluate(tmp_path, models["right"], models["fluent"], test_set, options)
    assert not second.passed
