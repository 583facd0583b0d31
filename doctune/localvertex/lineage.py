"""The executions and artifacts of a pipeline job in the metadata store, and the events between."""

from collections.abc import Sequence

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.store import Store


class Lineage:
    """What one pipeline job leaves in the metadata store.

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
        self._known: dict[str, Document] = {}  # by URI: what one task wrote another reads

    def artifact(self, name: str, artifact: Document) -> Document:
        """Returns the artifact resource of a URI, a new one where it is new to this run."""
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
        """Writes an execution down, with what it read and wrote."""
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
