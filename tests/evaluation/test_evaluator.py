"""`evaluate_model` from a model folder and a test set to scores, predictions and report."""

import json
from pathlib import Path
from typing import Any

import pytest

from doctune.errors import DoctuneError, EvaluationError, UsageError
from doctune.evaluation import Evaluation, EvaluationOptions, evaluate_model
from doctune.evaluation.similarity import encoder_folder
from doctune.publishing import write_manifest
from tests.evaluation.tiny_models import make_row, write_rows, write_tuned

OPTIONS = EvaluationOptions(
    primary_metric="perplexity",
    max_new_tokens=8,
    bootstrap_resamples=200,
    semantic_similarity=False,
    min_slice_examples=4,
)


METRICS_EXPECTED = [
    *("perplexity", "token_f1", "rouge_1", "rouge_2", "rouge_l", "exact_match", "chrf", "bleu"),
    *("faithfulness", "general_perplexity", "refusal_rate", "repetition_rate"),
    *("answer_words", "latency"),
]


def run(
    out: Path, model_dir: Path, test_path: Path, options: EvaluationOptions = OPTIONS, **more: Any
) -> Evaluation:
    return evaluate_model(
        model_dir,
        test_path,
        scores_path=out / "scores.json",
        predictions_path=out / "predictions.jsonl",
        report_path=out / "report.html",
        options=options,
        **more,
    )


@pytest.fixture(scope="module")
def evaluated(
    tmp_path_factory: pytest.TempPathFactory, tuned_dir: Path, base_dir: Path, test_path: Path
) -> tuple[Evaluation, Path]:
    out = tmp_path_factory.mktemp("out")
    champion = write_tuned(out / "champion", base_dir, seed=2)
    return run(out, tuned_dir, test_path, champion_uri=str(champion)), out


def test_what_was_left_out_is_said_in_scores_report_and_summary(
    tmp_path: Path, base_dir: Path, test_path: Path
) -> None:
    model = write_tuned(tmp_path / "model", base_dir, seed=3)
    record = json.loads((model / "training.json").read_text())
    record["caps"] = ["600 of 1,480 examples were kept (dataset.max_examples)"]
    (model / "training.json").write_text(json.dumps(record))
    write_manifest(model)
    options = OPTIONS.model_copy(update={"max_examples": 5})

    evaluation = run(tmp_path, model, test_path, options, summary_path=tmp_path / "summary.md")

    dataset, scored = evaluation.caps
    assert dataset == record["caps"][0]
    assert scored.startswith("5 of ")
    for name in ("scores.json", "report.html", "summary.md"):
        text = (tmp_path / name).read_text()
        assert dataset in text, name
        assert "(evaluation.max_examples)" in text, name


def test_a_run_that_left_nothing_out_says_nothing_of_it(
    evaluated: tuple[Evaluation, Path],
) -> None:
    assert evaluated[0].caps == ()
    assert "capped" not in (evaluated[1] / "report.html").read_text()


def test_every_metric_of_every_model_has_a_value_and_an_interval(
    evaluated: tuple[Evaluation, Path],
) -> None:
    scores = evaluated[0].scores
    for metric in METRICS_EXPECTED:
        for model in ("base", "tuned", "champion"):
            name = f"{metric}_{model}"
            assert scores[f"{name}_low"] <= scores[name] <= scores[f"{name}_high"]
        for gain in (f"{metric}_gain", f"{metric}_champion_gain"):
            assert scores[f"{gain}_low"] <= scores[gain] <= scores[f"{gain}_high"]


def test_the_gain_in_perplexity_is_the_share_by_which_it_falls(
    evaluated: tuple[Evaluation, Path],
) -> None:
    scores = evaluated[0].scores
    expected = 1 - scores["perplexity_tuned"] / scores["perplexity_base"]
    assert scores["perplexity_gain"] == pytest.approx(expected)


