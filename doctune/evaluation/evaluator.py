"""Scores a tuned model against its base and the champion, and decides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doctune.artifacts import local_folder
from doctune.errors import EvaluationError
from doctune.evaluation.answers import Answers, answer_test_set
from doctune.evaluation.bootstrap import Bootstrap
from doctune.evaluation.comparison import BASE, CHAMPION, TUNED, compare, model_samples
from doctune.evaluation.options import EvaluationOptions
from doctune.evaluation.report import ReportData, render_report
from doctune.evaluation.samples import Sample
from doctune.evaluation.test_set import TestSet, load_test_set
from doctune.evaluation.verdict import Outcome, decide
from doctune.files import atomic_path, write_json, write_text

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What the gate and the pipeline's metrics read."""

    passed: bool
    outcome: Outcome
    reason: str
    scores: Mapping[str, float]
    test_digest: str
    examples: int


def evaluate_model(
    model_dir: Path,
    test_path: Path,
    *,
    scores_path: Path,
    predictions_path: Path,
    report_path: Path,
    options: EvaluationOptions | None = None,
    champion_uri: str = "",
) -> Evaluation:
    """Scores a tuned model on a test set, decides, and writes scores, predictions and report.

    Args:
        model_dir: What `tune_model` wrote: `model/` and `training.json`.
        test_path: JSONL in chat form; the last message of each row is the reference answer.
        scores_path: JSON to write: the verdict and all numbers.
        predictions_path: JSONL to write: every answer of every model.
        report_path: HTML to write.
        champion_uri: A folder like `model_dir`, or "" where there is no incumbent.

    Raises:
        EvaluationError: The test set or a model folder is missing or wrong.
        ModelError: A model cannot be loaded.
    """
    chosen = options or EvaluationOptions()
    test = load_test_set(test_path, max_examples=chosen.max_examples, seed=chosen.seed)
    training = read_training(model_dir)
    folders = _model_folders(model_dir, training, champion_uri)
    answers: dict[str, Answers] = {}
    samples: dict[str, dict[str, Sample]] = {}
    for name, folder in folders.items():
        answers[name] = answer_test_set(
            name,
            folder,
            test.examples,
            max_new_tokens=chosen.max_new_tokens,
            batch_size=chosen.batch_size,
        )
        samples[name] = model_samples(test.examples, answers[name])
    comparison = compare(
        samples,
        Bootstrap(
            resamples=chosen.bootstrap_resamples, confidence=chosen.confidence, seed=chosen.seed
        ),
    )
    scores = comparison.flat()
    verdict = decide(
        scores, examples=len(test.examples), has_champion=CHAMPION in folders, options=chosen
    )
    provenance = _provenance(test, training, chosen, champion_uri)
    data = ReportData(
        verdict=verdict,
        comparison=comparison,
        primary_metric=chosen.primary_metric,
        examples=test.examples,
        answers=answers,
        samples=samples,
        provenance=provenance,
    )
    _write_predictions(predictions_path, test, answers, samples)
    write_text(report_path, render_report(data))
    evaluation = Evaluation(
        passed=verdict.passed,
        outcome=verdict.outcome,
        reason=verdict.reason,
        scores=scores,
        test_digest=test.digest,
        examples=len(test.examples),
    )
    _write_scores(scores_path, evaluation, chosen, provenance)
    return evaluation


def read_training(model_dir: Path) -> dict[str, Any]:
    """Returns what `tune_model` recorded about a model.

    Raises:
        EvaluationError: The folder is not one that `tune_model` wrote.
    """
    path = model_dir / "training.json"
    try:
        training = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EvaluationError(
            f"{model_dir} has no training.json: give the folder that tune_model wrote."
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise EvaluationError(f"{path} cannot be read: {error}.") from error
    if not isinstance(training, dict) or not isinstance(training.get("base_model"), str):
        raise EvaluationError(f'{path} does not name its "base_model".')
    return training


def _model_folders(
    model_dir: Path, training: Mapping[str, Any], champion_uri: str
) -> dict[str, Path]:
    from doctune.training.base_model import resolve_base_model

    folders = {TUNED: _weights(model_dir)}
    if champion_uri:
        folders[CHAMPION] = _weights(local_folder(champion_uri))
    folders[BASE] = resolve_base_model(training["base_model"])
    return {name: folders[name] for name in (BASE, TUNED, CHAMPION) if name in folders}


def _weights(model_dir: Path) -> Path:
    folder = model_dir / "model"
    if not (folder / "config.json").is_file():
        raise EvaluationError(f"{folder} holds no model: config.json is missing.")
    return folder


def _provenance(
    test: TestSet, training: Mapping[str, Any], options: EvaluationOptions, champion_uri: str
) -> dict[str, str]:
    from importlib.metadata import version

    libraries = ("doctune", "torch", "transformers", "evaluate", "rouge-score", "sacrebleu")
    return {
        "test set (SHA-256)": test.digest,
        "test examples": str(len(test.examples)),
        "base model": str(training["base_model"]),
        "base model (SHA-256)": str(training.get("base_model_digest") or "unknown"),
        "champion": champion_uri or "none",
        "decoding": f"greedy, at most {options.max_new_tokens} new tokens",
        "intervals": f"{options.confidence:.0%}, paired percentile bootstrap, "
        f"{options.bootstrap_resamples} resamples, seed {options.seed}",
        "settings": options.model_dump_json(),
        "libraries": ", ".join(f"{name} {version(name)}" for name in libraries),
    }


def _write_scores(
    path: Path,
    evaluation: Evaluation,
    options: EvaluationOptions,
    provenance: Mapping[str, str],
) -> None:
    write_json(
        path,
        {
            "schema_version": SCHEMA_VERSION,
            "passed": evaluation.passed,
            "outcome": evaluation.outcome,
            "reason": evaluation.reason,
            "examples": evaluation.examples,
            "test_digest": evaluation.test_digest,
            "primary_metric": options.primary_metric,
            "scores": dict(evaluation.scores),
            "provenance": dict(provenance),
        },
    )


def _write_predictions(
    path: Path,
    test: TestSet,
    answers: Mapping[str, Answers],
    samples: Mapping[str, Mapping[str, Sample]],
) -> None:
    each = {
        model: {metric: sample.each() for metric, sample in metrics.items()}
        for model, metrics in samples.items()
    }
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for position, example in enumerate(test.examples):
            row = {
                "index": example.index,
                "kind": example.kind,
                "source": dict(example.source),
                "prompt": list(example.prompt),
                "reference": example.reference,
                "passage": example.passage,
                "answers": {
                    model: {
                        "text": given.completions[position].text,
                        "finish_reason": given.completions[position].finish_reason,
                        "completion_tokens": given.completions[position].completion_tokens,
                        "nll": given.likelihoods[position].nll,
                        "reference_tokens": given.likelihoods[position].tokens,
                        "scores": {
                            metric: float(values[position])
                            for metric, values in each[model].items()
                        },
                    }
                    for model, given in answers.items()
                },
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
