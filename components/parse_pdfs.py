"""Parse a shard of a folder of PDFs into blocks of text and tables."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DOCUMENTS, install_kfp_package=False)
def parse_pdfs(
    pdfs: dsl.Input[dsl.Artifact],
    plan: dsl.Input[dsl.Artifact],
    shard: str,
    documents: dsl.Output[dsl.Dataset],
    corpus_digest: str = "",
    advanced: dict = {},
) -> None:
    """Writes one row per block and one row per file; a rejected PDF is a row with the reason.

    Args:
        pdfs: A folder that holds PDFs, at any depth.
        plan: The output of plan_shards: the files of each shard.
        shard: The name of the shard to read.
        documents: `blocks.parquet` and `documents.parquet`, of this shard.
        corpus_digest: Digest of the PDFs. It makes the step run again when the folder's contents
            change, since its URI does not.
        advanced: Fields of `doctune.documents.ParseOptions`.
    """
    from pathlib import Path

    from doctune.documents import ParseOptions, parse_corpus, read_shard
    from doctune.vertex.secrets import with_secrets

    summary = parse_corpus(
        Path(pdfs.path),
        Path(documents.path),
        with_secrets(ParseOptions(**advanced)),
        sources=read_shard(Path(plan.path), shard),
    )
    documents.metadata.update(
        files_parsed=summary.files_parsed,
        files_rejected=summary.files_rejected,
        pages=summary.pages,
        digest=summary.digest,
        corpus_digest=corpus_digest,
    )
