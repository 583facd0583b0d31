"""Split a folder of PDFs into shards of about equal size in bytes."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.DOCUMENTS, install_kfp_package=False)
def plan_shards(
    pdfs: dsl.Input[dsl.Artifact],
    plan: dsl.Output[dsl.Artifact],
    shards: int = 1,
    corpus_digest: str = "",
) -> list[str]:
    """Returns the names of the shards; `parse_pdfs` reads each on its own machine.

    Args:
        pdfs: A folder that holds PDFs, at any depth.
        plan: JSON: each shard's files and bytes.
        shards: Maximum number of shards; there are never more than files.
        corpus_digest: Digest of the PDFs. It makes the step run again when the folder's contents
            change, since its URI does not.
    """
    from pathlib import Path

    from doctune.documents import write_plan

    names = write_plan(Path(pdfs.path), shards, Path(plan.path))
    plan.metadata.update(shards=len(names), corpus_digest=corpus_digest)
    return names
