"""The options of PDF parsing."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ParseOptions(BaseModel):
    """Settings of `parse_pdf` and `parse_corpus`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int | None = Field(
        default=None, ge=1, description="Worker processes; None for one per core."
    )
    timeout_seconds: float = Field(
        default=120.0, gt=0, description="Time limit for each hundred pages of a file, in seconds."
    )
    memory_limit_mb: int = Field(
        default=2048, ge=128, description="Memory limit of a worker, in MiB."
    )
    output_limit_mb: int = Field(
        default=256, ge=1, description="Limit on the text of each hundred pages of a file, in MiB."
    )
    max_pages: int = Field(
        default=100_000, ge=1, description="Number of pages above which a file is rejected."
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
        description="Resource name of the secret version with the password.",
    )
    tables: Literal["all", "ruled", "none"] = Field(
        default="all",
        description="Which tables to look for: ruled tables have drawn lines.",
    )
    ocr: Literal["auto", "rapidocr", "tesseract", "off"] = Field(
        default="auto",
        description="What reads pages without text: auto takes RapidOCR (the extra `ocr`), or "
        "Tesseract if RapidOCR is not installed or does not read the script.",
    )
    attachments: bool = Field(
        default=False,
        description="Whether to read PDFs attached to a PDF as documents of their own.",
    )
    hidden_text: bool = Field(
        default=False,
        description="Whether to keep text that is not visible on the page: white on white, "
        "invisible over nothing, without size, off the page, under a picture.",
    )
