"""Resource Manager's Projects.GetProject: identifiers and numbers of projects."""

from doctune.localvertex.api.codec import Document
from doctune.localvertex.dispatch import Call, handles


@handles("Projects.GetProject")
def get_project(call: Call, request: Document) -> Document:
    """Returns a project; any identifier is one."""
    number = call.vertex.projects.number(request["name"].removeprefix("projects/"))
    project = call.vertex.projects.project(number) or f"project-{number}"
    return {
        "name": f"projects/{number}",
        "project_id": project,
        "display_name": project,
        "state": "ACTIVE",
    }
