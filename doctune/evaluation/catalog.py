"""The catalogue of metrics: title, range, direction, and how a gain is computed."""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["higher", "lower", "neither"]


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """The description of a metric. `relative` gains are shares of the opponent's value."""

    name: str
    title: str
    better: Direction
    meaning: str
    relative: bool = False
    digits: int = 3


def _info(name: str, title: str, better: Direction, meaning: str, **more: int) -> MetricInfo:
    return MetricInfo(
        name=name,
        title=title,
        better=better,
        meaning=meaning,
        relative=bool(more.get("relative")),
        digits=more.get("digits", 3),
    )


# In the order of reports.
METRICS: dict[str, MetricInfo] = {
    info.name: info
    for info in (
        _info(
            "answer_accuracy",
            "Answers right",
            "higher",
            "Share of questions that the product answers right, in its best way: from the "
            "documents where there is an index, else from memory. The base model answers in its "
            "own words from the same passages; 0 to 1.",
        ),
        _info(
            "answer_accuracy_grounded",
            "Answers right, in its own words",
            "higher",
            "The same in the model's own words from the passages that the index finds; 0 to 1.",
        ),
        _info(
            "answer_accuracy_oracle",
            "Answers right, from the true passage",
            "higher",
            "The same with the passage that has the answer: reading without retrieval; 0 to 1.",
        ),
        _info(
            "answer_accuracy_closed",
            "Answers right, from memory",
            "higher",
            "The same without any passage: what the model has learnt; 0 to 1.",
        ),
        _info(
            "cited_page",
            "Cited page right",
            "higher",
            "Share of right answers that cite a passage with the answer; 0 to 1.",
        ),
        _info(
            "unsupported",
            "Unsupported answers",
            "lower",
            "Share of answers from passages that no passage supports; 0 to 1.",
        ),
        _info(
            "refused_right",
            "Refused rightly",
            "higher",
            "Share of the questions without an answer that are refused; 0 to 1.",
        ),
        _info(
            "refused_wrong",
            "Refused wrongly",
            "lower",
            "Share of the questions with an answer that are refused; 0 to 1.",
        ),
        _info(
            "perplexity",
            "Perplexity",
            "lower",
            "How surprised the model is by the reference answers, token by token; 1 and up.",
            relative=1,
            digits=2,
        ),
        _info(
            "bits_per_byte",
            "Bits a byte",
            "lower",
            "The same per byte of text: comparable between tokenizers; 0 and up.",
            relative=1,
        ),
        _info(
            "token_f1",
            "Token F1",
            "higher",
            "Words that answer and reference share, as in SQuAD; 0 to 1.",
        ),
        _info("rouge_1", "ROUGE-1", "higher", "Words shared, F-measure; 0 to 1."),
        _info("rouge_2", "ROUGE-2", "higher", "Pairs of words shared, F-measure; 0 to 1."),
        _info(
            "rouge_l",
            "ROUGE-L",
            "higher",
            "Longest common subsequence of words, F-measure; 0 to 1.",
        ),
        _info(
            "exact_match",
            "Exact match",
            "higher",
            "Answers equal to the reference except for case, punctuation, articles; 0 to 1.",
        ),
        _info("chrf", "chrF", "higher", "Character n-grams shared; 0 to 100.", digits=1),
        _info("bleu", "BLEU", "higher", "Word n-grams up to four shared; 0 to 100.", digits=1),
        _info(
            "similarity",
            "Semantic similarity",
            "higher",
            "Cosine between sentence embeddings of answer and reference; -1 to 1.",
        ),
        _info(
            "faithfulness",
            "Faithfulness",
            "higher",
            "Share of what the answer adds to the question that is in the source passage; 0 to 1.",
        ),
        _info(
            "judge",
            "Judge",
            "higher",
            "A judge model's preference over the base model; 0 to 1, 0.5 is even.",
        ),
        _info(
            "judge_faithfulness",
            "Faithfulness, judged",
            "higher",
            "A judge model's rating of faithfulness to the source passage; 0 to 1.",
        ),
        _info(
            "general_perplexity",
            "General perplexity",
            "lower",
            "Perplexity on a fixed set of general prompts: catastrophic forgetting.",
            relative=1,
            digits=2,
        ),
        _info("refusal_rate", "Refusals", "lower", "Share of answers that decline to answer."),
        _info(
            "repetition_rate", "Repetitions", "lower", "Share of answers that repeat themselves."
        ),
        _info("answer_words", "Answer length", "neither", "Mean words of an answer.", digits=1),
        _info(
            "latency",
            "Latency",
            "lower",
            "Mean seconds from the start of an answer's batch to its end; depends on the machine.",
            relative=1,
        ),
    )
}

# Metrics that differ between runs with the same answers.
UNREPEATABLE = frozenset({"latency"})
