"""Common forms of `gcloud ai` over REST: models, endpoints, jobs."""

import json
from pathlib import Path
from typing import Any

import yaml

from doctune.localvertex.notebooks.commands.options import Options, shown
from doctune.localvertex.notebooks.commands.storage import CommandError

_WAIT_SECONDS = 600
# Command-line word to collection of the API.
_COLLECTIONS = {
    "models": "models",
    "endpoints": "endpoints",
    "custom-jobs": "customJobs",
    "hp-tuning-jobs": "hyperparameterTuningJobs",
    "batch-prediction-jobs": "batchPredictionJobs",
    "tensorboards": "tensorboards",
    "operations": "operations",
}


class AiCommands:
    """The commands of `gcloud ai`."""

    def __init__(self, options: Options, project: str) -> None:
        import google.auth
        from google.auth.transport.requests import AuthorizedSession

        credentials, _ = google.auth.default()
        self._session = AuthorizedSession(credentials)
        self._options = options
        self._region = options.get("region") or "us-central1"
        self._parent = f"projects/{project}/locations/{self._region}"

    def run(self, words: list[str]) -> bool:
        """Runs a command; returns False if it is not supported."""
        noun, verb, *names = [*words, "", ""][: max(2, len(words))]
        collection = _COLLECTIONS.get(noun)
        special = {
            ("models", "upload"): self._upload_model,
            ("endpoints", "create"): self._create_endpoint,
            ("endpoints", "deploy-model"): self._deploy,
            ("endpoints", "undeploy-model"): self._undeploy,
            ("endpoints", "predict"): self._predict,
            ("custom-jobs", "create"): self._create_custom_job,
        }.get((noun, verb))
        if special is not None:
            special(names)
            return True
        if collection is None or verb not in ("list", "describe", "delete", "cancel"):
            return False
        if verb == "list":
            self._list(collection)
            return True
        name = self._name(collection, names)
        if verb == "describe":
            shown(self._ask("GET", name), self._options)
        elif verb == "delete":
            self._finish(self._ask("DELETE", name))
        else:
            self._ask("POST", f"{name}:cancel", {})
        return True

    def _list(self, collection: str) -> None:
        query = "".join(f"?filter={value}" for value in [self._options.get("filter")] if value)
        found = self._ask("GET", f"{self._parent}/{collection}{query}").get(collection, [])
        if self._options.format:
            shown(found, self._options)
            return
        print(f"{'ID':<22}DISPLAY_NAME")  # noqa: T201
        for item in found:
            identifier = item["name"].rpartition("/")[2]
            print(f"{identifier:<22}{item.get('displayName', '')}")  # noqa: T201

    def _upload_model(self, _: list[str]) -> None:
        container: dict[str, Any] = {"imageUri": self._options.get("container-image-uri")}
        for option, key in (
            ("container-predict-route", "predictRoute"),
            ("container-health-route", "healthRoute"),
        ):
            if value := self._options.get(option):
                container[key] = value
        if ports := self._options.get("container-ports"):
            container["ports"] = [{"containerPort": int(port)} for port in ports.split(",")]
        if command := self._options.get("container-command"):
            container["command"] = command.split(",")
        if arguments := self._options.get("container-args"):
            container["args"] = arguments.split(",")
        model = {
            "displayName": self._options.get("display-name"),
            "artifactUri": self._options.get("artifact-uri"),
            "containerSpec": container,
        }
        self._finish(self._ask("POST", f"{self._parent}/models:upload", {"model": model}))

    def _create_endpoint(self, _: list[str]) -> None:
        body = {"displayName": self._options.get("display-name")}
        self._finish(self._ask("POST", f"{self._parent}/endpoints", body))

    def _deploy(self, names: list[str]) -> None:
        machine = self._options.get("machine-type") or "n1-standard-2"
        resources = {
            "machineSpec": {"machineType": machine},
            "minReplicaCount": int(self._options.get("min-replica-count") or 1),
        }
        deployed = {
            "model": self._name("models", [self._options.get("model")]),
            "displayName": self._options.get("display-name"),
            "dedicatedResources": resources,
        }
        split = dict(
            part.split("=") for part in (self._options.get("traffic-split") or "0=100").split(",")
        )
        body = {
            "deployedModel": deployed,
            "trafficSplit": {key: int(value) for key, value in split.items()},
        }
        self._finish(self._ask("POST", f"{self._name('endpoints', names)}:deployModel", body))

    def _undeploy(self, names: list[str]) -> None:
        body = {"deployedModelId": self._options.get("deployed-model-id")}
        self._finish(self._ask("POST", f"{self._name('endpoints', names)}:undeployModel", body))

    def _predict(self, names: list[str]) -> None:
        file = Path(self._options.get("json-request"))
        body = json.loads(file.read_text(encoding="utf-8"))
        shown(self._ask("POST", f"{self._name('endpoints', names)}:predict", body), self._options)

    def _create_custom_job(self, _: list[str]) -> None:
        job_spec: dict[str, Any] = {}
        if config := self._options.get("config"):
            document = yaml.safe_load(Path(config).read_text(encoding="utf-8")) or {}
            job_spec = dict(document.get("jobSpec") or document)
        pools = [_pool(text) for text in self._options.values.get("worker-pool-spec", [])]
        if pools:
            job_spec["workerPoolSpecs"] = pools
        body = {"displayName": self._options.get("display-name"), "jobSpec": job_spec}
        job = self._ask("POST", f"{self._parent}/customJobs", body)
        print(f"CustomJob [{job['name']}] is submitted successfully.")  # noqa: T201

    def _name(self, collection: str, names: list[str]) -> str:
        name = next((name for name in names if name), "")
        if not name:
            raise CommandError(f"give the name of one of the {collection}.")
        return name if "/" in name else f"{self._parent}/{collection}/{name}"

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        url = f"https://{self._region}-aiplatform.googleapis.com/v1/{path}"
        answer = self._session.request(method, url, json=body, timeout=_WAIT_SECONDS)
        document = answer.json() if answer.content else {}
        if answer.status_code >= 400:
            raise CommandError(document.get("error", {}).get("message", answer.text))
        return document

    def _finish(self, operation: dict[str, Any]) -> None:
        """Waits for an operation, and prints its result."""
        if not operation.get("done"):
            body = {"timeout": f"{_WAIT_SECONDS}s"}
            operation = self._ask("POST", f"{operation['name']}:wait", body)
        if not operation.get("done"):
            raise CommandError(f"{operation['name']} has not ended within {_WAIT_SECONDS} s.")
        if error := operation.get("error"):
            raise CommandError(error.get("message", str(error)))
        print(f"Waiting for operation [{operation['name'].rpartition('/')[2]}]...done.")  # noqa: T201
        shown(operation.get("response", {}), self._options)


def _pool(text: str) -> dict[str, Any]:
    given: dict[str, str] = {}
    key = ""
    for part in text.split(","):
        if "=" in part:
            key, _, value = part.partition("=")
            given[key] = value
        else:
            given[key] += f",{part}"
    if "local-package-path" in given:
        raise CommandError(
            "local-package-path builds an image, which localvertex does not support."
        )
    pool: dict[str, Any] = {
        "machineSpec": {"machineType": given.get("machine-type", "n1-standard-4")},
        "replicaCount": int(given.get("replica-count", 1)),
    }
    if "container-image-uri" in given:
        pool["containerSpec"] = {"imageUri": given["container-image-uri"]}
    elif "executor-image-uri" in given:
        pool["pythonPackageSpec"] = {
            "executorImageUri": given["executor-image-uri"],
            "pythonModule": given.get("python-module", ""),
            "packageUris": [uri for uri in given.get("python-package-uris", "").split(";") if uri],
        }
    return pool
