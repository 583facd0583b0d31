"""A conversation over documents: find, ask, cite, remember, fall back.

`Agent` answers a conversation from a knowledge index, with models or with the documents' own words.
It knows no HTTP: the gateway offers it as a model, `doctune chat` in the terminal.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from doctune.agent.options import AgentOptions

if TYPE_CHECKING:
    from doctune.agent.core import Agent
    from doctune.agent.followups import Turn
    from doctune.agent.messages import Citation, Message, Reply, Speaker
    from doctune.agent.stages import Stage, StageAnswer, StageError
    from doctune.agent.toolbox import Toolbox
    from doctune.agent.tools import as_tool

_HOMES = {
    "Agent": "core",
    "Citation": "messages",
    "Message": "messages",
    "Reply": "messages",
    "StageAnswer": "stages",
    "Speaker": "messages",
    "Stage": "stages",
    "StageError": "stages",
    "Toolbox": "toolbox",
    "Turn": "followups",
    "as_tool": "tools",
}

__all__ = [
    "Agent",
    "AgentOptions",
    "Citation",
    "Message",
    "Reply",
    "Speaker",
    "Stage",
    "StageAnswer",
    "StageError",
    "Toolbox",
    "Turn",
    "as_tool",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"doctune.agent.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
