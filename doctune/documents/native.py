"""The compiled extension, if available: bulk calls to PDFium.

`module` is None if doctune was installed without a C compiler, or if `DOCTUNE_PURE_PYTHON` is set.
Then Python does the same, several times slower.
"""

import os
from types import ModuleType

import pypdfium2.raw as pdfium

from doctune.documents.foreign import address_of

_NEWEST = "list_objects"  # the function that was added last


def _load() -> ModuleType | None:
    if os.environ.get("DOCTUNE_PURE_PYTHON"):
        return None
    try:
        from doctune.documents import _native
    except ImportError:
        return None
    if not hasattr(_native, _NEWEST):
        return None  # compiled from an older source
    _native.bind(tuple(address_of(getattr(pdfium, name)) for name in _native.function_names()))
    return _native


module = _load()
