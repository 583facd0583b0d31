"""The options of data set preparation."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DatasetOptions(BaseModel):
    """Settings of `prepare_dataset`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chunk_tokens: int = Field(
        256,
        ge=32,
        le=4096,
        description="Maximum number of tokens of a chunk, by the base model's tokenizer.",
    )
    answer_tokens: int = Field(
        80,
        ge=16,
        le=1024,
        description="Target maximum of tokens of an answer; lists may have twice as many.",
    )
    phrasings: int = Field(
        3,
        ge=1,
        le=6,
        description="Maximum number of questions about one fact; more help the model learn it.",
    )
    validation: Literal["documents", "phrasings"] = Field(
        "documents",
        description="What validation holds out: whole documents, or phrasings of facts that are "
        "in the training set. With phrasings, documents are held out only for the test set.",
    )
    validation_share: float = Field(0.1, gt=0, lt=0.5, description="Share of validation examples.")
    test_share: float = Field(0.15, gt=0, lt=0.5, description="Share of test examples.")
    near_duplicate_threshold: float = Field(
        0.85, gt=0, le=1, description="Jaccard similarity above which two texts are duplicates."
    )
    max_symbol_ratio: float = Field(
        0.3, gt=0, le=1, description="Maximum share of symbols among the characters of an answer."
    )
    max_examples: int | None = Field(
        None, ge=1, description="Maximum number of examples; None for all."
    )
    grounded_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Grounded examples added to training, as a share of the closed-book ones.",
    )
    grounded_without_truth: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of the grounded examples whose passages do not answer the question.",
    )
    seed: int = Field(13, ge=0)
    teacher: Literal["none", "gemini"] = Field(
        "none", description="Model that writes additional examples: none, or Gemini."
    )
    teacher_model: str = Field("gemini-2.5-flash", description="Name of the teacher model.")
    teacher_pairs: int = Field(
        4, ge=1, le=20, description="Pairs that the teacher writes per passage."
    )
    teacher_concurrency: int = Field(
        4, ge=1, le=64, description="Concurrent requests to the teacher."
    )

    @model_validator(mode="after")
    def _phrasings_can_be_held_out(self) -> "DatasetOptions":
        if self.validation == "phrasings" and self.phrasings < 2:
            raise ValueError("validation: phrasings needs phrasings of 2 or more, to hold one out")
        return self
