"""Phrasings of one fact and facts of one document do not count as independent witnesses."""

import json
from pathlib import Path

import numpy as np
import pytest

from doctune.evaluation.bootstrap import Bootstrap, p_value
from doctune.evaluation.clusters import Clusters, clusters_of, effective_count
from doctune.evaluation.comparison import compare
from doctune.evaluation.samples import Sample, mean_sample
from doctune.evaluation.test_set import load_test_set
from tests.evaluation.tiny_models import make_row, write_rows

RUNS = 300
NOMINAL = 0.05  # two-sided: of chance alone, half of it are wins and half are losses
TOLERANCE = 3 * np.sqrt(NOMINAL * (1 - NOMINAL) / RUNS)


def design(documents: int, facts: int, phrasings: int) -> Clusters:
    fact = np.repeat(np.arange(documents * facts), phrasings)
    return Clusters(documents=fact // facts, facts=fact)


def rights(clusters: Clusters, random: np.random.Generator, *, document: float) -> np.ndarray:
    """Right and wrong answers of a model that has learnt whole facts, and some documents better."""
    of_document = random.normal(0, document, size=clusters.documents.max() + 1)
    of_fact = random.normal(0, 2.0, size=clusters.facts.max() + 1)
    logit = of_document[clusters.documents] + of_fact[clusters.facts]
    logit += random.normal(0, 0.3, size=len(logit))
    return (random.random(len(logit)) < 1 / (1 + np.exp(-logit))).astype(float)


def found(first: np.ndarray, second: np.ndarray, clusters: Clusters | None, seed: int) -> bool:
    """Whether a difference between two models that are equally good is taken for one."""
    models: dict[str, dict[str, Sample]] = {
        "base": {"token_f1": mean_sample(first)},
        "tuned": {"token_f1": mean_sample(second)},
    }
    bootstrap = Bootstrap(resamples=500, confidence=0.95, seed=seed, clusters=clusters)
    return compare(models, bootstrap).gains[0].interval.excludes_zero()


def false_finds(clusters: Clusters, *, document: float, aware: bool) -> float:
    random = np.random.default_rng(7)
    count = 0
    for seed in range(RUNS):
        first = rights(clusters, random, document=document)
        second = rights(clusters, random, document=document)
        count += found(first, second, clusters if aware else None, seed)
    return count / RUNS


@pytest.mark.parametrize(
    ("documents", "facts", "phrasings", "document"),
    [
        (1, 24, 3, 0.0),  # phrasings alone
        (2, 12, 3, 1.0),
        (3, 8, 3, 1.0),
        (6, 8, 3, 1.0),
        (13, 6, 3, 1.0),
        (40, 3, 2, 1.0),
    ],
)
def test_equal_models_differ_no_more_often_than_the_interval_says(
    documents: int, facts: int, phrasings: int, document: float
) -> None:
    clusters = design(documents, facts, phrasings)
    assert false_finds(clusters, document=document, aware=True) <= NOMINAL + TOLERANCE


def test_drawing_examples_one_by_one_takes_chance_for_a_difference() -> None:
    """What the simulation is for: without clusters it fails, so it can fail."""
    assert false_finds(design(1, 24, 3), document=0.0, aware=False) > 0.12
    assert false_finds(design(6, 8, 3), document=1.0, aware=False) > 0.2


@pytest.mark.parametrize("documents", [3, 8, 25])
def test_intervals_hold_the_truth_as_often_as_they_say(documents: int) -> None:
    random = np.random.default_rng(11)
    clusters = design(documents, 6, 3)
    held = 0
    for seed in range(RUNS):
        values = rights(clusters, random, document=1.0)
        bootstrap = Bootstrap(resamples=500, confidence=0.95, seed=seed, clusters=clusters)
        sample = mean_sample(values)
        drawn = bootstrap.distributions({"m": sample})["m"]
        interval = bootstrap.interval(drawn, bootstrap.count(sample))
        held += interval.low <= 0.5 <= interval.high
    assert held / RUNS >= 1 - NOMINAL - TOLERANCE


def test_a_real_difference_is_still_found() -> None:
    random = np.random.default_rng(5)
    clusters = design(13, 6, 3)
    first = (random.random(len(clusters.facts)) < 0.3).astype(float)
    second = (random.random(len(clusters.facts)) < 0.6).astype(float)
    assert found(first, second, clusters, 0)


def test_one_large_document_beside_small_ones_is_hardly_more_than_one() -> None:
    codes = np.repeat([0, 1, 2], [90, 1, 1])
    assert effective_count(mean_sample(np.ones(92)), codes) == pytest.approx(92**2 / 8102)
    assert effective_count(mean_sample([1.0, None, 1.0]), np.array([0, 0, 1])) == 2


def test_p_and_interval_agree_on_few_documents() -> None:
    random = np.random.default_rng(1)
    clusters = design(4, 5, 2)
    for seed in range(40):
        sample = mean_sample(random.normal(0.25, 1, size=4)[clusters.documents])
        bootstrap = Bootstrap(resamples=2000, confidence=0.95, seed=seed, clusters=clusters)
        drawn = bootstrap.distributions({"m": sample})["m"]
        count = bootstrap.count(sample)
        if bootstrap.interval(drawn, count).excludes_zero():
            assert p_value(drawn, count) < 0.06


def test_rows_name_document_and_fact(tmp_path: Path) -> None:
    rows = [make_row(number) for number in range(8)]
    for number, row in enumerate(rows):
        row["fact"] = f"f{number // 2}"
        row["source"]["file"] = f"manual-{number // 4}.pdf"
    clusters = clusters_of(load_test_set(write_rows(tmp_path / "t.jsonl", rows)).examples)
    assert clusters.level == "document"
    assert clusters.documents.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    one = clusters.select(clusters.documents == 0)
    assert (one.level, one.codes.tolist()) == ("fact", [0, 0, 1, 1])


def test_without_a_fact_in_the_rows_equal_answers_of_a_document_are_one_fact(
    tmp_path: Path,
) -> None:
    rows = [make_row(number) for number in range(3)]
    for row in rows:
        row["source"] = {}
    rows[1]["messages"][-1] = rows[0]["messages"][-1]
    path = write_rows(tmp_path / "t.jsonl", json.loads(json.dumps(rows)))
    clusters = clusters_of(load_test_set(path).examples)
    assert (clusters.level, clusters.codes.tolist()) == ("fact", [0, 0, 1])
