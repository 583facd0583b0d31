"""A champion counts where both models know as much: older editions and other documents do not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from doctune.evaluation.bootstrap import Bootstrap
from doctune.evaluation.comparison import CHAMPION
from doctune.evaluation.fairness import compare_fairly, judge_fairness, judge_quiz_fairness
from doctune.evaluation.quiz import make_quiz
from doctune.evaluation.quiz_comparison import compare_quiz
from doctune.evaluation.quiz_scores import mark_all
from doctune.evaluation.samples import Sample, mean_sample
from doctune.evaluation.test_set import Example, load_test_set
from doctune.publishing import write_manifest
from doctune.training_hashes import (
    TRAINING_HASHES_FILE,
    hashes_of,
    read_training_hashes,
    write_training_hashes,
)
from tests.evaluation.test_evaluator import OPTIONS, run
from tests.evaluation.tiny_models import write_rows, write_tuned

DOCUMENTS = ("pump", "valve", "sieve")
ACCURACY = "answer_accuracy"


def sentences(topic: str, edition: int = 1) -> list[str]:
    """Ten sentences of a document; of another edition two are new."""
    return [
        f"The {topic} {number} opens its {topic} lid by {topic} key {number * 7}, is {topic} rinsed"
        + (f" and {topic} dried in edition {edition}" if edition > 1 and number < 2 else "")
        for number in range(10)
    ]


def rows_of(file: str, topic: str, edition: int = 1) -> list[dict[str, Any]]:
    return [
        {
            "messages": [
                {"role": "user", "content": f"How is the {topic} number {number} opened?"},
                {"role": "assistant", "content": text},
            ],
            "source": {"file": file, "pages": [1]},
            "kind": "fact",
            "passage": text,
        }
        for number, text in enumerate(sentences(topic, edition))
    ]


def trained(folder: Path, *rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    train = write_rows(
        folder.parent / f"{folder.name}.jsonl", [one for part in rows for one in part]
    )
    write_training_hashes(train, folder / TRAINING_HASHES_FILE)
    return folder


def loaded(path: Path, *rows: list[dict[str, Any]]) -> tuple[Example, ...]:
    return load_test_set(write_rows(path, [one for part in rows for one in part])).examples


def test_a_test_document_that_the_champion_learnt_in_an_older_edition_does_not_count(
    tmp_path: Path,
) -> None:
    test = loaded(
        tmp_path / "test.jsonl", rows_of("pump-2.pdf", "pump", 2), rows_of("sieve.pdf", "sieve")
    )
    own = trained(tmp_path / "own", rows_of("valve.pdf", "valve"))
    champion = trained(
        tmp_path / "old", rows_of("valve.pdf", "valve"), rows_of("pump-1.pdf", "pump")
    )

    fairness = judge_fairness(test, own, champion)

    assert fairness.kept.tolist() == [False] * 10 + [True] * 10
    assert "10 of 20 examples do not count" in fairness.note
    assert "pump-2.pdf" in fairness.note
    assert "100% of the new model's documents are the champion's, too" in fairness.note


def test_documents_that_both_or_neither_learnt_count(tmp_path: Path) -> None:
    test = loaded(
        tmp_path / "test.jsonl", rows_of("pump.pdf", "pump"), rows_of("sieve.pdf", "sieve")
    )
    own = trained(tmp_path / "own", rows_of("pump.pdf", "pump"))
    champion = trained(tmp_path / "old", rows_of("pump.pdf", "pump"))
    fairness = judge_fairness(test, own, champion)
    assert fairness.whole
    assert fairness.note == ""


def test_a_model_from_before_cannot_be_checked_and_that_is_said(tmp_path: Path) -> None:
    test = loaded(tmp_path / "test.jsonl", rows_of("pump.pdf", "pump"))
    own = trained(tmp_path / "own", rows_of("pump.pdf", "pump"))
    fairness = judge_fairness(test, own, tmp_path / "none")
    assert fairness.whole
    assert "not known" in fairness.note
    assert judge_fairness(test, own, None).note == ""


def test_gains_over_the_champion_are_of_what_counts_and_those_over_base_of_all(
    tmp_path: Path,
) -> None:
    test = loaded(tmp_path / "test.jsonl", rows_of("a.pdf", "pump"), rows_of("b.pdf", "sieve"))
    own = trained(tmp_path / "own", rows_of("v.pdf", "valve"))
    fairness = judge_fairness(test, own, trained(tmp_path / "old", rows_of("a.pdf", "pump")))
    learnt, unseen = np.ones(10), np.zeros(10)
    models: dict[str, dict[str, Sample]] = {
        "base": {"token_f1": mean_sample(np.zeros(20))},
        "tuned": {"token_f1": mean_sample(np.full(20, 0.5))},
        "champion": {"token_f1": mean_sample(np.concatenate([learnt, unseen]))},
    }
    bootstrap = Bootstrap(resamples=200, confidence=0.95, seed=1)
    gains = {one.opponent: one.value for one in compare_fairly(models, bootstrap, fairness).gains}
    assert gains == {"base": 0.5, CHAMPION: 0.5}


def test_questions_that_the_champion_alone_has_learnt_the_answers_to_do_not_count(
    tmp_path: Path,
) -> None:
    # The older edition of the pump's manual was trained on, the new one is held out; the valve's
    # is new, which is what the new model is for.
    test = loaded(
        tmp_path / "test.jsonl",
        *(rows_of(f"{name}.pdf", name, 2 if name == "pump" else 1) for name in DOCUMENTS),
    )
    own = trained(tmp_path / "own", rows_of("valve.pdf", "valve"), rows_of("sieve.pdf", "sieve"))
    champion = trained(
        tmp_path / "old", rows_of("pump-1.pdf", "pump"), rows_of("sieve.pdf", "sieve")
    )
    quiz = make_quiz(test, questions_path=None, knowledge=None)
    right = [example.reference for example in test]

    def knows(model: str, *documents: str) -> list[str]:
        return [
            right[prompt.item] if test[prompt.item].document[:-4] in documents else "No idea."
            for prompt in quiz.prompts_for(model)
        ]

    result = mark_all(
        quiz,
        {
            "base": knows("base"),
            "tuned": knows("tuned", "valve", "sieve"),
            CHAMPION: knows(CHAMPION, "pump", "sieve"),
        },
    )
    fairness = judge_quiz_fairness(quiz, own, champion)

    assert fairness.kept.tolist() == [False] * 10 + [True] * 20
    assert "10 of 30 questions do not count: it alone has learnt pump.pdf" in fairness.note
    compared = compare_quiz(result, Bootstrap(resamples=200, confidence=0.95, seed=1), fairness)
    gains = {gain.opponent: gain.value for gain in compared.gains if gain.metric == ACCURACY}
    assert gains == {"base": pytest.approx(2 / 3), CHAMPION: pytest.approx(1 / 2)}
    assert judge_quiz_fairness(quiz, own, None).whole


def test_an_evaluation_says_which_questions_do_not_count_against_the_champion(
    tmp_path: Path, base_dir: Path
) -> None:
    folders = {}
    for name, topic in (("tuned", "valve"), ("champion", "pump")):
        folders[name] = write_tuned(tmp_path / name, base_dir, seed=3)
        trained(folders[name], rows_of(f"{topic}.pdf", topic))
        write_manifest(folders[name])
    rows = [*rows_of("pump.pdf", "pump", 2), *rows_of("sieve.pdf", "sieve")]
    test = write_rows(tmp_path / "test.jsonl", rows)

    evaluation = run(
        tmp_path, folders["tuned"], test, OPTIONS, champion_uri=str(folders["champion"])
    )

    assert "10 of 20 questions do not count: it alone has learnt pump.pdf" in evaluation.reason


def test_a_champion_of_other_documents_is_no_champion(tmp_path: Path, base_dir: Path) -> None:
    folders = {}
    for name, topic in (("tuned", "pump"), ("champion", "sieve")):
        folders[name] = write_tuned(tmp_path / name, base_dir, seed=3)
        trained(folders[name], rows_of(f"{topic}.pdf", topic))
        write_manifest(folders[name])
    # Held-out phrasings of what the new model has learnt.
    held_out = [
        {**row, "messages": [{"role": "user", "content": f"say: {number}"}, row["messages"][1]]}
        for number, row in enumerate(rows_of("pump.pdf", "pump"))
    ]
    test = write_rows(tmp_path / "test.jsonl", held_out)

    evaluation = run(
        tmp_path, folders["tuned"], test, OPTIONS, champion_uri=str(folders["champion"])
    )

    assert "perplexity_champion" not in evaluation.scores
    assert "0% of the new model's documents are the champion's, too" in evaluation.reason
    assert json.loads((tmp_path / "scores.json").read_text())["models"] == ["base", "tuned"]


def test_hashes_are_of_words_whatever_their_case_and_hold_no_text(tmp_path: Path) -> None:
    text = " ".join(sentences("pump"))
    assert np.array_equal(hashes_of([text]), hashes_of([text.upper()]))
    folder = trained(tmp_path / "model", rows_of("pump.pdf", "pump"))
    assert b"rinsed" not in (folder / TRAINING_HASHES_FILE).read_bytes()
    learnt = read_training_hashes(folder)
    assert learnt is not None
    assert learnt.knows(hashes_of(sentences("pump", 2)))
    assert not learnt.knows(hashes_of(sentences("sieve")))
    assert not learnt.knows(hashes_of(["four words are few"]))


@pytest.mark.parametrize("content", [b"", b"no parquet"])
def test_a_broken_record_is_an_error(tmp_path: Path, content: bytes) -> None:
    from doctune.errors import ModelError

    (tmp_path / TRAINING_HASHES_FILE).write_bytes(content)
    with pytest.raises(ModelError, match="train the model again"):
        read_training_hashes(tmp_path)
