"""Documents -> training examples: chunk, generate, clean, split.

`prepare_dataset` is the whole stage; the rest of the package are its parts. Its names are loaded
when they are first used, so that importing the options stays cheap.
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
