"""What a user may set about making training examples."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DatasetOptions(BaseModel):
    """Settings of `prepare_dataset`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chunk_tokens: int = Field(
        256, ge=32, le=4096, description="Most tokens in a chunk, as the base model counts them."
    )
    answer_tokens: int = Field(
        80, ge=16, le=1024, description="Tokens an answer should stay under; lists may take twice."
    )
    phrasings: int = Field(
        3, ge=1, le=6, description="Most questions about one fact; more teach it more firmly."
    )
    validation: Literal["documents", "phrasings"] = Field(
        "documents",
        description="What validation asks: of documents of its own, or in phrasings that are held "
        "out about facts that are learnt. With phrasings, documents are kept out for the test "
        "alone.",
    )
    validation_share: float = Field(0.1, gt=0, lt=0.5, description="Share of validation examples.")
    test_share: float = Field(0.15, gt=0, lt=0.5, description="Share of test examples.")
    near_duplicate_threshold: float = Field(
        0.85, gt=0, le=1, description="Jaccard similarity from which two texts count as one."
    )
    max_symbol_ratio: float = Field(
        0.3, gt=0, le=1, description="Share of characters that may be symbols in an answer."
    )
    max_examples: int | None = Field(None, ge=1, description="Most examples to keep; None for all.")
    seed: int = Field(13, ge=0)
    teacher: Literal["none", "gemini"] = Field(
        "none", description="Who writes examples beyond the rules: nobody, or Gemini."
    )
    teacher_model: str = Field("gemini-2.5-flash", description="The teacher's model name.")
    teacher_pairs: int = Field(4, ge=1, le=20, description="Pairs asked of the teacher a passage.")
    teacher_concurrency: int = Field(
        4, ge=1, le=64, description="Requests to the teacher at one time."
    )

    @model_validator(mode="after")
    def _phrasings_can_be_held_out(self) -> "DatasetOptions":
        if self.validation == "phrasings" and self.phrasings < 2:
            raise ValueError("validation: phrasings needs phrasings of 2 or more, to hold one out")
        return self
