"""What runs on this machine for a container image."""

import fnmatch
import importlib.util
import re
import sys
from collections.abc import Mapping, Sequence

from doctune.errors import ProgramError

# Google's training images (tf-cpu.2-8) and TensorFlow's own (tensorflow:2.13.0).
_TENSORFLOW = re.compile(r"(?:/tf-(?:cpu|gpu|tpu)\.|tensorflow/tensorflow:)2[-.](?P<minor>\d+)")
_FIRST_WITH_KERAS_3 = 16


def resolve_program(
    image: str,
    programs: Mapping[str, Sequence[str]],
    *,
    command: Sequence[str] = (),
    arguments: Sequence[str] = (),
) -> list[str]:
    """Returns the command line for a container, as the container engine would put it together.

    The image's entry in the table takes the place of its entry point; the container's own command
    replaces it, its arguments follow.

    Raises:
        ProgramError: No entry matches the image; the message says how to add one.
    """
    # An image without a tag is its latest one.
    named = image if ":" in image.rpartition("/")[2] else f"{image}:latest"
    matching = [
        program
        for pattern, program in programs.items()
        if fnmatch.fnmatchcase(image, pattern) or fnmatch.fnmatchcase(named, pattern)
    ]
    if not matching:
        raise ProgramError(
            f"The image {image!r} is not mapped to a local program: add an entry to "
            "local.programs in vertex_config.yaml, such as "
            f'"{image}": ["{{python}}", "-m", "your_server"].'
        )
    entry = [part.replace("{python}", sys.executable) for part in matching[0]]
    if command:
        return [*command, *arguments]
    if not entry:
        raise ProgramError(
            f"The image {image!r} is mapped to an environment only (its entry in local.programs is "
            "empty), and the container has no command."
        )
    return [*entry, *arguments]


def framework_variables(image: str) -> dict[str, str]:
    """Returns the variables that make this machine's frameworks those of an image.

    TensorFlow came with Keras 2 up to 2.15; later ones use it if they are told so and it is
    installed (tf_keras).
    """
    match = _TENSORFLOW.search(image)
    if match is None or int(match["minor"]) >= _FIRST_WITH_KERAS_3:
        return {}
    return {"TF_USE_LEGACY_KERAS": "1"} if importlib.util.find_spec("tf_keras") else {}
