"""The log of an experiment, and a platform that only notes what is asked of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from doctune.database.feedback import NewFeedback, keep_feedback
from doctune.database.predictions import write_predictions
from doctune.experiments.plan import ArmPlan, Plan
from tests.database.rows import prediction_row

NOW = datetime.now(UTC)


class Log:
    """Writes the log of an experiment."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._moment = NOW

    def ask(self, arm: str | None, unit: str, exposure: str | None = "given", **more: Any) -> str:
        self._moment += timedelta(milliseconds=1)
        at = more.pop("at", self._moment)
        experiment = "tone" if arm else None
        row = prediction_row(
            at=at, experiment=experiment, arm=arm, unit=unit, exposure=exposure, **more
        )
        write_predictions(self.engine, [row])
        return row["id"]

    def say(self, prediction: str, kind: str, user: str = "u", **value: Any) -> None:
        said = NewFeedback(
            prediction_id=prediction,
            predicted_at=self._moment,
            key_id="key1",
            owner="ana",
            end_user=user,
            kind=kind,
            value=value,
            reason=None,
            source="end_user",
            idempotency_key=None,
        )
        keep_feedback(self.engine, said)


def fill(log: Log, control: float, treatment: float, users: int = 150) -> None:
    for arm, share in (("control", control), ("treatment", treatment)):
        for number in range(users):
            row = log.ask(arm, f"{arm}{number}")
            log.say(row, "rating", rating="up" if number < share * users else "down")


class Recording:
    """A platform that notes what is asked of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def prepare(self, plan: Plan, arm: ArmPlan) -> str:
        self.calls.append(f"prepare {arm.name}")
        return f"vertex:{arm.name}"

    def promote(self, plan: Plan, arm: ArmPlan) -> None:
        self.calls.append(f"promote {arm.name}")

    def remove(self, plan: Plan) -> None:
        self.calls.append("remove")