def test_the_scores_file_holds_the_verdict_and_the_same_numbers(
    evaluated: tuple[Evaluation, Path],
) -> None:
    evaluation, out = evaluated
    stored = json.loads((out / "scores.json").read_text())
    assert stored["scores"] == evaluation.scores
    assert (stored["passed"], stored["outcome"]) == (evaluation.passed, evaluation.outcome)
    assert stored["test_digest"] == evaluation.test_digest
    assert stored["examples"] == 12


def test_every_answer_is_kept_with_its_reference(evaluated: tuple[Evaluation, Path]) -> None:
    lines = (evaluated[1] / "predictions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["index"] for row in rows] == list(range(12))
    assert set(rows[0]["answers"]) == {"base", "tuned", "champion"}
    assert rows[0]["reference"].startswith("Part 0")
    assert rows[0]["answers"]["tuned"]["completion_tokens"] <= 8


def test_the_report_opens_with_the_verdict_and_needs_no_network(
    evaluated: tuple[Evaluation, Path],
) -> None:
    page = (evaluated[1] / "report.html").read_text()
    parts = ("verdict", "metrics", "differences-title", "slices", "examples-title", "made-title")
    places = [page.index(f'id="{part}"') for part in parts]
    assert places == sorted(places)
    assert "http://" not in page
    assert "https://" not in page
    assert "src=" not in page


def test_what_a_model_or_document_says_is_never_markup(tmp_path: Path, tuned_dir: Path) -> None:
    rows = [make_row(number) for number in range(3)]
    rows[0]["messages"][0]["content"] = "<script>alert(1)</script>"
    rows[1]["passage"] = "</p><img src=x onerror=alert(1)>"
    run(tmp_path, tuned_dir, write_rows(tmp_path / "test.jsonl", rows))
    page = (tmp_path / "report.html").read_text()
    assert "<script>alert" not in page
    assert "<img" not in page


def test_the_same_inputs_give_the_same_scores(
    tmp_path: Path, tuned_dir: Path, test_path: Path
) -> None:
    first, second = (run(tmp_path / name, tuned_dir, test_path).scores for name in "ab")
    timed = ("latency", "tokens_per_second")
    assert {k: v for k, v in first.items() if not k.startswith(timed)} == {
        k: v for k, v in second.items() if not k.startswith(timed)
    }


def test_batch_size_does_not_change_the_answers(
    tmp_path: Path, tuned_dir: Path, test_path: Path
) -> None:
    texts = []
    for size in (1, 5):
        options = OPTIONS.model_copy(update={"batch_size": size})
        run(tmp_path, tuned_dir, test_path, options)
        lines = (tmp_path / "predictions.jsonl").read_text().splitlines()
        texts.append([json.loads(line)["answers"]["tuned"]["text"] for line in lines])
    assert texts[0] == texts[1]


def test_a_model_against_itself_is_a_tie(tmp_path: Path, base_dir: Path, test_path: Path) -> None:
    twin = write_tuned(tmp_path / "twin", base_dir, seed=0)
    evaluation = run(tmp_path, twin, test_path)
    assert evaluation.scores["token_f1_gain_low"] == evaluation.scores["token_f1_gain_high"] == 0
    assert (evaluation.outcome, evaluation.passed) == ("tie", False)
    assert evaluation.scores["perplexity_gain"] == 0


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        ("no training.json", "has no training.json"),
        ("bad training.json", "cannot be read"),
        ("no base", 'does not name its "base_model"'),
        ("no weights", "config.json is missing"),
        ("no manifest", "so it is incomplete"),
        ("no champion", "is not a folder"),
    ],
)
def test_a_broken_model_folder_is_one_plain_line(
    tmp_path: Path, base_dir: Path, test_path: Path, breakage: str, message: str
) -> None:
    folder = tmp_path / "model-dir"
    (folder / "model").mkdir(parents=True)
    record = folder / "training.json"
    if breakage != "no training.json":
        record.write_text(json.dumps({"base_model": str(base_dir)}))
    if breakage == "bad training.json":
        record.write_text("{")
    if breakage == "no base":
        record.write_text("{}")
    champion = ""
    if breakage != "no manifest":
        write_manifest(folder)
    if breakage == "no champion":
        (folder / "model" / "config.json").write_text("{}")
        write_manifest(folder)
        champion = str(tmp_path / "nowhere")
    with pytest.raises(DoctuneError, match=message) as raised:
        run(tmp_path / "out", folder, test_path, champion_uri=champion)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_further_models_are_compared_and_do_not_decide(
    tmp_path: Path, tuned_dir: Path, base_dir: Path, test_path: Path
) -> None:
    rival = write_tuned(tmp_path / "rival", base_dir, seed=3)
    alone = run(tmp_path / "a", tuned_dir, test_path)
    beside = run(tmp_path / "b", tuned_dir, test_path, with_others(rival=rival))
    assert beside.scores["perplexity_rival"] > 0
    assert "rouge_l_rival_gain_low" in beside.scores
    assert (alone.outcome, alone.reason) == (beside.outcome, beside.reason)


