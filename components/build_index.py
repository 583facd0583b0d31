"""Build an index over parsed documents, from which questions are answered."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def build_index(
    documents: dsl.Input[dsl.Dataset],
    index: dsl.Output[dsl.Artifact],
    advanced: dict = {},
) -> None:
    """Writes the knowledge index into one folder: passages, units, vectors and words.

    With `vector_search` set, its vectors also replace those of that Vector Search index.

    Args:
        documents: The output of join_documents.
        index: The folder that `doctune ask` and `doctune search` read.
        advanced: Any field of `doctune.knowledge.KnowledgeOptions`.
    """
    from pathlib import Path

    from doctune.knowledge import KnowledgeOptions, build_index, datapoint_lines
    from doctune.vertex.vector_search import replace_datapoints

    options = KnowledgeOptions(**advanced)
    summary = build_index(Path(documents.path), Path(index.path), options)
    lines = datapoint_lines(Path(index.path))
    replace_datapoints(options.vector_search, f"{index.uri}-datapoints", lines)
    index.metadata.update(
        documents_digest=documents.metadata["digest"],
        digest=summary.digest,
        passages=summary.passages,
        units=summary.units,
    )
