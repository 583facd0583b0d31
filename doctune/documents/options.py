"""What a user may set about reading PDFs."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ParseOptions(BaseModel):
    """Settings of `parse_pdf` and `parse_corpus`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int | None = Field(
        default=None, ge=1, description="Worker processes; None for one a core."
    )
    timeout_seconds: float = Field(
        default=120.0, gt=0, description="Time that each hundred pages of a file may take."
    )
    memory_limit_mb: int = Field(
        default=2048, ge=128, description="Memory one worker may use, in MiB."
    )
    output_limit_mb: int = Field(
        default=256, ge=1, description="Text that each hundred pages of a file may give, in MiB."
    )
    max_pages: int = Field(
        default=100_000, ge=1, description="Pages above which a file is rejected."
    )
    max_failure_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Share of rejected files above which the run fails.",
    )
    password: str | None = Field(
        default=None, description="Password to try on encrypted files.", repr=False
    )
    password_secret: str = Field(
        default="",
        pattern=r"^$|^projects/[^/]+/secrets/[^/]+/versions/(\d+|latest)$",
        description="The version of Secret Manager's that holds the password.",
    )
    tables: Literal["all", "ruled", "none"] = Field(
        default="all",
        description="Which tables to look for: ruled ones are those with drawn lines.",
    )
    ocr: Literal["auto", "off"] = Field(
        default="auto",
        description="Whether pages without text are read by Tesseract, where it is installed.",
    )
    hidden_text: bool = Field(
        default=False,
        description="Whether text is kept that a reader of the page does not see: white on white, "
        "invisible over nothing, without size, off the page, under a picture.",
    )
