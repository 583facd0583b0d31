"""The container images of the steps, pinned at compile time.

Prefix and tag come from `vertex_config.yaml`; `compile.py --image-prefix --image-tag` sets them
through the environment before a component is imported.
"""

from doctune.configuration.settings import load_vertex_settings

_IMAGES = load_vertex_settings().images


def _image(name: str) -> str:
    return f"{_IMAGES.prefix}/{name}:{_IMAGES.tag}"


TAG = _IMAGES.tag
DOCUMENTS = _image("documents")
TRAINING = _image("training")
SERVING = _image("serving")
SERVING_VLLM = _image("serving-vllm")
OPS = _image("ops")
