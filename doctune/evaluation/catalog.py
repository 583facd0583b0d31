"""What each metric is: its title, its range, which way is better, how a gain is counted."""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["higher", "lower"]


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """One metric as people read it. `relative` gains are shares of the opponent's value."""

    name: str
    title: str
    better: Direction
    relative: bool = False
    digits: int = 3
    meaning: str = ""


METRICS: dict[str, MetricInfo] = {
    info.name: info
    for info in (
        MetricInfo(
            name="perplexity",
            title="Perplexity",
            better="lower",
            relative=True,
            digits=2,
            meaning="How surprised the model is by the reference answers, token by token.",
        ),
        MetricInfo(
            name="token_f1",
            title="Token F1",
            better="higher",
            meaning="Words that answer and reference share, SQuAD's way; 0 to 1.",
        ),
        MetricInfo(
            name="rouge_l",
            title="ROUGE-L",
            better="higher",
            meaning="Longest common subsequence of words, F-measure; 0 to 1.",
        ),
        MetricInfo(
            name="exact_match",
            title="Exact match",
            better="higher",
            meaning="Answers equal to the reference but for case, punctuation, articles; 0 or 1.",
        ),
        MetricInfo(
            name="chrf",
            title="chrF",
            better="higher",
            digits=1,
            meaning="Character n-grams that answer and reference share; 0 to 100.",
        ),
    )
}
