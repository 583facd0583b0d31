"""The loaded model: finds the weights, checks requests, queues them for batching."""

from __future__ import annotations

import copy
import logging
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctune.artifacts import local_folder
from doctune.chat_schema import ChatRequest
from doctune.errors import ModelError
from doctune.inference.batching import Batcher, BatchState, Request, Ticket
from doctune.inference.chat_template import ChatTokenizer, Message
from doctune.inference.memory import give_back_freed
from doctune.inference.options import GenerationOptions
from doctune.serving.schema import (
    Parameters,
    PredictRequest,
    RequestError,
    check_answer_tokens,
    check_instances,
)
from doctune.serving.tools import ToolChatRequest

if TYPE_CHECKING:
    from doctune.inference.completion import Completion
    from doctune.inference.generator import Generator
    from doctune.serving.options import ServingOptions

# Transformers represents "no limit" by a huge number.
_NO_LIMIT = 1_000_000

logger = logging.getLogger("doctune.serving")


def load_engine(options: ServingOptions) -> Engine:
    """Fetches the artifact, loads the model and answers one short prompt with it.

    Raises:
        DoctuneError: There is no artifact, or it holds no model that can be loaded.
    """
    start = time.monotonic()
    folder = weights_folder(local_folder(options.model_uri))
    # The requests' own threads tokenize: the tokenizer's pool would only fight them for the cores.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    _log_as_doctune_does()
    generator = _load_generator(folder, options)
    if not generator.tokenizer.chat_template:
        raise ModelError(f"{folder} has no chat template: export the model with its tokenizer.")
    loaded = time.monotonic()
    _warm_up(generator, options)
    logger.info(
        "Loaded the model of %s in %.1f s and warmed it up in %.1f s: %s",
        options.model_uri,
        loaded - start,
        time.monotonic() - loaded,
        options_by_machine(generator, options),
    )
    return Engine(generator, options)


def _load_generator(folder: Path, options: ServingOptions) -> Generator:
    if options.engine == "openvino":
        from doctune.inference.openvino_generator import OpenVinoGenerator

        return OpenVinoGenerator.load(folder, batch_size=options.max_batch_size)
    use_all_cores()
    from doctune.inference.generation import TextGenerator

    return TextGenerator.load(folder)


def _warm_up(generator: Generator, options: ServingOptions) -> None:
    """Answers one prompt alone and a full batch.

    The first call of each shape includes set-up that no user should have to wait for.
    """
    prompt: list[Message] = [{"role": "user", "content": "?"}]
    few = GenerationOptions(max_new_tokens=2)
    for prompts in (1, options.max_batch_size):
        generator.generate([prompt] * prompts, few, batch_size=prompts)
    give_back_freed()


def options_by_machine(generator: Generator, options: ServingOptions) -> str:
    """Returns the options that were chosen for this machine, for the log."""
    chosen = {
        "engine": options.engine,
        "cpus": len(os.sched_getaffinity(0)),
        "idle_threads": os.environ.get("OMP_WAIT_POLICY", "").lower() or "default",
        "batch": options.max_batch_size,
        **generator.chosen_for_machine(),
    }
    return ", ".join(f"{name} {value}" for name, value in chosen.items())


def weights_folder(artifact: Path) -> Path:
    """Returns the folder with the weights: `model/` in doctune's layout, or the artifact itself.

    Raises:
        ModelError: Neither holds a `config.json`.
    """
    for folder in (artifact / "model", artifact):
        if (folder / "config.json").is_file():
            return folder
    raise ModelError(
        f"{artifact} holds no model: expected config.json and *.safetensors in it or in model/."
    )


def use_all_cores() -> None:
    """Gives torch one thread per core of this process, unless `OMP_NUM_THREADS` is set."""
    # Threads that spin while they wait for each other leave nothing to other processes: beside two
    # busy ones, a server with two threads fell from 13 tokens a second to 1. OpenMP reads this when
    # it is loaded, with torch.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(len(os.sched_getaffinity(0)))


