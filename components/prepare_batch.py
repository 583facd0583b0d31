"""Write what a batch prediction job is asked: a prompt with its passages for each question."""

from typing import NamedTuple

from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def prepare_batch(
    questions: dsl.Input[dsl.Dataset],
    index: dsl.Input[dsl.Artifact],
    instances: dsl.Output[dsl.Dataset],
    way: str = "model",
    max_new_tokens: int = 128,
) -> NamedTuple("Prepared", uris=list, parameters=dict):  # type: ignore[valid-type]
    """Returns the instances' URIs and the parameters of their predictions.

    Args:
        questions: JSONL, CSV or Parquet with a column question or prompt, and perhaps id.
        index: The output of build_index.
        instances: JSONL of a key and a prompt.
        way: model or hybrid: the model's words from passages, or the better of them and quotation.
        max_new_tokens: Maximum number of tokens of an answer.
    """
    from collections import namedtuple
    from pathlib import Path

    from doctune.artifacts import local_file, local_folder
    from doctune.batch.prediction_job import write_instances
    from doctune.batch.ways import FromDocuments

    out = Path(instances.path).with_suffix(".jsonl")
    out.parent.mkdir(parents=True, exist_ok=True)
    knowledge = local_folder(index.uri)
    prompts = write_instances(
        local_file(questions.uri), out, lambda ask: FromDocuments(knowledge, way, ask)
    )
    instances.uri = f"{instances.uri}.jsonl"
    instances.metadata.update(prompts=prompts)
    prepared = namedtuple("prepared", ["uris", "parameters"])
    return prepared([instances.uri], {"max_new_tokens": max_new_tokens})
