"""What is done with stored scores and predictions: gate replayed, versions compared and listed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from doctune.errors import EvaluationError, UsageError
from doctune.evaluation.compare import compare_predictions
from doctune.evaluation.gate import replay_gate
from doctune.evaluation.options import EvaluationOptions, Guardrail
from doctune.evaluation.score_card import ScoreCard, read_card
from doctune.evaluation.versions import (
    LiveRate,
    VersionRecord,
    render_versions,
    render_versions_markdown,
    version_rows,
)
from tests.evaluation.test_evaluator import OPTIONS, run
from tests.evaluation.tiny_models import make_row, write_rows, write_tuned


@pytest.fixture(scope="module")
def outputs(
    tmp_path_factory: pytest.TempPathFactory, tuned_dir: Path, base_dir: Path, test_path: Path
) -> Path:
    """The outputs of two versions' evaluations, in folders a and b."""
    folder = tmp_path_factory.mktemp("versions")
    run(folder / "a", tuned_dir, test_path)
    run(folder / "b", write_tuned(folder / "second", base_dir, seed=9), test_path)
    return folder


def test_scores_keep_to_their_documented_schema(outputs: Path) -> None:
    stored = json.loads((outputs / "a" / "scores.json").read_text())
    schema = ScoreCard.model_json_schema()
    assert set(stored) == set(schema["properties"])
    for name, field in schema["properties"].items():
        assert field.get("description"), name
    assert read_card(outputs / "a" / "scores.json").model_dump(mode="json") == stored


def test_scores_name_the_worst_slice_and_hold_all_slices(outputs: Path) -> None:
    card = read_card(outputs / "a" / "scores.json")
    names = {part.name for part in card.slices}
    assert card.worst_slice in names
    assert {"kind table", "length short"} <= names
    kinds = [part for part in card.slices if part.by == "kind"]
    assert sum(part.examples for part in kinds) == card.examples
    shared = sum(part.examples * part.scores["token_f1_tuned"] for part in kinds) / card.examples
    assert shared == pytest.approx(card.scores["token_f1_tuned"])


def test_a_replay_with_the_same_policy_says_the_same(outputs: Path) -> None:
    card = read_card(outputs / "a" / "scores.json")
    replay = replay_gate(outputs / "a" / "scores.json", OPTIONS)
    assert (replay.verdict.outcome, replay.verdict.reason) == (card.outcome, card.reason)
    assert not replay.changed


def test_a_replay_applies_another_policy_to_the_same_numbers(outputs: Path) -> None:
    before = (outputs / "a" / "scores.json").read_bytes()
    guard = Guardrail(metric="similarity", max_loss=0.1)
    replay = replay_gate(outputs / "a" / "scores.json", EvaluationOptions(guardrails=(guard,)))
    assert replay.verdict.outcome in ("missing_metric", "lose")
    many = replay_gate(outputs / "a" / "scores.json", EvaluationOptions(min_examples=1000))
    assert many.verdict.outcome == "too_few_examples"
    assert many.lines()[0].startswith("too_few_examples: The test set has 12 examples")
    assert any("broken examples" in line for line in many.lines())
    assert (outputs / "a" / "scores.json").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{}", "is not a scores.json of evaluate_model: primary_metric"),
        ("[1", "is not a scores.json of evaluate_model"),
    ],
)
def test_what_is_not_a_score_file_is_one_plain_line(
    tmp_path: Path, content: str | None, message: str
) -> None:
    path = tmp_path / "scores.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(EvaluationError, match=message) as raised:
        replay_gate(path, OPTIONS)
    assert "\n" not in str(raised.value)


def test_two_versions_are_compared_from_their_predictions(outputs: Path) -> None:
    found = compare_predictions(
        outputs / "a" / "predictions.jsonl",
        outputs / "b" / "predictions.jsonl",
        names=("v1", "v2"),
        options=OPTIONS,
    )
    values = {(entry.metric, entry.model): entry.value for entry in found.comparison.measured}
    for name, folder in (("base", "a"), ("tuned", "b")):
        card = read_card(outputs / folder / "scores.json")
        for metric in ("perplexity", "chrf", "token_f1"):
            assert values[metric, name] == pytest.approx(card.scores[f"{metric}_tuned"])
    assert found.markdown().startswith("## v2 against v1, on 12 examples")
    assert found.slices


def test_a_version_against_itself_shows_no_difference(outputs: Path) -> None:
    path = outputs / "a" / "predictions.jsonl"
    found = compare_predictions(path, path, options=OPTIONS)
    assert {gain.value for gain in found.comparison.gains} == {0.0}
    assert {gain.p_corrected for gain in found.comparison.gains} == {1.0}


