"""The queue: what teaches most first, likes together, one reviewer an item, every act kept."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, update

from doctune.database.reviews import (
    NotYoursError,
    claim,
    decide,
    queue_page,
    release,
    review_detail,
)
from doctune.database.tables import ReviewItem
from tests.feedback.corpus import correct


def test_likes_stand_behind_one_another(engine: Engine) -> None:
    one = correct(engine, "How deep is the sill?", "140 mm", user="u1")
    other = correct(engine, "How wide is the gutter?", "125 mm", user="u1")
    like = correct(engine, "Please, how deep is a sill?", "140 mm", user="u2")
    page = [item.prediction_id for item in queue_page(engine, "ana", "eva", 10)]
    assert sorted(page) == sorted([one, other, like])
    assert abs(page.index(one) - page.index(like)) == 1
    assert queue_page(engine, "ben", "eva", 10) == []


def test_of_many_reviewers_at_once_one_gets_an_item(engine: Engine) -> None:
    prediction = correct(engine, "How deep is the sill?", "140 mm", user="u1")

    def take(number: int) -> str | None:
        with suppress(NotYoursError):
            claim(engine, "ana", f"r{number}", prediction)
            return f"r{number}"
        return None

    with ThreadPoolExecutor(8) as pool:
        got = [name for name in pool.map(take, range(16)) if name]
    assert len(got) == 1
    assert queue_page(engine, "ana", "somebody else", 10) == []
    assert len(queue_page(engine, "ana", got[0], 10)) == 1
    with pytest.raises(NotYoursError):
        decide(engine, "ana", "somebody else", prediction, state="rejected")


def test_who_went_away_or_gave_it_back_keeps_an_item_no_longer(engine: Engine) -> None:
    prediction = correct(engine, "How deep is the sill?", "140 mm", user="u1")
    claim(engine, "ana", "eva", prediction)
    with engine.begin() as connection:
        past = datetime.now(UTC) - timedelta(minutes=1)
        connection.execute(update(ReviewItem).values(claimed_until=past))
    with pytest.raises(NotYoursError):
        decide(engine, "ana", "eva", prediction, state="rejected")
    claim(engine, "ana", "max", prediction)
    release(engine, "ana", "max", prediction)
    claim(engine, "ana", "eva", prediction)


def test_every_act_is_kept_with_who_did_it(engine: Engine) -> None:
    prediction = correct(engine, "How deep is the sill?", "140 mm", user="u1")
    claim(engine, "ana", "eva", prediction)
    decide(engine, "ana", "eva", prediction, state="edited", answer="140 mm.", note="unit")
    detail = review_detail(engine, "ana", prediction)
    assert [(e.reviewer, e.action) for e in detail.events] == [("eva", "claim"), ("eva", "edited")]
    assert detail.events[1].details == {"answer": "140 mm.", "note": "unit"}
    assert detail.prediction is not None
    with pytest.raises(NotYoursError):
        claim(engine, "ana", "max", prediction)


def test_another_tenants_item_is_none(sqlite: Engine) -> None:
    prediction = correct(sqlite, "How deep is the sill?", "140 mm", user="u1")
    for act in (
        lambda: claim(sqlite, "ben", "eva", prediction),
        lambda: review_detail(sqlite, "ben", prediction),
    ):
        with pytest.raises(NotYoursError):
            act()


def test_an_item_is_merged_into_one_that_is_there(sqlite: Engine) -> None:
    one = correct(sqlite, "How deep is the sill?", "140 mm", user="u1")
    two = correct(sqlite, "Sill: how deep?", "140 mm", user="u2")
    claim(sqlite, "ana", "eva", two)
    with pytest.raises(NotYoursError):
        decide(sqlite, "ana", "eva", two, state="merged", merged_into="nothing")
    decide(sqlite, "ana", "eva", two, state="merged", merged_into=one)
    assert [item.prediction_id for item in queue_page(sqlite, "ana", "eva", 10)] == [one]
