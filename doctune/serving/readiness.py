"""Whether the model server can answer, and why not."""

from collections.abc import Callable
from concurrent.futures import Future

from doctune.inference.batching import Ticket
from doctune.inference.completion import Completion
from doctune.serving.engine import Engine


class Readiness:
    """The engine that answers, or why there is none."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.reason = "the model is loading"
        self.on_end: Callable[[Ticket, Future[Completion]], None] | None = None

    def begin(self, engine: Engine) -> None:
        """Lets an engine answer from now on."""
        engine.on_end = self.on_end
        self.engine = engine

    def problem(self) -> str:
        """Returns why the server cannot answer; "" when it can."""
        if self.engine is None:
            return self.reason
        return self.engine.problem

    def fault(self) -> str:
        """Returns what a restart would mend; "" where there is nothing, as while it loads."""
        return "" if self.engine is None else self.engine.problem
