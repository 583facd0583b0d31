"""The quiz: asked from a real index, marked, and what the gate and the report make of it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from doctune.errors import EvaluationError
from doctune.evaluation.bootstrap import Bootstrap
from doctune.evaluation.grounding import IndexKnowledge
from doctune.evaluation.options import AnswerBounds, EvaluationOptions
from doctune.evaluation.questions import Question
from doctune.evaluation.quiz import Passage, Quiz, make_quiz
from doctune.evaluation.quiz_comparison import (
    compare_quiz,
    product_answers,
    question_slices,
    wrong_answers,
)
from doctune.evaluation.quiz_scores import QuizResult, is_supported, mark_all
from doctune.evaluation.score_card import ProductAnswers, ScoreCard
from doctune.evaluation.test_set import Example
from doctune.evaluation.verdict import decide
from doctune.knowledge import build_index
from tests.dataset.corpora import write_corpus
from tests.knowledge.conftest import manual, warranty

BOOTSTRAP = Bootstrap(resamples=300, confidence=0.95, seed=1)
ASKED = (
    Question(
        question="how often do i rinse the filter?",
        answer="Every 14 days with cold water.",
        key_facts=("14 days",),
        fact="The filter of the Arlo 3 is rinsed every 14 days",
        source="arlo-3-manual.pdf",
        page=1,
        kind="number",
    ),
    Question(
        question="is the motor covered, and for how long?",
        answer="Yes, for 36 months.",
        key_facts=("36 months",),
        fact="The motor is covered for 36 months.",
        source="warranty.pdf",
        page=1,
    ),
    Question(question="who painted the factory?", answer="Unknown.", expects="refusal"),
)


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> IndexKnowledge:
    folder = tmp_path_factory.mktemp("knowledge")
    write_corpus(folder / "documents", manual(), warranty())
    build_index(folder / "documents", folder / "index")
    return IndexKnowledge(folder / "index")


def write_questions(path: Path, questions: Sequence[Question] = ASKED) -> Path:
    path.write_text("".join(one.model_dump_json() + "\n" for one in questions), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def quiz(tmp_path_factory: pytest.TempPathFactory, knowledge: IndexKnowledge) -> Quiz:
    path = write_questions(tmp_path_factory.mktemp("quiz") / "questions.jsonl")
    return make_quiz([], questions_path=path, knowledge=knowledge)


def answered(quiz: Quiz, model: str, says: dict[tuple[str, int], str]) -> list[str]:
    prompts = quiz.prompts_for(model)
    return [says.get((prompt.way, prompt.item), "I do not know.") for prompt in prompts]


@pytest.fixture(scope="module")
def result(quiz: Quiz) -> QuizResult:
    tuned = {
        ("closed", 0): "Every 14 days.",
        ("closed", 1): "For 24 months.",
        ("grounded", 0): "Every 14 days [1].",
        ("grounded", 1): "For 48 months [1].",
        ("grounded", 2): "The documents do not say.",
        ("oracle", 0): "Every 14 days.",
        ("oracle", 1): "36 months.",
    }
    base = {("grounded", 2): "Ann Lee painted it [2]."}
    return mark_all(
        quiz, {"base": answered(quiz, "base", base), "tuned": answered(quiz, "tuned", tuned)}
    )


def test_a_capped_quiz_says_so_and_keeps_the_share_of_refusals(
    tmp_path: Path, knowledge: IndexKnowledge
) -> None:
    path = write_questions(tmp_path / "questions.jsonl", ASKED * 4)
    capped = make_quiz([], questions_path=path, knowledge=knowledge, max_questions=6, seed=3)
    expected = [item.question.expects for item in capped.items]
    assert (expected.count("answer"), expected.count("refusal")) == (4, 2)
    assert capped.caps == ("6 of 12 questions were asked (evaluation.max_questions)",)


def test_the_passages_shown_are_those_that_the_index_finds(quiz: Quiz) -> None:
    first = next(p for p in quiz.prompts if p.way == "grounded" and p.item == 0)
    assert "rinsed every 14 days" in first.messages[-1]["content"]
    assert first.messages[-1]["content"].endswith("Question: how often do i rinse the filter?")
    truth = quiz.items[1].truth
    assert truth is not None
    assert "36 months" in truth.text
    assert not any(prompt.way == "oracle" and prompt.item == 2 for prompt in quiz.prompts)


def test_each_way_of_asking_has_its_accuracy(result: QuizResult) -> None:
    tuned = {name: sample.value for name, sample in result.samples("tuned").items()}
    # A refusal is right where the documents do not say, from memory too.
    assert tuned["answer_accuracy_closed"] == pytest.approx(2 / 3)
    assert tuned["answer_accuracy_grounded"] == pytest.approx(2 / 3)
    assert tuned["answer_accuracy_oracle"] == 1
    assert tuned["cited_page"] == 1
    assert tuned["unsupported"] == pytest.approx(1 / 2)
    assert tuned["refused_right"] == 1
    assert tuned["refused_wrong"] == 0
    base = {name: sample.value for name, sample in result.samples("base").items()}
    assert base["refused_wrong"] == 1
    assert base["refused_right"] == 0


def test_metrics_come_with_intervals_and_gains_and_quotation_beside_them(
    result: QuizResult,
) -> None:
    flat = compare_quiz(result, BOOTSTRAP).flat()
    assert flat["answer_accuracy_grounded_gain"] == pytest.approx(2 / 3)
    assert "answer_accuracy_grounded_tuned" in flat
    assert flat["recall_at_3_index"] == 1
    assert flat["answer_accuracy_grounded_quoted"] == 1
    assert "refused_wrong_quoted" in flat


def test_the_product_answers_in_the_way_that_is_right_more_often(result: QuizResult) -> None:
    product = product_answers(result, BOOTSTRAP)
    assert (product.answering, product.right, product.questions) == ("quote", 3, 3)
    assert product.sentence == "Answers 3 of 3 questions right (from the documents, by quotation)"
    assert wrong_answers(result) == []


def test_the_product_tells_what_each_way_is_worth_with_intervals(result: QuizResult) -> None:
    product = product_answers(result, BOOTSTRAP)
    assert {way.answering: way.right for way in product.ways} == {
        "quote": 3,
        "hybrid": 3,
        "model": 2,
    }
    assert all(way.low <= way.right / 3 <= way.high for way in product.ways)
    assert product.recall_at_3 == product.cited_page == product.refused_right == 1
    assert set(product.intervals) == {
        *("unsupported", "cited_page", "refused_right", "refused_wrong", "recall_at_3")
    }


def test_in_the_hybrid_way_the_model_speaks_where_its_passages_bear_it_out(
    quiz: Quiz, result: QuizResult
) -> None:
    answers = [one.text for one in result.by_way("tuned")["hybrid"]]
    assert answers[0] == "Every 14 days."  # its own words
    assert "36 months" in answers[1]  # 48 months stand nowhere, so it is quoted
    assert answers[2] == "The documents do not say."
    invents = {("grounded", 2): "Ann Lee painted it [1]."}
    invented = mark_all(quiz, {"tuned": answered(quiz, "tuned", invents)})
    assert invented.by_way("tuned")["hybrid"][2].grade.refused


def test_the_base_is_compared_by_its_own_words_from_the_same_passages(result: QuizResult) -> None:
    scores = compare_quiz(result, BOOTSTRAP).flat()
    assert scores["answer_accuracy_tuned"] == 1
    assert scores["answer_accuracy_base"] == scores["answer_accuracy_grounded_base"] == 0
    assert scores["answer_accuracy_gain"] == 1


def test_each_kind_of_question_is_a_slice(quiz: Quiz, result: QuizResult) -> None:
    kinds = [one.question.kind for one in quiz.items]
    slices = question_slices(result, BOOTSTRAP, min_examples=1)
    assert {part.value for part in slices} == {kind for kind in kinds if kind}
    assert all(part.gain("answer_accuracy") is not None for part in slices)


def test_without_an_index_the_product_answers_from_memory(tmp_path: Path) -> None:
    quiz = make_quiz([], questions_path=write_questions(tmp_path / "q.jsonl"), knowledge=None)
    says = {("closed", 0): "Every 90 days.", ("closed", 1): "36 months"}
    result = mark_all(quiz, {"tuned": answered(quiz, "tuned", says)})
    product = product_answers(result, BOOTSTRAP)
    assert product.sentence == "Answers 2 of 3 questions right (from memory)"
    ((number, marked),) = wrong_answers(result)
    assert number == 0
    assert marked.grade.missing == ("14 days",)


def test_questions_of_other_documents_are_not_asked(
    tmp_path: Path, knowledge: IndexKnowledge
) -> None:
    strange = [one.model_copy(update={"source": "other.pdf"}) for one in ASKED[:2]]
    path = write_questions(tmp_path / "q.jsonl", [*strange, ASKED[2]])
    quiz = make_quiz([example()], questions_path=path, knowledge=knowledge)
    assert [item.question.question for item in quiz.items] == ["When is the filter rinsed?"]
    assert "0 of 2 are about a file of this corpus" in quiz.note


def example() -> Example:
    return Example(
        index=0,
        prompt=({"role": "user", "content": "When is the filter rinsed?"},),
        reference="The filter is rinsed every 14 days.",
        kind="fact",
        passage="The filter of the Arlo 3 is rinsed every 14 days with cold water.",
        source={"file": "arlo-3-manual.pdf", "pages": [1]},
    )


def test_without_a_file_the_test_sets_own_questions_are_asked(knowledge: IndexKnowledge) -> None:
    quiz = make_quiz([example()], questions_path=None, knowledge=knowledge)
    (item,) = quiz.items
    assert item.question.key_facts == ("14 days",)
    assert item.truth is not None
    assert {prompt.way for prompt in quiz.prompts} == {"closed", "grounded", "oracle"}


@pytest.mark.parametrize(
    ("answer", "supported"),
    [
        ("Every 14 days with cold water.", True),
        ("Every 15 days with cold water.", False),
        ("Rinse it with PX-200.", False),
        ("Send it to a blacksmith in Denmark.", False),
    ],
)
def test_an_answer_stands_on_its_passages_or_not(answer: str, supported: bool) -> None:
    shown = [Passage(file="a.pdf", pages=(1,), text=example().passage)]
    assert is_supported(answer, "When is the filter rinsed?", shown) is supported


def product(**changes: object) -> ProductAnswers:
    values = {
        "answering": "model",
        "questions": 100,
        "right": 80,
        "grounded": True,
        "low": 0.7,
        "high": 0.9,
        "unsupported": 0.02,
        "refused_wrong": 0.03,
    }
    return ProductAnswers.model_validate({**values, **changes})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"right": 40}, "answers 40 of 100 questions right, less than the floor of 50 %"),
        ({"unsupported": 0.2}, "unsupported answers are 20 %, over the bound of 10 %"),
        ({"refused_wrong": 0.3}, "wrong refusals are 30 %, over the bound of 10 %"),
    ],
)
def test_a_product_below_the_floor_or_over_a_bound_is_not_released(
    changes: dict[str, object], reason: str
) -> None:
    verdict = decide(card(product(**changes)), EvaluationOptions(bounds=AnswerBounds()))
    assert verdict.outcome == "lose"
    assert reason in verdict.reason.lower()


def test_a_product_within_its_bounds_is_released_by_the_primary_metric() -> None:
    assert decide(card(product()), EvaluationOptions(bounds=AnswerBounds())).passed
    low = card(product(right=40))
    assert decide(low, EvaluationOptions(bounds=None)).passed
    memory = card(product(right=40, grounded=False))
    assert decide(memory, EvaluationOptions(bounds=AnswerBounds())).passed


def card(answers: ProductAnswers) -> ScoreCard:
    gain = {"value": 0.2, "low": 0.1, "high": 0.3, "p": 0.0, "p_corrected": 0.0}
    return ScoreCard.model_validate(
        {
            "primary_metric": "answer_accuracy",
            "confidence": 0.95,
            "examples": 50,
            "test_digest": "",
            "models": ("base", "tuned"),
            "created": "",
            "scores": {},
            "gains": {"base": {"answer_accuracy": gain}},
            "product": answers.model_dump(),
        }
    )


def test_changed_questions_are_not_mistaken_for_those_of_the_run(
    tmp_path: Path, tuned_dir: Path, test_path: Path
) -> None:
    from tests.evaluation.test_evaluator import OPTIONS, run

    questions = write_questions(tmp_path / "q.jsonl")
    options = OPTIONS.model_copy(update={"questions": str(questions), "questions_digest": "0" * 64})
    with pytest.raises(EvaluationError, match="has changed since the run began"):
        run(tmp_path, tuned_dir, test_path, options)
