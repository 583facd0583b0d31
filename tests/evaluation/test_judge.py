"""The judge: both orders, ties, the rubric, and Gemini's wire proved against a local server."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from doctune.errors import EvaluationError
from doctune.evaluation.judge import (
    GeminiJudge,
    Winner,
    draw_over_documents,
    judge_samples,
    preferences,
)
from doctune.evaluation.options import JudgeOptions
from doctune.evaluation.test_set import Example
from tests.evaluation.fake_gemini import (
    TOKEN,
    FakeGemini,
    fake_gemini,
    parts_of,
    write_credentials,
)
from tests.evaluation.test_evaluator import OPTIONS, run

MODEL = "gemini-2.5-flash"


def example(passage: str = "The tank holds 40 litres.") -> Example:
    return Example(
        index=0,
        prompt=({"role": "user", "content": "How much does the tank hold?"},),
        reference="40 litres.",
        kind="",
        passage=passage,
        source={},
    )


class FirstPlaceJudge:
    """Likes whatever stands first, as judges do."""

    def better(self, example: Example, first: str, second: str) -> Winner | None:
        return "first"

    def faithful(self, example: Example, answer: str) -> float | None:
        return 1.0


class LongestJudge(FirstPlaceJudge):
    """Likes the longer answer."""

    def better(self, example: Example, first: str, second: str) -> Winner | None:
        if len(first) == len(second):
            return "tie"
        return "first" if len(first) > len(second) else "second"


def test_a_judge_that_favours_a_place_gives_no_preference() -> None:
    assert preferences(FirstPlaceJudge(), [example()], ["a"], ["b"]) == [0.5]


def test_a_preference_in_both_orders_is_whole_and_equal_answers_are_even() -> None:
    judged = preferences(
        LongestJudge(), [example()] * 4, ["aa", "a", "aa", "x"], ["b", "bb", "bb", "x"]
    )
    assert judged == [1.0, 0.0, 0.5, 0.5]


def test_what_a_judge_gave_no_judgement_on_is_left_out() -> None:
    class SilentJudge(FirstPlaceJudge):
        def better(self, example: Example, first: str, second: str) -> Winner | None:
            return None

    assert preferences(SilentJudge(), [example()], ["a"], ["b"]) == [None]


def test_what_is_judged_is_drawn_by_seed_over_the_documents() -> None:
    """A file is in the order of its documents: its first lines are of one."""
    examples = [
        replace(example(), index=number, source={"file": f"{number // 30}.pdf"})
        for number in range(120)
    ]
    drawn = draw_over_documents(examples, 12, seed=1)
    assert Counter(number // 30 for number in drawn) == {0: 3, 1: 3, 2: 3, 3: 3}
    assert drawn == draw_over_documents(examples, 12, seed=1)
    assert drawn != draw_over_documents(examples, 12, seed=2)
    assert draw_over_documents(examples, 500, seed=1) == list(range(120))


def test_samples_hold_both_sides_and_leave_out_what_was_not_judged() -> None:
    answers = {"base": ["b"] * 3, "tuned": ["aa"] * 3}
    found = judge_samples(LongestJudge(), [example()] * 3, answers, most=2)
    assert found["base"]["tuned"]["judge"].value == 1
    assert found["base"]["base"]["judge"].value == 0
    assert found["base"]["tuned"]["judge"].addends[:, 1].sum() == 2


@pytest.fixture
def gemini(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGemini]:
    """A Gemini that prefers the answer with "40" in it, and marks it 9 of 10."""

    def answer(prompt: str) -> str:
        parts = parts_of(prompt)
        if "answer" in parts:
            return json.dumps({"reason": "", "mark": 9 if "40" in parts["answer"] else 1})
        has = ["40" in parts["first"], "40" in parts["second"]]
        better = "tie" if has[0] == has[1] else "first" if has[0] else "second"
        return json.dumps({"reason": "the passage says so", "better": better})

    for variable in ("GOOGLE_GENAI_USE_VERTEXAI", "GEMINI_API_KEY", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    with fake_gemini(answer) as fake:
        monkeypatch.setenv("GOOGLE_API_KEY", "not-a-real-key")
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.address)
        yield fake


def test_gemini_is_asked_in_both_orders_with_rubric_passage_and_schema(gemini: FakeGemini) -> None:
    judge = GeminiJudge(JudgeOptions(model=MODEL))
    assert preferences(judge, [example()], ["It holds 40 litres."], ["It is blue."]) == [1.0]
    assert gemini.paths == [f"/v1beta/models/{MODEL}:generateContent"] * 2
    assert gemini.headers[0]["x-goog-api-key"] == "not-a-real-key"
    prompts = [request["contents"][0]["parts"][0]["text"] for request in gemini.requests]
    assert [parts_of(prompt)["first"] for prompt in prompts] == [
        "It holds 40 litres.",
        "It is blue.",
    ]
    assert parts_of(prompts[0])["passage"] == "The tank holds 40 litres."
    assert "A wrong number" in prompts[0]
    configuration = gemini.requests[0]["generationConfig"]
    assert configuration["temperature"] == 0
    assert configuration["responseMimeType"] == "application/json"
    assert configuration["responseSchema"]["properties"]["better"]["enum"] == [
        "first",
        "second",
        "tie",
    ]


@pytest.fixture
def vertex_gemini(
    gemini: FakeGemini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FakeGemini:
    """The same Gemini behind Vertex AI's API, for which a service account's tokens are needed."""
    credentials = write_credentials(tmp_path / "account.json", gemini.address)
    monkeypatch.delenv("GOOGLE_API_KEY")
    monkeypatch.delenv("GOOGLE_GEMINI_BASE_URL")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "judging")
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "us-central1")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(credentials))
    monkeypatch.setenv("GOOGLE_VERTEX_BASE_URL", gemini.address)
    return gemini


def test_gemini_of_vertex_ai_is_asked_the_same_with_the_projects_credentials(
    vertex_gemini: FakeGemini,
) -> None:
    judge = GeminiJudge(JudgeOptions(model=MODEL))
    assert preferences(judge, [example()], ["It is blue."], ["It holds 40 litres."]) == [0.0]
    assert judge.faithful(example(), "40 litres") == 0.9
    place = "projects/judging/locations/us-central1/publishers/google"
    assert [path.partition("/projects")[0] for path in vertex_gemini.paths] == ["/v1beta1"] * 3
    assert all(
        path.endswith(f"/{place}/models/{MODEL}:generateContent") for path in vertex_gemini.paths
    )
    for headers in vertex_gemini.headers:
        assert headers["authorization"] == f"Bearer {TOKEN}"
        assert "x-goog-api-key" not in headers
    configuration = vertex_gemini.requests[0]["generationConfig"]
    assert configuration["responseSchema"]["required"] == ["reason", "better"]
    assert (configuration["temperature"], configuration["seed"]) == (0, 0)


@pytest.mark.parametrize("api", ["gemini", "vertex_gemini"])
def test_a_busy_gemini_of_either_api_is_asked_again(
    api: str, request: pytest.FixtureRequest
) -> None:
    fake: FakeGemini = request.getfixturevalue(api)
    fake.failures.append(503)
    judge = GeminiJudge(JudgeOptions(model=MODEL))
    assert judge.better(example(), "40", "no") == "first"
    assert len(fake.requests) == 2


def test_faithfulness_is_marked_from_0_to_1_and_needs_a_passage(gemini: FakeGemini) -> None:
    judge = GeminiJudge(JudgeOptions(model=MODEL))
    assert judge.faithful(example(), "40 litres") == 0.9
    assert judge.faithful(example(passage=""), "40 litres") is None
    assert len(gemini.requests) == 1


def test_a_rubric_of_the_teams_own_is_what_is_sent(gemini: FakeGemini, tmp_path: Path) -> None:
    rubric = tmp_path / "rubric.txt"
    rubric.write_text("Prefer the answer that names the part number.", encoding="utf-8")
    judge = GeminiJudge(JudgeOptions(model=MODEL, rubric=str(rubric)))
    judge.better(example(), "a", "b")
    text = gemini.requests[0]["contents"][0]["parts"][0]["text"]
    assert text.startswith("Prefer the answer that names the part number.")


def test_a_refusal_is_one_plain_line(gemini: FakeGemini) -> None:
    gemini.failures.append(403)
    judge = GeminiJudge(JudgeOptions(model=MODEL))
    with pytest.raises(EvaluationError, match="cannot be asked") as raised:
        judge.better(example(), "a", "b")
    assert "\n" not in str(raised.value)


def test_no_credentials_and_no_rubric_are_one_plain_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(EvaluationError, match="set GOOGLE_API_KEY"):
        GeminiJudge(JudgeOptions(model=MODEL))
    with pytest.raises(EvaluationError, match=r"rubric .* cannot be read"):
        GeminiJudge(JudgeOptions(model=MODEL, rubric=str(tmp_path / "none.txt")))


def test_what_is_not_json_is_asked_for_twice_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_gemini(lambda prompt: "I prefer the first.") as fake:
        monkeypatch.setenv("GOOGLE_API_KEY", "not-a-real-key")
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.address)
        judge = GeminiJudge(JudgeOptions(model=MODEL))
        assert judge.better(example(), "a", "b") is None
        assert len(fake.requests) == 2


def test_an_evaluation_reports_and_may_gate_on_the_judge(
    gemini: FakeGemini, tmp_path: Path, tuned_dir: Path, test_path: Path
) -> None:
    judge = JudgeOptions(model=MODEL, max_examples=3)
    options = OPTIONS.model_copy(update={"judge": judge, "primary_metric": "judge"})
    evaluation = run(tmp_path, tuned_dir, test_path, options)
    scores = evaluation.scores
    assert scores["judge_tuned"] == scores["judge_base"] == 0.5
    assert scores["judge_gain"] == 0
    assert "judge_faithfulness_tuned" in scores
    assert evaluation.outcome == "tie"
