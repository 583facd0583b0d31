"""The search finds the better setting, prunes the hopeless, and survives the broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from doctune.errors import TrainingError
from doctune.training import TrainingOptions
from doctune.training.search import search_hyperparameters, with_parameters
from doctune.training.search_options import Range, SearchOptions, SearchSpace


def common(tiny_model: Path, **settings: Any) -> TrainingOptions:
    values = {"num_threads": 1, "dtype": "float32", "lora_r": 4, "num_train_epochs": 2, **settings}
    return TrainingOptions(base_model=str(tiny_model), **values)


def test_the_best_trial_hands_its_parameters_on(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    space = SearchSpace(
        learning_rate=(1e-6, 1e-2), lora_r=(2, 4), lora_dropout=Range(low=0, high=0.2)
    )
    result = search_hyperparameters(
        *facts,
        common(tiny_model, evals_per_epoch=2),
        SearchOptions(space=space, max_trials=5, pruning_warmup=2),
        result_path=tmp_path / "search.json",
        report_path=tmp_path / "search.html",
    )
    assert result.best_options.learning_rate == 1e-2
    assert result.best_loss == min(
        t.loss for t in result.trials if t.state == "complete" and t.loss
    )
    assert len(result.trials) == 5
    assert {trial.state for trial in result.trials} == {"complete", "pruned"}
    record = json.loads((tmp_path / "search.json").read_text())
    assert record["best_options"]["learning_rate"] == 1e-2
    page = (tmp_path / "search.html").read_text()
    for title in ("History", "Parallel coordinates", "Importance", "Trials", "pruned"):
        assert title in page
    assert "http" not in page


def test_a_failed_trial_is_shown_and_passed_over(
    tiny_model: Path, facts: tuple[Path, Path], tmp_path: Path
) -> None:
    broken = 5 * 10**39  # a scale at which the gradient overflows
    result = search_hyperparameters(
        *facts,
        common(tiny_model, learning_rate=1e-2, num_train_epochs=1, lora_r=16),
        SearchOptions(
            space=SearchSpace(learning_rate=None, lora_r=None, lora_alpha=(8, broken)),
            max_trials=5,
            algorithm="random",
            pruning_warmup=100,
        ),
        report_path=tmp_path / "search.html",
    )
    assert {trial.state for trial in result.trials} == {"complete", "failed"}
    assert result.best_options.lora_alpha == 8
    assert "lower training.learning_rate" in (tmp_path / "search.html").read_text()


def test_a_search_without_one_good_trial_is_one_clear_line(
    tiny_model: Path, facts: tuple[Path, Path]
) -> None:
    space = SearchSpace(learning_rate=None, lora_r=None, lora_alpha=(5 * 10**39,))
    with pytest.raises(TrainingError, match="None of the 2 trials gave a model") as caught:
        search_hyperparameters(
            *facts, common(tiny_model, lora_r=16), SearchOptions(space=space, max_trials=2)
        )
    assert "\n" not in str(caught.value)


def test_rank_keeps_the_scale_and_modules_are_taken_apart(tiny_model: Path) -> None:
    options = common(tiny_model, lora_r=16, lora_alpha=32)
    changed = with_parameters(options, {"lora_r": 4, "target_modules": "q_proj, v_proj"})
    assert changed.lora_alpha == 8
    assert changed.target_modules == ("q_proj", "v_proj")
