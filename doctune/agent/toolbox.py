"""Tools given to the agent: typed Python functions that a model may call while it answers.

    tools = Toolbox()

    @tools.add
    def stock(part: str) -> int:
        '''Returns how many of a spare part are in stock.'''
        ...

    Agent.open(index, stages, tools=tools)

Tools are offered only to stages whose model supports tools in its chat template. Arguments are
validated against the function's types before the call; results are treated as data, like passages.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import (
    ArgsKwargs,
    PydanticSerializationError,
    from_json,
    to_json,
    to_jsonable_python,
)

from doctune.agent.context import readable
from doctune.agent.messages import ToolCall
from doctune.agent.orders import without_orders
from doctune.errors import ConfigurationError, UsageError
from doctune.validation import first_problem

TOOL_SECONDS = 10.0
_MOST_CHARACTERS = 4000

_Function = TypeVar("_Function", bound=Callable[..., Any])
logger = logging.getLogger("doctune.agent")


@dataclass(frozen=True)
class _Tool:
    asynchronous: bool
    adapter: TypeAdapter[Any]
    schema: dict[str, Any]


class Toolbox:
    """A registry of functions that a model may call."""

    def __init__(self, functions: Iterable[Callable[..., Any]] = ()) -> None:
        """Registers functions.

        Raises:
            UsageError: One lacks a docstring or the type of a parameter.
        """
        self._tools: dict[str, _Tool] = {}
        for function in functions:
            self.add(function)

    def __bool__(self) -> bool:
        return bool(self._tools)

    def add(self, function: _Function) -> _Function:
        """Registers a function, which may be asynchronous; usable as a decorator.

        Raises:
            UsageError: It lacks a docstring or the type of a parameter, or its name is taken.
        """
        name = function.__name__
        description = inspect.getdoc(function)
        if not description:
            raise UsageError(f"the tool {name} needs a docstring: it tells the model what it does.")
        for parameter in inspect.signature(function).parameters.values():
            if parameter.annotation is parameter.empty:
                raise UsageError(f"the tool {name} needs a type for {parameter.name}.")
            if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
                raise UsageError(f"the tool {name} must accept {parameter.name} by name.")
        if name in self._tools:
            raise UsageError(f"a tool named {name} already exists.")
        guarded: Any = _guarded(function)
        adapter: TypeAdapter[Any] = TypeAdapter(guarded)
        schema = {
            "type": "function",
            "function": {
                "name": name,
                "description": description,
                "parameters": adapter.json_schema(),
            },
        }
        self._tools[name] = _Tool(inspect.iscoroutinefunction(function), adapter, schema)
        return function

    @property
    def schemas(self) -> tuple[dict[str, Any], ...]:
        """The tools in OpenAI's format."""
        return tuple(tool.schema for tool in self._tools.values())

    async def call(self, call: ToolCall) -> str:
        """Runs a tool and returns its result, or the error, as text for the model."""
        tool = self._tools.get(call.name)
        if tool is None:
            return f"Error: there is no tool {call.name!r}."
        try:
            async with asyncio.timeout(TOOL_SECONDS):
                found = await _called(tool, call.arguments)
        except (ValidationError, ValueError) as error:
            return f"Error: wrong arguments: {_problem(error)}"
        except TimeoutError:
            logger.warning("The tool %s took more than %g s", call.name, TOOL_SECONDS)
            return "Error: the tool took too long."
        except _ToolError:
            # What went wrong is the operator's to know, not the model's.
            logger.exception("The tool %s failed", call.name)
            return "Error: the tool failed."
        return found[:_MOST_CHARACTERS]


def load_toolbox(name: str) -> Toolbox:
    """Imports a toolbox from a Python module.

    Args:
        name: `module:name`.

    Raises:
        ConfigurationError: It cannot be imported, or is not a toolbox.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"tools: {name} cannot be loaded: {error}.") from error
    if not isinstance(found, Toolbox):
        raise ConfigurationError(f"tools: {name} is not a doctune.agent.Toolbox.")
    return found


class _ToolError(Exception):
    """A tool raised an exception, or its result cannot be written as JSON."""


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a function so that its exceptions differ from those for invalid arguments."""

    @functools.wraps(function)
    def plain(*args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except Exception as error:
            raise _ToolError from error

    @functools.wraps(function)
    async def awaited(*args: Any, **named: Any) -> Any:
        try:
            return await function(*args, **named)
        except Exception as error:
            raise _ToolError from error

    return awaited if inspect.iscoroutinefunction(function) else plain


async def _called(tool: _Tool, arguments: str) -> str:
    given = from_json(arguments or "{}")
    if not isinstance(given, dict):
        raise ValueError("not a JSON object")
    run = tool.adapter.validate_python  # checks the arguments, and calls
    if tool.asynchronous:
        found = await run(ArgsKwargs((), given))
    else:
        found = await asyncio.to_thread(run, ArgsKwargs((), given))
    try:
        plain = _cleaned(to_jsonable_python(found))
    except PydanticSerializationError as error:
        raise _ToolError from error
    return plain if isinstance(plain, str) else to_json(plain).decode()


def _cleaned(value: Any) -> Any:
    """Removes invisible characters and instructions to a model from all strings of a value."""
    if isinstance(value, str):
        return without_orders(readable(value))[0]
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    if isinstance(value, dict):
        return {name: _cleaned(one) for name, one in value.items()}
    return value


def _problem(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        return first_problem(error)
    return str(error)
