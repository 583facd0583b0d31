"""Read a shard of a folder of PDFs into blocks of text and tables."""

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
    """Writes one row a block and one row a file; a bad PDF is a row with its reason.

    Args:
        pdfs: A folder that holds PDFs, at any depth.
        plan: Which files are in which shard, from plan_shards.
        shard: The name of the shard to read.
        documents: `blocks.parquet` and `documents.parquet`, of this shard.
        corpus_digest: Digest of the PDFs. It is how the cache notices that the folder's contents
            have changed, since a folder's URI does not tell.
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
