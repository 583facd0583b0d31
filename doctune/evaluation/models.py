"""Finds the models to evaluate: the tuned one, its base, the champion, and others."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doctune.artifacts import local_folder
from doctune.errors import EvaluationError, UsageError
from doctune.evaluation.comparison import BASE, CHAMPION, NATIVE, TUNED
from doctune.inference.base_model import resolve_base_model
from doctune.publishing import require_whole

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


@dataclass(frozen=True, kw_only=True)
class Models:
    """The folders with weights, by model name, and what training recorded about the tuned one."""

    folders: Mapping[str, Path]
    training: Mapping[str, Any]


def find_models(
    model_dir: Path,
    *,
    champion_uri: str = "",
    others: Mapping[str, str] | None = None,
    with_native: bool = False,
) -> Models:
    """Finds the weights of all models to evaluate, the base model first.

    Args:
        model_dir: A folder that `tune_model` wrote.
        champion_uri: A folder like `model_dir`; "" if there is no champion.
        others: Further folders like `model_dir`, by display name.
        with_native: Whether the tuned model is a second one, answered by the native engine.

    Raises:
        EvaluationError: A folder is not what `tune_model` wrote.
        UsageError: The name of a further model is taken or invalid.
    """
    training = read_training(model_dir)
    tuned = _weights(model_dir)
    rivals: dict[str, Path] = {}
    if champion_uri:
        rivals[CHAMPION] = _weights(local_folder(champion_uri))
    if with_native:
        rivals[NATIVE] = tuned
    for name, uri in (others or {}).items():
        if not _NAME.fullmatch(name) or name in (BASE, TUNED, CHAMPION, NATIVE):
            raise UsageError(
                f'"{name}" cannot name a further model: use lower case letters, digits and _, '
                f"and none of {BASE}, {TUNED}, {CHAMPION}, {NATIVE}."
            )
        rivals[name] = _weights(local_folder(uri))

    base = resolve_base_model(training["base_model"])
    return Models(folders={BASE: base, TUNED: tuned, **rivals}, training=training)


def judged_engine(engine: str, model_dir: Path) -> str:
    """Returns the engine whose answers are judged, and which then serves.

    Args:
        engine: As in `EvaluationOptions`.
        model_dir: A folder that `tune_model` wrote.
    """
    if engine != "auto":
        return engine
    from doctune.inference.openvino_generator import can_load

    return "openvino" if can_load(_weights(model_dir)) else "native"


def read_training(model_dir: Path) -> dict[str, Any]:
    """Reads the `training.json` of a model.

    Raises:
        EvaluationError: The folder is not one that `tune_model` wrote.
    """
    path = model_dir / "training.json"
    try:
        training = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EvaluationError(
            f"{model_dir} has no training.json: give the folder that tune_model wrote."
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise EvaluationError(f"{path} cannot be read: {error}.") from error
    if not isinstance(training, dict) or not isinstance(training.get("base_model"), str):
        raise EvaluationError(f'{path} does not name its "base_model".')
    return training


def _weights(model_dir: Path) -> Path:
    require_whole(model_dir, "tune the model again")
    folder = model_dir / "model"
    if not (folder / "config.json").is_file():
        raise EvaluationError(f"{folder} holds no model: config.json is missing.")
    return folder
