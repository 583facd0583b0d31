"""What a user may set about reading PDFs."""

from pydantic import BaseModel, ConfigDict, Field


class ParseOptions(BaseModel):
    """Settings of `parse_pdf` and `parse_corpus`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int | None = Field(None, ge=1, description="Worker processes; None for one a core.")
    timeout_seconds: float = Field(120.0, gt=0, description="Time one file may take.")
    memory_limit_mb: int = Field(2048, ge=128, description="Memory one worker may use, in MiB.")
    max_failure_share: float = Field(
        0.5, ge=0, le=1, description="Share of rejected files above which the run fails."
    )
    password: str | None = Field(
        None, description="Password to try on encrypted files.", repr=False
    )
