"""How large the images are, as the container engine counts them.

    python benchmarks/images.py [--json]

Sizes are in MB (10^6 bytes) on disk, the base among them. `packages` is the layer that a new
version of a package replaces, `source` the one that a change of doctune does; `system` is the base
and the Debian packages. The last line is one JSON object with `--json`.
"""

import argparse
import json
import sys

from components import images
from doctune.errors import DoctuneError
from doctune.runner import engine

_GATEWAY = images.OPS.replace("/ops:", "/gateway:")
_IMAGES = (images.OPS, images.DOCUMENTS, _GATEWAY, images.SERVING, images.TRAINING)
_LAYERS = {"/opt/venv": "packages", "/opt/doctune": "source"}


def main() -> int:
    """Prints the sizes; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    options = parser.parse_args()
    try:
        measured = _measure()
    except DoctuneError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for name, sizes in measured.items():
        parts = ", ".join(f"{part} {size} MB" for part, size in sizes.items() if part != "all")
        print(f"{name}: {sizes['all']} MB ({parts})")
    if options.json:
        print(json.dumps(measured))
    return 0


def _measure() -> dict[str, dict[str, int]]:
    with engine.connect() as client:
        engine.require_images(client, _IMAGES)
        found = {}
        for name in _IMAGES:
            image = client.images.get(name)
            sizes = dict.fromkeys(_LAYERS.values(), 0)
            for layer in image.history():
                for folder, part in _LAYERS.items():
                    if f" in {folder}" in layer["CreatedBy"] or f" {folder} " in layer["CreatedBy"]:
                        sizes[part] += layer["Size"]
            sizes["system"] = image.attrs["Size"] - sum(sizes.values())
            short = name.rpartition("/")[2]
            found[short] = {
                part: round(size / 1e6)
                for part, size in {"all": image.attrs["Size"], **sizes}.items()
            }
    return found


if __name__ == "__main__":
    sys.exit(main())
