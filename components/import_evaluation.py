"""Import an evaluation onto a registered model version."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.OPS, install_kfp_package=False)
def import_evaluation(
    scores: dsl.Input[dsl.Metrics],
    version_name: str,
    project: str,
    location: str,
    staging_bucket: str,
    evaluation_bucket: str = "",
    data_bucket: str = "",
) -> str:
    """Returns the evaluation's resource name; the same scores are imported only once.

    Args:
        scores: The output of evaluate_model.
        version_name: Resource name of the version, with its number.
        evaluation_bucket: gs://NAME that retains its results; derived from staging_bucket where
            empty.
        data_bucket: The same for its training and test sets.
    """
    from doctune.artifacts import local_file
    from doctune.vertex import import_evaluation, init_session, keep_evaluation

    init_session(project, location, staging_bucket)
    kept = keep_evaluation(
        scores.metadata, evaluation_bucket=evaluation_bucket, data_bucket=data_bucket
    )
    return import_evaluation(version_name, kept, local_file(scores.uri))
