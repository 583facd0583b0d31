"""The state of the model server: whether it can answer and, if not, why."""

from collections.abc import Callable
from concurrent.futures import Future

from doctune.inference.batching import Ticket
from doctune.inference.completion import Completion
from doctune.serving.engine import Engine


class Readiness:
    """The loaded engine, or why there is none."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.reason = "the model is loading"
        self.on_end: Callable[[Ticket, Future[Completion]], None] | None = None

    def begin(self, engine: Engine) -> None:
        """Sets the engine that answers from now on."""
        engine.on_end = self.on_end
        self.engine = engine

    def problem(self) -> str:
        """Returns why the server cannot answer; "" if it can."""
        if self.engine is None:
            return self.reason
        return self.engine.problem

    def fault(self) -> str:
        """Returns a fault that a restart would fix, or "", for example while the model loads."""
        return "" if self.engine is None else self.engine.problem
