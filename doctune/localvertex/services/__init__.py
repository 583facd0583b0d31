"""The handlers, one module a service of Vertex AI. Importing this registers all of them."""

from doctune.localvertex.services import (
    datasets,
    endpoints,
    evaluations,
    index_endpoints,
    indexes,
    jobs,
    metadata,
    models,
    monitoring,
    persistent_resources,
    pipelines,
    predictions,
    projects,
    resource_pools,
    schedules,
    secrets,
    studies,
    tensorboards,
    training_pipelines,
    trials,
)

__all__ = [
    "JOB_KINDS",
    "datasets",
    "endpoints",
    "evaluations",
    "index_endpoints",
    "indexes",
    "jobs",
    "metadata",
    "models",
    "monitoring",
    "persistent_resources",
    "pipelines",
    "predictions",
    "projects",
    "resource_pools",
    "schedules",
    "secrets",
    "studies",
    "tensorboards",
    "training_pipelines",
    "trials",
]

# What runs as a job: found dead and marked failed after a restart.
JOB_KINDS = (jobs.CUSTOM, jobs.BATCH, jobs.TUNING, pipelines.PIPELINE, training_pipelines.TRAINING)