def _log_as_doctune_does() -> None:
    """Gives transformers' warnings our log format, and drops its progress bars."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.disable_default_handler()
    for handler in logging.getLogger("doctune").handlers:
        transformers_logging.add_handler(handler)


class Engine:
    """Answers prediction requests."""

    def __init__(self, generator: Generator, options: ServingOptions) -> None:
        self._options = options
        # Called with each ticket once it is answered, failed or given up.
        self.on_end: Callable[[Ticket, Future[Completion]], None] | None = None
        limit = generator.context
        self._context = limit if limit and limit < _NO_LIMIT else _NO_LIMIT
        # A tokenizer is not safe in two threads: requests are checked with a copy of it, in a
        # thread of its own, while the worker generates.
        self._checker = ChatTokenizer(copy.deepcopy(generator.tokenizer))
        self._takes_tools = self._checker.takes_tools
        self.check_thread = ThreadPoolExecutor(1, thread_name_prefix="check")
        self._batcher = Batcher(
            generator,
            max_batch_size=options.max_batch_size,
            max_waiting=options.max_waiting,
            stuck_seconds=options.stuck_seconds,
        )

    @property
    def chat_requests(self) -> type[ChatRequest]:
        """The chat requests that the model can take: with tools where its template shows them."""
        return ToolChatRequest if self._takes_tools else ChatRequest

    @property
    def problem(self) -> str:
        """Why the model does not generate; "" if it does."""
        return self._batcher.problem

    def state(self) -> BatchState:
        """Returns the worker's current and total counts."""
        return self._batcher.state()

    def check(self, request: PredictRequest) -> list[Request]:
        """Checks a request, and returns its instances ready to be queued.

        However many they are, they take one turn together among the callers.

        Raises:
            RequestError: The request exceeds a limit; the message names the field.
        """
        check_instances(len(request.instances), self._options.max_instances)
        parameters = request.parameters or Parameters()
        wanted = self._allowed(parameters.max_new_tokens, "parameters.max_new_tokens")
        requests, caller = [], uuid.uuid4().hex
        for index, instance in enumerate(request.instances):
            field = f"instances[{index}].{'prompt' if instance.messages is None else 'messages'}"
            prompt, room = self._encoded(instance.conversation(), field)
            options = GenerationOptions(
                max_new_tokens=self._length(wanted, room, "parameters.max_new_tokens", field),
                temperature=parameters.temperature,
                top_p=parameters.top_p,
                seed=parameters.seed,
            )
            requests.append(Request(prompt=prompt, options=options, caller=caller))
        return requests

    def check_chat(self, request: ChatRequest, on_text: Callable[[str], None]) -> Request:
        """Checks a chat request, and returns it ready to be queued.

        Args:
            on_text: Called with each piece of the answer, in the worker's thread.

        Raises:
            RequestError: It is not; the message names the field.
        """
        field = "max_tokens" if request.max_tokens is not None else "max_completion_tokens"
        wanted = self._allowed(request.limit, field)
        offered = request.offered if isinstance(request, ToolChatRequest) else ()
        prompt, room = self._encoded(request.conversation(), "messages", offered)
        options = GenerationOptions(
            max_new_tokens=self._length(wanted, room, field, "messages"),
            temperature=request.temperature or 0.0,
            top_p=1.0 if request.top_p is None else request.top_p,
            seed=request.seed,
        )
        return Request(
            prompt=prompt,
            options=options,
            stop=request.stops,
            on_text=on_text,
            # Who gives no name is a caller of its own.
            caller=f"user {request.user}" if request.user else uuid.uuid4().hex,
        )

    def submit(self, requests: Sequence[Request]) -> list[Ticket]:
        """Queues checked requests: all of them or none.

        Raises:
            QueueFullError: Too many requests are waiting.
        """
        tickets = self._batcher.submit(requests)
        if self.on_end is not None:
            for ticket in tickets:
                ticket.answer.add_done_callback(partial(self.on_end, ticket))
        return tickets

    def close(self) -> None:
        """Answers the queued requests, then stops."""
        self.check_thread.shutdown()
        self._batcher.close(self._options.shutdown_seconds)

    def _allowed(self, wanted: int | None, field: str) -> int | None:
        check_answer_tokens(wanted, self._options.max_new_tokens, field)
        return wanted

    def _encoded(
        self, conversation: list[Message], field: str, tools: Sequence[Mapping[str, Any]] = ()
    ) -> tuple[list[int], int]:
        """Returns the prompt's tokens, and how many more fit into the context."""
        from jinja2 import TemplateError

        try:
            prompt = self._checker.encode(conversation, tools)
        except TemplateError as error:
            raise RequestError(f"{field}: the chat template refuses it: {error}") from error
        room = self._context - len(prompt)
        if room < 1:
            raise RequestError(
                f"{field}: {len(prompt)} tokens leave no room for an answer in the model's "
                f"context of {self._context}"
            )
        return prompt, room

    def _length(self, wanted: int | None, room: int, field: str, prompt_field: str) -> int:
        """Returns how many tokens an answer may have."""
        if wanted is not None and wanted > room:
            raise RequestError(
                f"{field}: {prompt_field} has {self._context - room} tokens, so only {room} "
                f"are left of the model's context of {self._context}"
            )
        default = min(GenerationOptions().max_new_tokens, self._options.max_new_tokens, room)
        return wanted or default
