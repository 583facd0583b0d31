"""A model against itself: how often chance is taken for a win."""

from pathlib import Path

import numpy as np

from doctune.evaluation.behaviour import count_words
from doctune.evaluation.test_set import load_test_set
from doctune.evaluation.text_metrics import chrf_samples
from doctune.inference.generation import TextGenerator
from doctune.inference.options import GenerationOptions
from tests.evaluation.test_slices import decide_on
from tests.evaluation.tiny_models import make_row, write_rows

RUNS = 200
DRAWS = 24


def test_sampled_answers_of_one_model_win_over_themselves_in_at_most_one_run_of_twenty(
    tmp_path: Path, base_dir: Path
) -> None:
    path = write_rows(tmp_path / "test.jsonl", [make_row(number) for number in range(40)])
    examples = load_test_set(path).examples
    generator = TextGenerator.load(base_dir)
    scores = []
    for seed in range(DRAWS):
        options = GenerationOptions(max_new_tokens=12, temperature=1.0, seed=seed)
        answers = generator.generate([example.prompt for example in examples], options)
        texts = [answer.text for answer in answers]
        sample = chrf_samples(texts, [example.reference for example in examples])["chrf"]
        scores.append(sample.each())
        assert sum(map(count_words, texts)) > 0
    pool = np.array(scores)
    random = np.random.default_rng(0)
    wins = 0
    for run in range(RUNS):
        # Two independent answers to each question, drawn from the same model.
        first, second = np.array([random.choice(DRAWS, size=2, replace=False) for _ in examples]).T
        places = np.arange(len(examples))
        verdict, _ = decide_on(pool[first, places], pool[second, places], seed=run)
        wins += verdict.passed
    assert wins / RUNS <= 0.05


def test_the_same_scores_never_win() -> None:
    random = np.random.default_rng(1)
    for seed in range(RUNS):
        scores = random.beta(0.5, 0.5, size=20)
        verdict, _ = decide_on(scores, scores, seed=seed)
        assert verdict.outcome == "tie"
