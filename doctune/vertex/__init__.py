"""Model Registry, endpoints, jobs and storage: a thin layer over Google's own clients."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from doctune.vertex.canary import Canary
    from doctune.vertex.containers import ServingContainer, served_by
    from doctune.vertex.endpoints import ask, find_endpoint
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
    from doctune.vertex.releases import Deployment, deploy_model, rollback
    from doctune.vertex.retention import keep_evaluation, keep_index
    from doctune.vertex.session import init_session
    from doctune.vertex.storage import (
        StoredObject,
        TransferSummary,
        download_folder,
        list_folder,
        sync_folder,
        upload_folder,
    )
    from doctune.vertex.variants import (
        ServingMachine,
        Variant,
        add_variant,
        list_variants,
        remove_variant,
        set_traffic,
    )

_MODULES = {
    "Canary": "canary",
    "Champion": "registry",
    "Deployment": "releases",
    "ModelManifest": "packaging",
    "ModelVersion": "history",
    "RegisteredModel": "registry",
    "ServingContainer": "containers",
    "ServingMachine": "variants",
    "StoredObject": "storage",
    "TransferSummary": "storage",
    "Variant": "variants",
    "add_variant": "variants",
    "ask": "endpoints",
    "champion_uri": "registry",
    "check_model_folder": "packaging",
    "deploy_model": "releases",
    "download_folder": "storage",
    "find_champion": "registry",
    "find_endpoint": "endpoints",
    "find_version": "history",
    "import_evaluation": "evaluations",
    "init_session": "session",
    "keep_evaluation": "retention",
    "keep_index": "retention",
    "list_folder": "storage",
    "list_variants": "variants",
    "model_versions": "history",
    "register_model": "registry",
    "remove_variant": "variants",
    "rollback": "releases",
    "served_by": "containers",
    "set_traffic": "variants",
    "sync_folder": "storage",
    "training_set_of": "history",
    "upload_folder": "storage",
    "upload_model": "packaging",
}

__all__ = [
    "Canary",
    "Champion",
    "Deployment",
    "ModelManifest",
    "ModelVersion",
    "RegisteredModel",
    "ServingContainer",
    "ServingMachine",
    "StoredObject",
    "TransferSummary",
    "Variant",
    "add_variant",
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
    "keep_evaluation",
    "keep_index",
    "list_folder",
    "list_variants",
    "model_versions",
    "register_model",
    "remove_variant",
    "rollback",
    "served_by",
    "set_traffic",
    "sync_folder",
    "training_set_of",
    "upload_folder",
    "upload_model",
]


def __getattr__(name: str) -> Any:
    """Imports a public name on first use, so that importing this package is cheap."""
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
