"""The part of this package that is compiled, where it could be: PDFium asked in bulk.

`module` is None where no compiler was at hand when doctune was installed, or where
`DOCTUNE_PURE_PYTHON` is set: then the same is done in Python, several times slower.
"""

import os
from types import ModuleType

import pypdfium2.raw as pdfium

from doctune.documents.foreign import address_of


def _load() -> ModuleType | None:
    if os.environ.get("DOCTUNE_PURE_PYTHON"):
        return None
    try:
        from doctune.documents import _native
    except ImportError:
        return None
    _native.bind(tuple(address_of(getattr(pdfium, name)) for name in _native.function_names()))
    return _native


module = _load()
