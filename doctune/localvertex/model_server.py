"""Serves the model of an artifact folder like Google's prebuilt prediction containers.

    python -m doctune.localvertex.model_server sklearn|xgboost|pytorch|tensorflow

The folder is AIP_STORAGE_URI, read under /gcs: `model.joblib` or `model.pkl` (scikit-learn),
`model.bst`, `model.json` or `model.ubj` (XGBoost), a SavedModel (TensorFlow), TorchScript in
`model.pt`, alone or in the archive `model.mar` (PyTorch). Archives with a handler of their own need
TorchServe and are refused.

joblib files, pickles, SavedModels and TorchScript run code: they are opened only in folders that
`local.trusted_models` names.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from doctune.errors import LocalVertexError

TRUSTED_VARIABLE = "LOCALVERTEX_TRUSTED_MODELS"
_PICKLES = ("model.joblib", "model.pkl")
_FILES = {
    "sklearn": _PICKLES,
    "xgboost": ("model.bst", "model.json", "model.ubj", *_PICKLES),
    "pytorch": ("model.pt", "model.mar"),
    "tensorflow": ("saved_model.pb",),
}
_MODULES = {"pytorch": "torch"}
_PACKAGES = {"sklearn": "scikit-learn", "xgboost": "xgboost", "pytorch": "torch"}

# A request's body to the list of predictions.
Predict = Callable[[dict[str, Any]], list[Any]]


def load(framework: str, uri: str, trusted: list[str]) -> Predict:
    """Loads the model of an artifact folder.

    Args:
        trusted: Prefixes of gs:// URIs whose models may run code.

    Raises:
        LocalVertexError: There is none, it may not be loaded, or a package is missing.
    """
    folder = Path(uri.replace("gs://", "/gcs/", 1))
    path = next((folder / n for n in _FILES[framework] if (folder / n).is_file()), None)
    if path is None:
        names = ", ".join(_FILES[framework])
        raise LocalVertexError(f"{uri or 'the model'} holds none of {names}.")
    package = _PACKAGES.get(framework, framework)
    try:
        importlib.import_module(_MODULES.get(framework, framework))
    except ImportError as error:
        raise LocalVertexError(
            f"{path.name} is served with {package}, which is not installed: pip install {package}."
        ) from error
    if path.suffix in (".bst", ".json", ".ubj"):
        return _boosted(path)
    _check_trust(path, uri, trusted)
    if framework == "tensorflow":
        return _saved_model(folder)
    return _torch_script(path) if framework == "pytorch" else _pickled(path)


def _check_trust(path: Path, uri: str, trusted: list[str]) -> None:
    if not any(uri.rstrip("/").startswith(prefix.rstrip("/")) for prefix in trusted):
        kind = "a pickle" if path.name in _PICKLES else "a program"
        raise LocalVertexError(
            f"{uri}/{path.name} is {kind}, which runs code when it is loaded: add "
            f'"{uri}" to local.trusted_models in vertex_config.yaml if you trust who wrote it.'
        )


def _pickled(path: Path) -> Predict:
    import joblib

    model = joblib.load(path)

    def predict(body: dict[str, Any]) -> list[Any]:
        import numpy as np

        rows: Any = np.asarray(body["instances"])
        if type(model).__module__.startswith("xgboost.core"):
            import xgboost

            rows = xgboost.DMatrix(rows)
        return np.asarray(model.predict(rows)).tolist()

    return predict


def _boosted(path: Path) -> Predict:
    import xgboost

    model = xgboost.Booster()
    model.load_model(path)

    def predict(body: dict[str, Any]) -> list[Any]:
        import numpy as np

        matrix = xgboost.DMatrix(np.asarray(body["instances"], dtype=float))
        return np.asarray(model.predict(matrix, validate_features=False)).tolist()

    return predict


def _saved_model(folder: Path) -> Predict:
    """Serves signatures as TensorFlow Serving does: named inputs, or one input without a name."""
    import tensorflow as tf

    model = tf.saved_model.load(str(folder))

    def predict(body: dict[str, Any]) -> list[Any]:
        name = body.get("signature_name", "serving_default")
        if name not in model.signatures:
            raise KeyError(f"signature {name!r} is none of {sorted(model.signatures)}")
        signature = model.signatures[name]
        wanted = signature.structured_input_signature[1]
        inputs = {}
        for key, spec in wanted.items():
            column = [_value(row, key, alone=len(wanted) == 1) for row in body["instances"]]
            inputs[key] = tf.convert_to_tensor(column, dtype=spec.dtype)
        outputs = {key: value.numpy().tolist() for key, value in signature(**inputs).items()}
        if len(outputs) == 1:
            return _text(next(iter(outputs.values())))
        rows = range(len(body["instances"]))
        return [{key: _text(values[row]) for key, values in outputs.items()} for row in rows]

    return predict


def _value(row: Any, key: str, *, alone: bool) -> Any:
    if not isinstance(row, dict):
        if alone:
            return row
        raise TypeError(f"an instance must be an object with {key!r}")
    if set(row) == {"b64"}:
        import base64

        return base64.b64decode(row["b64"])
    value = row[key]
    return _value(value, key, alone=True) if isinstance(value, dict) else value


def _text(value: Any) -> Any:
    """Returns a value of an output as JSON has it: strings of TensorFlow are bytes."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return [_text(item) for item in value] if isinstance(value, list) else value


