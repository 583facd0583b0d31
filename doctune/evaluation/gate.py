"""Replays a release policy on stored scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from doctune.evaluation.options import EvaluationOptions
from doctune.evaluation.score_card import ScoreCard, read_card
from doctune.evaluation.verdict import Verdict, decide


@dataclass(frozen=True, kw_only=True)
class Replay:
    """The original verdict on the scores, and that of the replayed policy."""

    card: ScoreCard
    verdict: Verdict

    @property
    def changed(self) -> bool:
        """Whether the policy decides differently from the original verdict."""
        return self.verdict.passed != self.card.passed

    def lines(self) -> list[str]:
        """Returns the replay as text lines: the verdict, then every rule."""
        signs = {"win": "holds ", "tie": "open  "}
        before = self.card.outcome or "not decided"
        return [
            f"{self.verdict.outcome}: {self.verdict.reason}",
            f"When the scores were made: {before}{' (now different)' if self.changed else ''}.",
            *(
                f"  {signs.get(check.outcome, 'broken')} {check.rule}: {check.text}."
                for check in self.verdict.checks
            ),
        ]


def replay_gate(scores_path: Path, options: EvaluationOptions) -> Replay:
    """Applies a policy to a `scores.json`; nothing is recomputed or changed.

    Raises:
        EvaluationError: The file is missing or not in the documented form.
    """
    card = read_card(scores_path)
    return Replay(card=card, verdict=decide(card, options))