def with_others(**models: Path) -> EvaluationOptions:
    return OPTIONS.model_copy(update={"others": {name: str(path) for name, path in models.items()}})


@pytest.mark.parametrize("name", ["base", "champion", "Two Words"])
def test_a_further_model_cannot_take_a_reserved_name(
    tmp_path: Path, tuned_dir: Path, test_path: Path, name: str
) -> None:
    with pytest.raises(UsageError, match="cannot name a further model"):
        run(tmp_path, tuned_dir, test_path, with_others(**{name: tuned_dir}))


def test_a_test_set_that_leaks_is_refused_with_the_example_shown(
    tmp_path: Path, tuned_dir: Path, test_path: Path
) -> None:
    train = write_rows(tmp_path / "train.jsonl", [make_row(40), make_row(41), make_row(5)])
    with pytest.raises(EvaluationError, match="The test set leaks") as raised:
        run(tmp_path / "out", tuned_dir, test_path, train_path=train)
    assert make_row(5)["messages"][0]["content"] in str(raised.value)
    assert "train.jsonl, line 3" in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_the_summary_says_verdict_and_numbers_in_markdown(
    tmp_path: Path, tuned_dir: Path, test_path: Path
) -> None:
    run(tmp_path, tuned_dir, test_path, summary_path=tmp_path / "summary.md")
    text = (tmp_path / "summary.md").read_text()
    assert text.startswith("**Answers ")
    assert "| **Perplexity** |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1


def test_semantic_similarity_is_measured_where_the_encoder_is_installed(
    tmp_path: Path, tuned_dir: Path, test_path: Path
) -> None:
    options = OPTIONS.model_copy(update={"semantic_similarity": True})
    scores = run(tmp_path, tuned_dir, test_path, options).scores
    assert ("similarity_tuned" in scores) == (encoder_folder() is not None)


def test_the_engine_that_serves_is_judged_beside_the_model_in_full_precision(
    tmp_path: Path, tuned_dir: Path, test_path: Path
) -> None:
    # OpenVINO reads this model.
    options = OPTIONS.model_copy(update={"engine": "auto", "general_prompts": False})

    evaluation = run(tmp_path, tuned_dir, test_path, options)

    stored = json.loads((tmp_path / "scores.json").read_text())
    assert evaluation.engine == "openvino"
    assert stored["models"] == ["base", "tuned", "native"]
    assert stored["provenance"]["engine of the tuned model's answers"] == "openvino"
    # One model: what it thinks of the references is the same, what it answers may differ.
    assert evaluation.scores["perplexity_tuned"] == evaluation.scores["perplexity_native"]
    assert "answer_accuracy" in stored["gains"]["native"]
    rows = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert set(rows[0]["answers"]) == {"base", "tuned", "native"}
