"""What all tests share: nothing of the user's own configuration or cache is touched."""

import os

import pytest

# Before any library of Google's or Hugging Face's is imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.startswith("DOCTUNE_") and variable != "DOCTUNE_CACHE":
            monkeypatch.delenv(variable)
