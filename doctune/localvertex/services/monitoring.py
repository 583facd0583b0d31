"""JobService: model monitoring jobs. They are stored, listed, paused and resumed, but never run."""

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import invalid
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.services import endpoints, resources

KIND = "ModelDeploymentMonitoringJob"

_MUTABLE = frozenset(
    {
        "display_name",
        "labels",
        "logging_sampling_strategy",
        "model_deployment_monitoring_objective_configs",
        "model_deployment_monitoring_schedule_config",
        "model_monitoring_alert_config",
        "log_ttl",
        "stats_anomalies_base_directory",
        "enable_monitoring_pipeline_logs",
    }
)


@handles("JobService.CreateModelDeploymentMonitoringJob")
def create_monitoring_job(call: Call, request: Document) -> Document:
    """Creates a monitoring job for an endpoint that has deployed models."""
    given = request.get("model_deployment_monitoring_job", {})
    resources.check_display_name(given)
    resources.check_labels(given)
    endpoint = call.transaction.get(
        endpoints.KIND, call.vertex.projects.canonical(given.get("endpoint", ""))
    )
    deployed = {model["id"] for model in endpoint.get("deployed_models", ())}
    for objective in given.get("model_deployment_monitoring_objective_configs", ()):
        if objective.get("deployed_model_id") not in deployed:
            raise invalid(
                f"DeployedModel {objective.get('deployed_model_id')!r} is not on "
                f"{endpoint['name']}."
            )
    job = resources.stamp(given, call.type(KIND)) | {
        "name": f"{request['parent']}/modelDeploymentMonitoringJobs/{names.new_id()}",
        "endpoint": endpoint["name"],
        "state": "JOB_STATE_RUNNING",
        "schedule_state": "RUNNING",
    }
    call.transaction.put(KIND, job["name"], job)
    return job


@handles("JobService.GetModelDeploymentMonitoringJob")
def get_monitoring_job(call: Call, request: Document) -> Document:
    """Returns a monitoring job."""
    return call.transaction.get(KIND, request["name"])


@handles("JobService.ListModelDeploymentMonitoringJobs")
def list_monitoring_jobs(call: Call, request: Document) -> Document:
    """Lists the monitoring jobs of a location."""
    found = call.transaction.list(KIND, parent=request["parent"])
    return resources.list_response(call, request, "model_deployment_monitoring_jobs", KIND, found)


@handles("JobService.UpdateModelDeploymentMonitoringJob")
def update_monitoring_job(call: Call, request: Document) -> Document:
    """Changes a monitoring job."""
    change = request.get("model_deployment_monitoring_job", {})
    updated = resources.update(call, KIND, change, request.get("update_mask", []), _MUTABLE)
    return call.finished(updated["name"], updated)


@handles("JobService.PauseModelDeploymentMonitoringJob")
def pause_monitoring_job(call: Call, request: Document) -> Document:
    """Pauses a monitoring job."""
    _set_state(call, request["name"], "JOB_STATE_PAUSED")
    return {}


@handles("JobService.ResumeModelDeploymentMonitoringJob")
def resume_monitoring_job(call: Call, request: Document) -> Document:
    """Resumes a monitoring job."""
    _set_state(call, request["name"], "JOB_STATE_RUNNING")
    return {}


def _set_state(call: Call, name: str, state: str) -> None:
    job = call.transaction.get(KIND, name)
    job["state"] = state
    resources.touch(job)
    call.transaction.put(KIND, name, job)


@handles("JobService.DeleteModelDeploymentMonitoringJob")
def delete_monitoring_job(call: Call, request: Document) -> Document:
    """Deletes a monitoring job."""
    call.transaction.delete(KIND, request["name"])
    return call.finished(names.location_name(request["name"]), {})