def test_what_got_worse_and_the_slices_are_listed_the_worst_first(outputs: Path) -> None:
    paths = (outputs / "a" / "predictions.jsonl", outputs / "b" / "predictions.jsonl")
    found = compare_predictions(*paths, options=OPTIONS, metric="chrf")
    losses = [example.loss for example in found.worse]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] > 0
    back = compare_predictions(*reversed(paths), options=OPTIONS, metric="chrf")
    numbers = {example.number for example in (*found.worse, *back.worse)}
    assert len(numbers) == len(found.worse) + len(back.worse) <= 12
    text = found.markdown()
    assert text.index("### Slices by chrF") < text.index("### What got worse by chrF")
    assert set(found.as_json()["gains"]["base"]) >= {"perplexity", "chrf", "faithfulness"}
    with pytest.raises(UsageError, match=r"not known from predictions: choose .*perplexity"):
        compare_predictions(*paths, options=OPTIONS, metric="judge")


def test_versions_of_different_test_sets_are_not_compared(
    outputs: Path, tmp_path: Path, tuned_dir: Path
) -> None:
    other = write_rows(tmp_path / "other.jsonl", [make_row(number) for number in range(20, 30)])
    run(tmp_path, tuned_dir, other)
    with pytest.raises(EvaluationError, match="are of different test sets"):
        compare_predictions(outputs / "a" / "predictions.jsonl", tmp_path / "predictions.jsonl")


def test_predictions_of_another_form_are_one_plain_line(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "predictions.jsonl", [{"text": "x"}])
    with pytest.raises(EvaluationError, match="line 1: no answer of the tuned model"):
        compare_predictions(path, path)


def record(number: int, value: float | None, digest: str = "t") -> VersionRecord:
    scores = {"rouge_l_base": 0.2}
    if value is not None:
        scores |= {"rouge_l_tuned": value, "rouge_l_tuned_low": value - 0.1}
        scores |= {"rouge_l_tuned_high": value + 0.1}
    return VersionRecord(
        version=str(number),
        created=f"2026-01-0{number}T00:00:00Z",
        aliases=("champion",) if number == 2 else (),
        outcome="win",
        test_digest=digest,
        scores=scores,
    )


def test_versions_are_listed_in_the_order_they_were_made() -> None:
    rows = version_rows([record(3, 0.5), record(1, None), record(2, 0.4, "old")], "rouge_l")
    assert [row.version for row in rows] == ["1", "2", "3"]
    assert [row.value for row in rows] == [None, 0.4, 0.5]
    assert [row.comparable for row in rows] == [True, False, True]
    text = render_versions_markdown([record(2, 0.4, "old"), record(3, 0.5)], "rouge_l")
    assert "| 2 | 2026-01-02 00:00 | champion | win | 0.400 (another test set) |" in text


def test_the_page_of_versions_shows_plot_and_table_and_escapes() -> None:
    page = render_versions([record(1, 0.3), record(2, 0.4)], "rouge_l", model_name="<b>x</b>")
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "<b>x</b>" not in page
    assert page.count("<circle") == 2
    assert "0.400" in page


def test_a_version_that_was_evaluated_again_is_shown_on_the_latest_test_set() -> None:
    def evaluated(number: int, value: float, digest: str, day: int) -> VersionRecord:
        return replace(record(number, value, digest), evaluated=f"2026-02-0{day}T00:00:00Z")

    records = [
        evaluated(1, 0.3, "old", 1),
        evaluated(1, 0.2, "new", 3),
        evaluated(2, 0.4, "new", 2),
        evaluated(3, 0.5, "old", 1),
    ]
    rows = version_rows(records, "rouge_l")
    assert [(row.version, row.value) for row in rows] == [("1", 0.2), ("2", 0.4), ("3", 0.5)]
    assert [row.comparable for row in rows] == [True, True, False]


def test_the_page_shows_what_was_not_evaluated_without_a_point() -> None:
    page = render_versions([record(1, None), record(2, 0.4)], "rouge_l", model_name="x")
    assert page.count("<circle") == 1
    assert render_versions([], "rouge_l", model_name="x").count("<circle") == 0


def test_the_page_shows_what_changed_and_what_people_said() -> None:
    made = {"documents": "a", "dataset": "b", "commit": "c"}
    records = [
        replace(record(1, 0.3), made_from=made),
        replace(record(2, 0.4), made_from=made | {"dataset": "x", "commit": "y"}),
    ]
    live = [LiveRate(version="2", week="2026-W48", bad=3, of=12, low=0.09, high=0.53)]

    records[-1] = replace(records[-1], feedback=frozenset({"fb_2", "fb_1"}))
    page = render_versions(records, "rouge_l", model_name="x", live=live)
    assert "Version 2: 2 items</summary><p>fb_1, fb_2</p>" in page
    changed = "dataset, commit, feedback (+2)"
    assert [row.changed for row in version_rows(records, "rouge_l")] == ["", changed]
    assert f"<td>{changed}</td>" in page
    assert "2026-W48</td><td>3</td><td>12</td><td>0.25</td><td>0.09 to 0.53</td>" in page
    assert page.count("<circle") == 3


def test_an_unknown_metric_is_named_with_what_there_is() -> None:
    with pytest.raises(UsageError, match="choose one of answer_accuracy, "):
        version_rows([], "accuracy")
