"""Rates of bad answers, with intervals, by what an answer was given by and when."""

from datetime import timedelta

from sqlalchemy import Engine

from doctune.database.feedback_rows import read_feedback
from doctune.feedback.analysis import analyse, live_rates
from doctune.feedback.collect import FeedbackAuthor, keep
from doctune.feedback.request import FeedbackRequest
from tests.database.rows import NOW, write_prediction
from tests.feedback.corpus import KEEPING

MODEL = "projects/p/locations/l/models/1"


def rate(engine: Engine, version: str, *ratings: str, weeks: int = 0, user: str = "u") -> None:
    """Somebody rates an answer of a version each time."""
    for rating in ratings:
        prediction = write_prediction(
            engine, at=NOW + timedelta(weeks=weeks), model_version=f"{MODEL}@{version}"
        )
        request = FeedbackRequest(prediction_id=prediction, kind="rating", rating=rating, user=user)
        keep(engine, KEEPING, FeedbackAuthor("key1", "ana"), request)


def test_live_rates_are_by_version_and_week_with_intervals(sqlite: Engine) -> None:
    rate(sqlite, "1", "down", "down", "up")
    rate(sqlite, "2", "up", "up", weeks=1)
    rate(sqlite, "1", "down", weeks=1)

    found = live_rates(read_feedback(sqlite), MODEL)

    assert [(one.version, one.week, one.bad, one.of) for one in found] == [
        ("1", "2026-W49", 2, 3),
        ("1", "2026-W50", 1, 1),
        ("2", "2026-W50", 0, 2),
    ]
    assert all(one.low <= one.bad / one.of <= one.high for one in found)
    assert found[2].high < 0.7


def test_live_rates_are_of_one_model(sqlite: Engine) -> None:
    rate(sqlite, "1", "down")
    assert live_rates(read_feedback(sqlite), "projects/p/locations/l/models/2") == []
    assert len(live_rates(read_feedback(sqlite), "")) == 1


def test_an_analysis_counts_a_persons_opinions_of_one_answer_once(sqlite: Engine) -> None:
    rate(sqlite, "1", "down", "up")
    prediction = next(read_feedback(sqlite)).prediction_id
    request = FeedbackRequest(
        prediction_id=prediction, kind="correction", correction="140 mm", user="u"
    )
    keep(sqlite, KEEPING, FeedbackAuthor("key1", "ana"), request)

    found = analyse(read_feedback(sqlite))

    assert (found.items, found.opinions) == (3, 2)
    assert found.kinds == {"correction": 1, "rating": 2}
    assert (found.overall.bad, found.overall.of) == (1, 2)
