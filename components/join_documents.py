"""Join the parsed documents of all shards."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DOCUMENTS, install_kfp_package=False)
def join_documents(
    pdfs: dsl.Input[dsl.Artifact],
    parts: dsl.Input[list[dsl.Dataset]],
    documents: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.HTML],
    corpus_digest: str = "",
    advanced: dict = {},
) -> None:
    """Writes the rows of all shards in the files' order; fails if too many files were rejected.

    Args:
        pdfs: The folder of PDFs; the report shows some of their pages.
        parts: The output of parse_pdfs for each shard.
        documents: `blocks.parquet` and `documents.parquet`.
        report: Rejected files, warnings, and pages with their blocks drawn over them.
        corpus_digest: Digest of the PDFs, as for parse_pdfs.
        advanced: Fields of `doctune.documents.ParseOptions`, as for parse_pdfs.
    """
    from pathlib import Path

    from doctune.documents import ParseOptions, join_shards
    from doctune.vertex.secrets import with_secrets

    summary = join_shards(
        [Path(part.path) for part in parts],
        Path(documents.path),
        with_secrets(ParseOptions(**advanced)),
        pdfs=Path(pdfs.path),
        report_path=Path(report.path),
    )
    documents.metadata.update(
        files_parsed=summary.files_parsed,
        files_rejected=summary.files_rejected,
        pages=summary.pages,
        digest=summary.digest,
        corpus_digest=corpus_digest,
    )
