"""Serves the model of an artifact folder, as Google's prebuilt prediction containers do.

    python -m doctune.localvertex.model_server sklearn|xgboost|pytorch|tensorflow

The folder is AIP_STORAGE_URI, read under /gcs: `model.joblib` or `model.pkl` (scikit-learn),
`model.bst`, `model.json` or `model.ubj` (XGBoost). Archives of TorchServe and SavedModels are
refused with what to do instead.

joblib files and pickles run code when they are loaded: they are opened only in folders that
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
    "pytorch": ("model.mar", "model.pt"),
    "tensorflow": ("saved_model.pb",),
}
_PACKAGES = {"sklearn": "scikit-learn", "xgboost": "xgboost"}
_NOT_SERVED = {"pytorch": "torchserve", "tensorflow": "tensorflow"}

Predict = Callable[[list[Any]], list[Any]]


def load(framework: str, uri: str, trusted: list[str]) -> Predict:
    """Loads the model of an artifact folder.

    Args:
        trusted: Prefixes of gs:// URIs whose pickles may be loaded.

    Raises:
        LocalVertexError: There is none, it may not be loaded, or a package is missing.
    """
    folder = Path(uri.replace("gs://", "/gcs/", 1))
    path = next((folder / n for n in _FILES[framework] if (folder / n).is_file()), None)
    if path is None:
        names = ", ".join(_FILES[framework])
        raise LocalVertexError(f"{uri or 'the model'} holds none of {names}.")
    if framework in _NOT_SERVED:
        raise LocalVertexError(
            f"{path.name} is not served here: install {_NOT_SERVED[framework]}, write a server of "
            "your own, and name it for this image in local.programs."
        )
    try:
        importlib.import_module(framework)
    except ImportError as error:
        raise LocalVertexError(
            f"the model needs {_PACKAGES[framework]}: pip install {_PACKAGES[framework]}."
        ) from error
    if path.name in _PICKLES:
        return _pickled(path, uri, trusted)
    return _boosted(path)


def _pickled(path: Path, uri: str, trusted: list[str]) -> Predict:
    if not any(uri.rstrip("/").startswith(prefix.rstrip("/")) for prefix in trusted):
        raise LocalVertexError(
            f"{uri}/{path.name} is a pickle, which runs code when it is loaded: add "
            f'"{uri}" to local.trusted_models in vertex_config.yaml if you trust who wrote it.'
        )
    import joblib

    model = joblib.load(path)

    def predict(instances: list[Any]) -> list[Any]:
        import numpy as np

        rows: Any = np.asarray(instances)
        if type(model).__module__.startswith("xgboost.core"):
            import xgboost

            rows = xgboost.DMatrix(rows)
        return np.asarray(model.predict(rows)).tolist()

    return predict


def _boosted(path: Path) -> Predict:
    import xgboost

    model = xgboost.Booster()
    model.load_model(path)

    def predict(instances: list[Any]) -> list[Any]:
        import numpy as np

        matrix = xgboost.DMatrix(np.asarray(instances, dtype=float))
        return np.asarray(model.predict(matrix, validate_features=False)).tolist()

    return predict


class _Handler(BaseHTTPRequestHandler):
    predict: Predict

    def do_GET(self) -> None:
        """Answers the health check: the model is loaded."""
        self._answer(200, {})

    def do_POST(self) -> None:
        """Predicts."""
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self._answer(200, {"predictions": type(self).predict(body["instances"])})
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
    """Serves until it is ended; returns the exit code where it cannot."""
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
