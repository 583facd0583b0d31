"""ModelService: evaluations of model versions, and their slices."""

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.services import models, resources

EVALUATION = "ModelEvaluation"
SLICE = "ModelEvaluationSlice"


@handles("ModelService.ImportModelEvaluation")
def import_model_evaluation(call: Call, request: Document) -> Document:
    """Adds an evaluation to a model version."""
    version = models.find_version(call.transaction, request["parent"])
    evaluation = resources.stamp(request.get("model_evaluation", {}), call.type(EVALUATION))
    evaluation["name"] = f"{version['name']}/evaluations/{names.new_id()}"
    call.transaction.put(
        EVALUATION, evaluation["name"], evaluation, parent=models.versioned_name(version)
    )
    return evaluation


@handles("ModelService.GetModelEvaluation")
def get_model_evaluation(call: Call, request: Document) -> Document:
    """Returns an evaluation, whether or not its name says the version."""
    return call.transaction.get(EVALUATION, _without_version(request["name"]))


@handles("ModelService.ListModelEvaluations")
def list_model_evaluations(call: Call, request: Document) -> Document:
    """Lists the evaluations of a model version."""
    version = models.find_version(call.transaction, request["parent"])
    found = call.transaction.list(EVALUATION, parent=models.versioned_name(version))
    return resources.list_response(call, request, "model_evaluations", EVALUATION, found)


@handles("ModelService.BatchImportModelEvaluationSlices")
def batch_import_model_evaluation_slices(call: Call, request: Document) -> Document:
    """Adds slices to an evaluation."""
    parent = _without_version(request["parent"])
    call.transaction.get(EVALUATION, parent)
    imported = []
    for given in request.get("model_evaluation_slices", []):
        part = resources.stamp(given, call.type(SLICE))
        part["name"] = f"{parent}/slices/{names.new_id()}"
        call.transaction.put(SLICE, part["name"], part, parent=parent)
        imported.append(part["name"])
    return {"imported_model_evaluation_slices": imported}


@handles("ModelService.GetModelEvaluationSlice")
def get_model_evaluation_slice(call: Call, request: Document) -> Document:
    """Returns a slice."""
    return call.transaction.get(SLICE, _without_version(request["name"]))


@handles("ModelService.ListModelEvaluationSlices")
def list_model_evaluation_slices(call: Call, request: Document) -> Document:
    """Lists the slices of an evaluation."""
    parent = _without_version(request["parent"])
    call.transaction.get(EVALUATION, parent)
    found = call.transaction.list(SLICE, parent=parent)
    return resources.list_response(call, request, "model_evaluation_slices", SLICE, found)


def _without_version(name: str) -> str:
    model, separator, rest = name.partition("/evaluations/")
    return model.partition("@")[0] + separator + rest
