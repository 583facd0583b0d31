"""Writes a pipeline job's executions, artifacts and events to the metadata store."""

from collections.abc import Sequence

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.store import Store


class Lineage:
    """The lineage of one pipeline job.

    All of it belongs to the contexts of the run and of the pipeline, where Experiments and
    `get_pipeline_df` look for it.
    """

    def __init__(self, store: Store, job: Document) -> None:
        self._store = store
        self._folder = f"{names.location_name(job['name'])}/metadataStores/default"
        detail = job["job_detail"]
        self._contexts = [
            detail[context]["name"] for context in ("pipeline_run_context", "pipeline_context")
        ]
        self._known: dict[str, Document] = {}  # by URI, since tasks share artifacts

    def artifact(self, name: str, artifact: Document) -> Document:
        """Returns the artifact resource of a URI; creates it if it is new in this run."""
        known = self._known.get(artifact["uri"])
        if known is None or known["schema_title"] != artifact["schema_title"]:
            moment = names.timestamp()
            known = {
                "name": f"{self._folder}/artifacts/{names.new_id()}",
                "display_name": name,
                "uri": artifact["uri"],
                "schema_title": artifact.get("schema_title", "system.Artifact"),
                "schema_version": "0.0.1",
                "state": "LIVE",
                "create_time": moment,
                "update_time": moment,
            }
            self._known[artifact["uri"]] = known
        known["metadata"] = artifact.get("metadata") or {}
        return known

    def keep(
        self,
        execution: Document,
        *,
        inputs: Sequence[Document] = (),
        outputs: Sequence[Document] = (),
    ) -> None:
        """Records an execution with its input and output artifacts."""
        with self._store.transaction() as transaction:
            nodes = [("Execution", execution)]
            nodes += [("Artifact", artifact) for artifact in (*inputs, *outputs)]
            for kind, node in nodes:
                kept = {**node, "contexts_": self._contexts, "etag": names.new_id()}
                transaction.put(kind, node["name"], kept)
            for role, artifacts in (("INPUT", inputs), ("OUTPUT", outputs)):
                for artifact in artifacts:
                    name = f"{execution['name']}/events/{names.identifier(artifact['name'])}.{role}"
                    event = {
                        "artifact": artifact["name"],
                        "execution": execution["name"],
                        "event_time": names.timestamp(),
                        "type": role,
                    }
                    transaction.put("Event", name, event, parent=execution["name"])
