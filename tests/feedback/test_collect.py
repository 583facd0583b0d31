"""Feedback of every kind is kept with all its versions, and queues the answer for review."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from doctune.database.feedback import IdempotencyError, NoSuchPredictionError
from doctune.database.feedback_rows import FeedbackFilter, read_feedback
from doctune.database.tables import Feedback, ReviewItem
from doctune.database.usage import forget_user
from doctune.errors import UsageError
from doctune.feedback.collect import FeedbackAuthor, StorageRules, keep
from doctune.feedback.request import LABELS, FeedbackRequest
from tests.database.rows import prediction_id, write_prediction

ANA = FeedbackAuthor("key1", "ana")
KEEPING = StorageRules(lambda text: text, lambda name: name, LABELS)


def say(engine: Engine, prediction: str, sayer: FeedbackAuthor = ANA, **fields: Any) -> str:
    request = FeedbackRequest.model_validate({"prediction_id": prediction, **fields})
    return keep(engine, KEEPING, sayer, request)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"kind": "rating", "rating": "down"}, {"rating": "down"}),
        ({"kind": "rating", "rating": 4}, {"rating": 4}),
        ({"kind": "correction", "correction": "100 mm"}, {"correction": "100 mm"}),
        ({"kind": "comment", "comment": "no"}, {"comment": "no"}),
        ({"kind": "label", "label": "wrong"}, {"label": "wrong"}),
        (
            {"kind": "label", "label": "faithfulness", "score": 0.2, "source": "program"},
            {"label": "faithfulness", "score": 0.2},
        ),
        (
            {"kind": "preference", "preference": {"better": "other", "other_answer": "100 mm"}},
            {"preference": {"better": "other", "other_answer": "100 mm"}},
        ),
    ],
)
def test_every_kind_is_kept(engine: Engine, said: dict, kept: dict) -> None:
    prediction = write_prediction(engine)
    say(engine, prediction, **said)
    (row,) = read_feedback(engine)
    assert (row.kind, row.value, row.version) == (said["kind"], kept, 1)
    assert (row.question, row.answer) == ("How deep is the sill?", "90 mm")


def test_a_preference_between_two_predictions_needs_both_to_be_the_owners(engine: Engine) -> None:
    one, two = write_prediction(engine), write_prediction(engine, "How deep?", "100 mm")
    foreign = write_prediction(engine, owner="ben")
    better = {"better": "other", "other_prediction_id": two}
    say(engine, one, kind="preference", preference=better)
    for missing in (foreign, prediction_id(), "nonsense"):
        with pytest.raises(NoSuchPredictionError):
            say(
                engine, one, kind="preference", preference=better | {"other_prediction_id": missing}
            )


@pytest.mark.parametrize(
    "preference",
    [
        {"better": "other"},
        {"better": "other", "other_answer": "a", "other_prediction_id": "b"},
        {"better": "best", "other_answer": "a"},
    ],
)
def test_a_preference_without_exactly_one_other_is_refused(preference: dict) -> None:
    with pytest.raises(ValueError, match="preference"):
        FeedbackRequest.model_validate(
            {"prediction_id": "p", "kind": "preference", "preference": preference}
        )


def test_a_label_that_is_not_on_the_list_is_refused_with_the_list(sqlite: Engine) -> None:
    prediction = write_prediction(sqlite)
    with pytest.raises(UsageError, match="wrong"):
        say(sqlite, prediction, kind="label", label="meh")


def test_whoever_changes_their_mind_leaves_every_version(engine: Engine) -> None:
    prediction = write_prediction(engine)
    for rating in ("down", "up", "down"):
        say(engine, prediction, kind="rating", rating=rating, user="u1")
    say(engine, prediction, kind="rating", rating="up", user="u2")
    everything = list(read_feedback(engine, FeedbackFilter(all_versions=True)))
    assert sorted((row.end_user, row.version) for row in everything) == [
        *(("u1", version) for version in (1, 2, 3)),
        ("u2", 1),
    ]
    last = {row.end_user: row.value["rating"] for row in read_feedback(engine)}
    assert last == {"u1": "down", "u2": "up"}


def test_versions_said_at_once_get_numbers_of_their_own(engine: Engine) -> None:
    prediction = write_prediction(engine)
    with ThreadPoolExecutor(8) as pool:
        said = [
            pool.submit(say, engine, prediction, kind="rating", rating=1 + number % 5, user="u")
            for number in range(16)
        ]
        assert len({one.result(30) for one in said}) == 16
    with Session(engine) as session:
        versions = session.scalars(select(Feedback.version).order_by(Feedback.version)).all()
    assert versions == list(range(1, 17))


def test_an_idempotency_key_keeps_one_and_refuses_another_content(engine: Engine) -> None:
    prediction = write_prediction(engine)
    same = {"kind": "rating", "rating": "down", "idempotency_key": "k"}
    assert say(engine, prediction, **same) == say(engine, prediction, **same)
    with pytest.raises(IdempotencyError):
        say(engine, prediction, **same | {"rating": "up"})


def test_an_unknown_or_foreign_prediction_is_refused(engine: Engine) -> None:
    foreign = write_prediction(engine, owner="ben")
    for prediction in (foreign, prediction_id(), "nonsense"):
        with pytest.raises(NoSuchPredictionError):
            say(engine, prediction, kind="rating", rating="up")


def queued(engine: Engine) -> list[ReviewItem]:
    with Session(engine) as session:
        return list(session.scalars(select(ReviewItem).order_by(ReviewItem.priority.desc())))


def test_what_people_blame_is_queued_the_worst_first(sqlite: Engine) -> None:
    praised, blamed, corrected, doubted = (
        write_prediction(sqlite, f"Question {word}?") for word in ("one", "two", "three", "four")
    )
    say(sqlite, praised, kind="rating", rating="up")
    say(sqlite, blamed, kind="rating", rating="down")
    say(sqlite, corrected, kind="rating", rating="down")
    say(sqlite, corrected, kind="correction", correction="100 mm")
    say(sqlite, doubted, kind="label", label="faithfulness", score=0.4, source="program")
    assert [item.prediction_id for item in queued(sqlite)] == [corrected, blamed, doubted]


def test_who_takes_the_blame_back_empties_the_queue(sqlite: Engine) -> None:
    prediction = write_prediction(sqlite)
    say(sqlite, prediction, kind="rating", rating="down", user="u")
    assert len(queued(sqlite)) == 1
    say(sqlite, prediction, kind="rating", rating="up", user="u")
    assert queued(sqlite) == []


def test_disagreement_is_marked_and_like_questions_share_a_cluster(sqlite: Engine) -> None:
    one = write_prediction(sqlite, "How deep is the sill?")
    two = write_prediction(sqlite, "what is the depth of sill, how deep")
    three = write_prediction(sqlite, "Please, how deep is a sill?")
    for prediction in (one, two, three):
        say(sqlite, prediction, kind="rating", rating="down", user="a")
    say(sqlite, one, kind="rating", rating="up", user="b")
    found = {item.prediction_id: item for item in queued(sqlite)}
    assert found[one].disagreement
    assert not found[two].disagreement
    assert found[one].cluster == found[three].cluster != found[two].cluster


def test_an_erased_person_leaves_no_feedback_and_no_review(engine: Engine) -> None:
    prediction = write_prediction(engine)
    say(engine, prediction, kind="correction", correction="my own words", user="u1")
    assert forget_user(engine, "u1") == (0, 1, 0)
    with Session(engine) as session:
        assert session.scalar(select(func.count()).select_from(Feedback)) == 0
        assert session.scalar(select(func.count()).select_from(ReviewItem)) == 0
