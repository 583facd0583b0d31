"""Tiny models and a test set, made once for the whole package."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.evaluation.tiny_models import make_row, write_model, write_rows, write_tuned


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny matrices are slower on two threads than on one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTUNE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model."""
    return write_model(tmp_path_factory.mktemp("models") / "base", seed=0)


@pytest.fixture(scope="session")
def tuned_dir(tmp_path_factory: pytest.TempPathFactory, base_dir: Path) -> Path:
    """A tuned model of that base."""
    return write_tuned(tmp_path_factory.mktemp("models") / "tuned", base_dir, seed=1)


@pytest.fixture(scope="session")
def test_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test set of 12 examples."""
    folder = tmp_path_factory.mktemp("test-set")
    return write_rows(folder / "test.jsonl", [make_row(number) for number in range(12)])
