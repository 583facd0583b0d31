"""Metric values against the reference libraries and published examples."""

import math

import numpy as np
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from doctune.evaluation.metrics import compute_metrics
from doctune.evaluation.samples import Sample, mean_sample, perplexity_sample
from doctune.evaluation.text_metrics import exact_match, token_f1

# The examples of the model cards of sacrebleu and rouge, and of SQuAD's evaluation script.
PREDICTIONS = [
    "The dog bit the man.",
    "It wasn't surprising.",
    "The man had just bitten him.",
    "the cat sat on the mat",
    "",
    "Saint Bernadette Soubirous, of Lourdes!",
    "ok",
]
REFERENCES = [
    "The dog had bit the man.",
    "No one was surprised.",
    "The man had bitten the dog.",
    "the cat is on the mat",
    "an answer",
    "saint bernadette soubirous",
    "No.",
]


def compute_text_metrics(
    predictions: list[str], references: list[str]
) -> tuple[dict[str, float], dict[str, Sample]]:
    nothing = [""] * len(predictions)
    return compute_metrics(
        {
            "predictions": predictions,
            "references": references,
            "questions": nothing,
            "passages": nothing,
        }
    )


@pytest.fixture(scope="module")
def values() -> dict[str, float]:
    return compute_text_metrics(PREDICTIONS, REFERENCES)[0]


def test_chrf_is_that_of_sacrebleu(values: dict[str, float]) -> None:
    expected = sacrebleu.corpus_chrf(PREDICTIONS, [REFERENCES]).score
    assert values["chrf"] == pytest.approx(expected, abs=1e-9)


def test_bleu_is_that_of_sacrebleu(values: dict[str, float]) -> None:
    expected = sacrebleu.corpus_bleu(PREDICTIONS, [REFERENCES]).score
    assert values["bleu"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("pairs", [slice(0, 3), slice(1, 2), slice(4, 5), slice(6, 7), slice(2, 7)])
def test_subsets_keep_to_sacrebleu(pairs: slice) -> None:
    said, wanted = PREDICTIONS[pairs], REFERENCES[pairs]
    values, _ = compute_text_metrics(said, wanted)
    assert values["chrf"] == pytest.approx(sacrebleu.corpus_chrf(said, [wanted]).score, abs=1e-9)
    assert values["bleu"] == pytest.approx(sacrebleu.corpus_bleu(said, [wanted]).score, abs=1e-9)


def test_each_example_has_the_chrf_of_its_sentence() -> None:
    _, samples = compute_text_metrics(PREDICTIONS, REFERENCES)
    expected = [
        sacrebleu.sentence_chrf(said, [wanted]).score
        for said, wanted in zip(PREDICTIONS, REFERENCES, strict=True)
    ]
    np.testing.assert_allclose(samples["chrf"].each(), expected, atol=1e-9)


def test_rouge_is_that_of_rouge_score(values: dict[str, float]) -> None:
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    scores = [
        scorer.score(wanted, said) for said, wanted in zip(PREDICTIONS, REFERENCES, strict=True)
    ]
    for ours, theirs in (("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")):
        expected = sum(score[theirs].fmeasure for score in scores) / len(scores)
        assert values[ours] == pytest.approx(expected, abs=1e-12)


def test_the_published_rouge_example_holds() -> None:
    # From the README of rouge_score: "The quick brown fox jumps over the lazy dog" against
    # "The quick brown dog jumps on the log." is 0.7058 in ROUGE-1 and 0.5882 in ROUGE-L.
    values, _ = compute_text_metrics(
        ["The quick brown dog jumps on the log."], ["The quick brown fox jumps over the lazy dog"]
    )
    assert values["rouge_1"] == pytest.approx(0.7058823529, abs=1e-6)
    assert values["rouge_l"] == pytest.approx(0.5882352941, abs=1e-6)


@pytest.mark.parametrize(
    ("said", "wanted", "f1", "exact"),
    [
        ("Denver Broncos", "The Denver Broncos.", 1.0, 1.0),
        ("Broncos", "Denver Broncos", 2 / 3, 0.0),
        ("in the year 1867", "1867", 0.5, 0.0),
        ("red red red", "red green", 0.4, 0.0),
        ("Panthers", "Broncos", 0.0, 0.0),
        ("", "Broncos", 0.0, 0.0),
        ("the", "a", 1.0, 1.0),
    ],
)
def test_token_f1_and_exact_match_follow_squad(
    said: str, wanted: str, f1: float, exact: float
) -> None:
    assert token_f1(said, wanted) == pytest.approx(f1, abs=1e-12)
    assert exact_match(said, wanted) == exact


def test_the_evaluate_interface_and_the_samples_agree() -> None:
    values, samples = compute_text_metrics(PREDICTIONS, REFERENCES)
    assert set(values) == set(samples)
    for name, value in values.items():
        assert samples[name].value == pytest.approx(value, abs=1e-12, nan_ok=True)


def test_perplexity_counts_every_token_the_same() -> None:
    sample = perplexity_sample([math.log(2) * 3, math.log(8)], [3, 1])
    assert sample.value == pytest.approx(math.exp(math.log(2) * 6 / 4))
    np.testing.assert_allclose(sample.each(), [2, 8])


def test_a_missing_value_leaves_its_example_out() -> None:
    sample = mean_sample([1.0, None, 0.0, float("nan")])
    assert sample.value == 0.5
    assert np.isnan(sample.each()[1])
