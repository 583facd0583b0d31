"""Outputs of an evaluation besides the scores: predictions and provenance."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from doctune.evaluation.answers import Answers
from doctune.evaluation.general_prompts import general_digest
from doctune.evaluation.models import Models
from doctune.evaluation.options import EvaluationOptions
from doctune.evaluation.quiz import Quiz
from doctune.evaluation.samples import Sample
from doctune.evaluation.test_set import TestSet
from doctune.files import atomic_path

_LIBRARIES = ("doctune", "torch", "transformers", "evaluate", "rouge-score", "sacrebleu")


def provenance_of(
    test: TestSet,
    models: Models,
    answers: Mapping[str, Answers],
    options: EvaluationOptions,
    champion_uri: str,
) -> dict[str, str]:
    """Returns the provenance of the scores: digests, versions, seeds, settings."""
    made = {
        "test set (SHA-256)": test.digest,
        "test examples": str(len(test.examples)),
        "base model": str(models.training["base_model"]),
        "champion": champion_uri or "none",
    }
    for name, given in answers.items():
        made[f"{name} weights (SHA-256)"] = given.digest
    cut = {name: given.prompts_cut for name, given in answers.items() if given.prompts_cut}
    if cut:
        made["prompts cut to fit the context"] = ", ".join(f"{n} ({c})" for n, c in cut.items())
    reused = [name for name, given in answers.items() if given.reused]
    if reused:
        made["kept from an earlier evaluation"] = f"answers and times of {', '.join(reused)}"
    if options.general_prompts:
        made["general prompts (SHA-256)"] = general_digest()
    made |= {
        "decoding": f"greedy, at most {options.max_new_tokens} new tokens",
        "engine of the tuned model's answers": options.engine,
        "intervals": f"{options.confidence:.0%}, paired bootstrap, expanded percentiles, "
        f"{options.bootstrap_resamples:,} resamples, seed {options.seed}",
        "corrections": "Holm's method over all metrics and opponents, and over all slices",
        "settings": options.model_dump_json(),
        "libraries": ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES),
    }
    return made


def caps_of(test: TestSet, models: Models, quiz: Quiz) -> tuple[str, ...]:
    """Returns the limits that applied to data, training and this evaluation."""
    recorded = models.training.get("caps")
    return (*map(str, recorded if isinstance(recorded, list) else ()), *test.caps, *quiz.caps)


def write_predictions(
    path: Path,
    test: TestSet,
    answers: Mapping[str, Answers],
    samples: Mapping[str, Mapping[str, Sample]],
) -> None:
    """Writes one JSON line per example: question, reference, passage, and each model's answer."""
    each = {
        model: {metric: sample.each() for metric, sample in metrics.items()}
        for model, metrics in samples.items()
    }
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for position, example in enumerate(test.examples):
            row = {
                "index": example.index,
                "kind": example.kind,
                "fact": example.fact,
                "source": dict(example.source),
                "prompt": list(example.prompt),
                "reference": example.reference,
                "passage": example.passage,
                "answers": {
                    model: {
                        "text": given.completions[position].text,
                        "finish_reason": given.completions[position].finish_reason,
                        "completion_tokens": given.completions[position].completion_tokens,
                        "seconds": given.latencies[position],
                        "nll": given.likelihoods[position].nll,
                        "reference_tokens": given.likelihoods[position].tokens,
                        "reference_ids": given.likelihoods[position].ids,
                        "scores": {
                            metric: float(values[position])
                            for metric, values in each[model].items()
                            if math.isfinite(values[position])
                        },
                    }
                    for model, given in answers.items()
                },
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
