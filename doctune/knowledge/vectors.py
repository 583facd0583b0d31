"""A unit's vector: the sum of its own, the one in context, and half of its passage's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from doctune.inference.sentence_encoder import Floats, encode
from doctune.knowledge.passages import Passage, Unit

_PASSAGE_SHARE = 0.5


def context_text(title: str, passage: Passage, unit: Unit) -> str:
    """Returns a unit with the context that makes it understandable on its own."""
    parts = [title.split(":")[0], " > ".join(passage.heading[-2:]), unit.lead[:150], unit.text]
    return " | ".join(part for part in parts if part)


def passage_text(title: str, passage: Passage) -> str:
    """Returns a passage preceded by its document's title and its headings."""
    return f"{title.split(':')[0]}. {' > '.join(passage.heading[-2:])}. {passage.text}"


def unit_vectors(title: str, passages: Sequence[Passage], encoder: Path) -> Floats:
    """Returns one vector per unit of a document, in order."""
    units = [(at, unit) for at, passage in enumerate(passages) for unit in passage.units]
    own = encode([unit.text for _, unit in units], encoder)
    context = encode([context_text(title, passages[at], unit) for at, unit in units], encoder)
    whole = encode([passage_text(title, one) for one in passages], encoder)
    total = own + context + _PASSAGE_SHARE * whole[[at for at, _ in units]]
    return total.astype(np.float16).astype(np.float32)
