"""The loaded model: finds the weights, checks requests, hands them to the batches."""

from __future__ import annotations

import copy
import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from doctune.artifacts import local_folder
from doctune.errors import ModelError
from doctune.inference.batching import Batcher
from doctune.inference.generation import Completion, GenerationOptions
from doctune.serving.schema import Instance, Parameters, PredictRequest, RequestError

if TYPE_CHECKING:
    from doctune.inference.generation import TextGenerator
    from doctune.serving.options import ServingOptions

# Transformers answers "no limit" with a huge number.
_NO_LIMIT = 1_000_000

logger = logging.getLogger("doctune.serving")


def load_engine(options: ServingOptions) -> Engine:
    """Fetches the artifact, loads the model and answers one short prompt with it.

    Raises:
        DoctuneError: There is no artifact, or it holds no model that can be loaded.
    """
    start = time.monotonic()
    folder = weights_folder(local_folder(options.model_uri))
    use_all_cores()
    _log_as_doctune_does()
    from doctune.inference.generation import TextGenerator

    generator = TextGenerator.load(folder)
    if not generator.tokenizer.chat_template:
        raise ModelError(f"{folder} has no chat template: export the model with its tokenizer.")
    # The first call of a model pays for set-up that no user should wait for.
    generator.generate([[{"role": "user", "content": "?"}]], GenerationOptions(max_new_tokens=1))
    logger.info("Loaded the model of %s in %.1f s", options.model_uri, time.monotonic() - start)
    return Engine(generator, options)


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
    """Gives torch one thread a core that this process may use; `OMP_NUM_THREADS` wins."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    # One worker thread generates: the tokenizer's own pool would only fight it for the cores.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _log_as_doctune_does() -> None:
    """Gives transformers' warnings our log format, and drops its progress bars."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.disable_default_handler()
    for handler in logging.getLogger("doctune").handlers:
        transformers_logging.add_handler(handler)


class Engine:
    """Answers prediction requests."""

    def __init__(self, generator: TextGenerator, options: ServingOptions) -> None:
        self._options = options
        limit = getattr(generator.model.config, "max_position_embeddings", None)
        self._context = limit if limit and limit < _NO_LIMIT else _NO_LIMIT
        # A tokenizer is not safe in two threads: requests are checked with a copy of it, in a
        # thread of its own, while the worker generates.
        self._checker = type(generator)(generator.model, copy.deepcopy(generator.tokenizer))
        self.check_thread = ThreadPoolExecutor(1, thread_name_prefix="check")
        self._batcher = Batcher(
            lambda conversations, chosen, on_answer: generator.generate(
                conversations, chosen, batch_size=options.max_batch_size, on_answer=on_answer
            ),
            max_batch_size=options.max_batch_size,
            max_waiting=options.max_waiting,
            wait_seconds=options.batch_wait_ms / 1000,
        )

    @property
    def healthy(self) -> bool:
        """Whether the model generates."""
        return self._batcher.healthy

    def check(self, request: PredictRequest) -> list[GenerationOptions]:
        """Returns how to decode each instance of a request that is within the bounds.

        Raises:
            RequestError: It is not; the message names the field.
        """
        most = self._options.max_instances
        if len(request.instances) > most:
            raise RequestError(f"instances: {len(request.instances)} are given, {most} are allowed")
        parameters = request.parameters or Parameters()
        wanted = parameters.max_new_tokens
        if wanted is not None and wanted > self._options.max_new_tokens:
            allowed = self._options.max_new_tokens
            raise RequestError(f"parameters.max_new_tokens: {wanted} is more than {allowed}")
        return [
            self._check_instance(instance, index, parameters)
            for index, instance in enumerate(request.instances)
        ]

    def submit(
        self, request: PredictRequest, options: Sequence[GenerationOptions]
    ) -> list[Future[Completion]]:
        """Queues a checked request.

        Raises:
            QueueFullError: Too much is waiting already.
        """
        return self._batcher.submit(
            [instance.conversation() for instance in request.instances], options
        )

    def close(self) -> None:
        """Answers what waits, then stops."""
        self.check_thread.shutdown()
        self._batcher.close(self._options.shutdown_seconds)

    def _check_instance(
        self, instance: Instance, index: int, parameters: Parameters
    ) -> GenerationOptions:
        from jinja2 import TemplateError

        field = f"instances[{index}].{'prompt' if instance.messages is None else 'messages'}"
        try:
            prompt_tokens = len(self._checker.encode(instance.conversation()))
        except TemplateError as error:
            raise RequestError(f"{field}: the chat template refuses it: {error}") from error
        room = self._context - prompt_tokens
        if room < 1:
            raise RequestError(
                f"{field}: {prompt_tokens} tokens leave no room for an answer in the model's "
                f"context of {self._context}"
            )
        wanted = parameters.max_new_tokens
        if wanted is not None and wanted > room:
            raise RequestError(
                f"parameters.max_new_tokens: {field} has {prompt_tokens} tokens, so only {room} "
                f"are left of the model's context of {self._context}"
            )
        default = min(GenerationOptions().max_new_tokens, self._options.max_new_tokens, room)
        return GenerationOptions(
            max_new_tokens=wanted or default,
            temperature=parameters.temperature,
            top_p=parameters.top_p,
            seed=parameters.seed,
        )
