"""Find the model version that a new model has to beat."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.OPS, install_kfp_package=False)
def find_champion(
    model: dsl.Input[dsl.Model],
    model_name: str,
    project: str,
    location: str,
    staging_bucket: str,
) -> str:
    """Returns the URI of the champion's artifact, or "" where there is none to beat.

    Args:
        model: The candidate. A champion that is this very model is ignored, so that a repeated
            run gives the same verdict.
        model_name: Display name in the Model Registry.
        staging_bucket: gs://NAME.
    """
    from doctune.vertex import champion_uri, init_session

    init_session(project, location, staging_bucket)
    return champion_uri(model_name, exclude_digest=model.metadata["digest"])
