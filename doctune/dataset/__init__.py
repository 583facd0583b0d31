"""Documents -> training examples: chunk, generate, clean, split.

`prepare_dataset` is the whole stage; the other modules are its parts. Names are loaded on first
use, so that importing the options stays cheap.
"""

from typing import TYPE_CHECKING, Any

from doctune.dataset.options import DatasetOptions

if TYPE_CHECKING:
    from doctune.dataset.prepare import DatasetSummary, prepare_dataset

__all__ = ["DatasetOptions", "DatasetSummary", "prepare_dataset"]


def __getattr__(name: str) -> Any:
    if name in ("DatasetSummary", "prepare_dataset"):
        from doctune.dataset import prepare

        return getattr(prepare, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
