"""Model Registry, endpoints and storage: thin over Google's own clients."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from doctune.vertex.endpoints import Deployment, ask, deploy_model, find_endpoint, rollback
    from doctune.vertex.evaluations import import_evaluation
    from doctune.vertex.history import ModelVersion, find_version, model_versions, training_set_of
    from doctune.vertex.packaging import ModelManifest, check_model_folder, upload_model
    from doctune.vertex.registry import (
        Champion,
        RegisteredModel,
        champion_uri,
        find_champion,
        register_model,
    )
    from doctune.vertex.session import init_session
    from doctune.vertex.storage import (
        StoredObject,
        TransferSummary,
        download_folder,
        list_folder,
        sync_folder,
        upload_folder,
    )

_MODULES = {
    "Champion": "registry",
    "Deployment": "endpoints",
    "ModelManifest": "packaging",
    "ModelVersion": "history",
    "RegisteredModel": "registry",
    "StoredObject": "storage",
    "TransferSummary": "storage",
    "ask": "endpoints",
    "champion_uri": "registry",
    "check_model_folder": "packaging",
    "deploy_model": "endpoints",
    "download_folder": "storage",
    "find_champion": "registry",
    "find_endpoint": "endpoints",
    "find_version": "history",
    "import_evaluation": "evaluations",
    "init_session": "session",
    "list_folder": "storage",
    "model_versions": "history",
    "register_model": "registry",
    "rollback": "endpoints",
    "sync_folder": "storage",
    "training_set_of": "history",
    "upload_folder": "storage",
    "upload_model": "packaging",
}

__all__ = [
    "Champion",
    "Deployment",
    "ModelManifest",
    "ModelVersion",
    "RegisteredModel",
    "StoredObject",
    "TransferSummary",
    "ask",
    "champion_uri",
    "check_model_folder",
    "deploy_model",
    "download_folder",
    "find_champion",
    "find_endpoint",
    "find_version",
    "import_evaluation",
    "init_session",
    "list_folder",
    "model_versions",
    "register_model",
    "rollback",
    "sync_folder",
    "training_set_of",
    "upload_folder",
    "upload_model",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is used, so that importing this package costs nothing."""
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
