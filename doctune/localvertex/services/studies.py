"""VizierService: studies."""

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status, not_found
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.jobs.search_space import check_study_spec
from doctune.localvertex.services import resources

KIND = "Study"


@handles("VizierService.CreateStudy")
def create_study(call: Call, request: Document) -> Document:
    """Creates a study."""
    given = request.get("study", {})
    resources.check_display_name(given)
    check_study_spec(given.get("study_spec", {}))
    for other in call.transaction.list(KIND, parent=request["parent"]):
        if other["display_name"] == given["display_name"]:
            raise ApiError(
                Status.ALREADY_EXISTS,
                f"A study with the display name {given['display_name']!r} exists: {other['name']}.",
            )
    study = resources.stamp(given, call.type(KIND)) | {
        "name": f"{request['parent']}/studies/{names.new_id()}",
        "state": "ACTIVE",
    }
    call.transaction.put(KIND, study["name"], study)
    return study


@handles("VizierService.GetStudy")
def get_study(call: Call, request: Document) -> Document:
    """Returns a study."""
    return call.transaction.get(KIND, request["name"])


@handles("VizierService.ListStudies")
def list_studies(call: Call, request: Document) -> Document:
    """Lists the studies of a location."""
    found = call.transaction.list(KIND, parent=request["parent"])
    return resources.list_response(call, request, "studies", KIND, found)


@handles("VizierService.LookupStudy")
def look_up_study(call: Call, request: Document) -> Document:
    """Returns the study of a display name."""
    for study in call.transaction.list(KIND, parent=request["parent"]):
        if study["display_name"] == request.get("display_name"):
            return study
    raise not_found(KIND, request.get("display_name", ""))


@handles("VizierService.DeleteStudy")
def delete_study(call: Call, request: Document) -> Document:
    """Deletes a study with its trials."""
    call.transaction.delete(KIND, request["name"])
    call.transaction.delete_below(f"{request['name']}/trials")
    return {}
