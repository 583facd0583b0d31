"""One answer of a model, whoever computed it."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Completion:
    """One answer."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str  # "stop" or "length"
    seconds: float = field(default=0.0, compare=False)  # from when its prompt was read

    @property
    def prediction(self) -> dict[str, Any]:
        """What the model server says of it."""
        return {name: value for name, value in asdict(self).items() if name != "seconds"}