def _torch_script(path: Path) -> Predict:
    import torch

    if path.suffix == ".mar":
        path = _from_archive(path)
    try:
        model = torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError as error:
        raise LocalVertexError(
            f"{path.name} is no TorchScript, the only form that is served here: save the model "
            "with torch.jit.script(model).save(...), or name a server of your own for this image "
            "in local.programs."
        ) from error

    def predict(body: dict[str, Any]) -> list[Any]:
        rows = [row.get("data", row) if isinstance(row, dict) else row for row in body["instances"]]
        with torch.inference_mode():
            return model(torch.tensor(rows)).tolist()

    return predict


def _from_archive(path: Path) -> Path:
    """Takes the serialized model out of a TorchServe archive whose handler is one of TorchServe's.

    Raises:
        LocalVertexError: The archive has a handler of its own, or is none.
    """
    import tempfile
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read("MAR-INF/MANIFEST.json"))["model"]
            content = archive.read(about["serializedFile"])
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise LocalVertexError(f"{path.name} is no archive of TorchServe: {error}.") from error
    if about.get("handler", "").endswith(".py"):
        raise LocalVertexError(
            f"{path.name} brings the handler {about['handler']}, which needs TorchServe: install "
            "torchserve, and name it for this image in local.programs."
        )
    target = Path(tempfile.mkdtemp(prefix="localvertex-")) / "model.pt"
    target.write_bytes(content)
    return target


class _Handler(BaseHTTPRequestHandler):
    predict: Predict

    def do_GET(self) -> None:
        """Answers the health check: the model is loaded."""
        self._answer(200, {})

    def do_POST(self) -> None:
        """Predicts."""
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self._answer(200, {"predictions": type(self).predict(body)})
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            self._answer(400, {"error": f"{type(error).__name__}: {error}"})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main(framework: str) -> int:
    """Serves until terminated; returns the exit code if it cannot start."""
    trusted = json.loads(os.environ.get(TRUSTED_VARIABLE, "[]"))
    try:
        predict = load(framework, os.environ.get("AIP_STORAGE_URI", ""), trusted)
    except LocalVertexError as error:
        sys.stderr.write(f"LocalVertexError: {error}\n")
        return 1
    _Handler.predict = staticmethod(predict)
    port = int(os.environ["AIP_HTTP_PORT"])
    ThreadingHTTPServer(("127.0.0.1", port), _Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
