"""Split a folder of PDFs into shards of about as many bytes each."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DOCUMENTS, install_kfp_package=False)
def plan_shards(
    pdfs: dsl.Input[dsl.Artifact],
    plan: dsl.Output[dsl.Artifact],
    shards: int = 1,
    corpus_digest: str = "",
) -> list[str]:
    """Returns the names of the shards, for `parse_pdfs` to read each on a machine of its own.

    Args:
        pdfs: A folder that holds PDFs, at any depth.
        plan: JSON: each shard's files and bytes.
        shards: How many at most; there are never more than files.
        corpus_digest: Digest of the PDFs. It is how the cache notices that the folder's contents
            have changed, since a folder's URI does not tell.
    """
    from pathlib import Path

    from doctune.documents import write_plan

    names = write_plan(Path(pdfs.path), shards, Path(plan.path))
    plan.metadata.update(shards=len(names), corpus_digest=corpus_digest)
    return names
