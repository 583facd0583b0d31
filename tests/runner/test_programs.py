"""What runs for an image: the frameworks that it would have."""

import importlib.util

import pytest

from doctune.runner.programs import framework_variables

KERAS_2 = {"TF_USE_LEGACY_KERAS": "1"}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-8:latest", KERAS_2),
        ("gcr.io/vertex-ai/training/tf-gpu.2-15.py310:latest", KERAS_2),
        ("tensorflow/tensorflow:2.13.0", KERAS_2),
        ("us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-17.py310:latest", {}),
        ("tensorflow/tensorflow", {}),
        ("us-docker.pkg.dev/vertex-ai/training/sklearn-cpu.1-0:latest", {}),
    ],
)
def test_an_image_with_an_older_tensorflow_has_keras_2(monkeypatch, image, expected):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert framework_variables(image) == expected


def test_keras_2_that_is_not_installed_is_not_asked_for(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert framework_variables("tensorflow/tensorflow:2.13.0") == {}
