"""Persistent resources, as the SDK makes them and jobs name them."""

import pytest
from google.api_core import exceptions
from google.cloud.aiplatform import persistent_resource

from tests.localvertex.conftest import PARENT, TRAINING_IMAGE

TRANSPORTS = ("grpc",)


def job_on(aip, name):
    pool = {
        "machine_spec": {"machine_type": "n1-standard-4"},
        "replica_count": 1,
        "container_spec": {"image_uri": TRAINING_IMAGE},
    }
    job = aip.CustomJob(display_name=name, worker_pool_specs=[pool])
    job.run(persistent_resource_id=name)
    return job


def test_a_job_runs_on_a_persistent_resource_that_exists_only(aip, unique):
    machine = {"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1}
    resource = persistent_resource.PersistentResource.create(
        persistent_resource_id=unique, resource_pools=[machine], labels={"a": "b"}
    )
    assert resource.state.name == "RUNNING"
    job_on(aip, unique)
    assert unique in [found.name for found in persistent_resource.PersistentResource.list()]
    with pytest.raises(exceptions.AlreadyExists):
        persistent_resource.PersistentResource.create(
            persistent_resource_id=unique, resource_pools=[machine]
        )
    resource.delete()
    with pytest.raises(exceptions.NotFound, match="PersistentResource"):
        job_on(aip, unique)


def test_a_ray_cluster_is_refused_since_nothing_would_run_on_it(aip, unique):
    from google.cloud.aiplatform_v1 import types

    client = aip.initializer.global_config.create_client(
        client_class=aip.utils.PersistentResourceClientWithOverride
    )
    cluster = types.PersistentResource(
        resource_pools=[{"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1}],
        resource_runtime_spec={"ray_spec": {"head_node_resource_pool_id": "head"}},
    )
    with pytest.raises(exceptions.MethodNotImplemented, match="no Ray clusters"):
        client.create_persistent_resource(
            parent=PARENT, persistent_resource=cluster, persistent_resource_id=unique
        )
