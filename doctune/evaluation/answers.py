"""Collects one model's answers on the test set, and the likelihoods of the references.

Models are loaded one at a time. Each result is checkpointed at once, so an interrupted evaluation
repeats none. A checkpoint is keyed by weights, test set, settings, libraries and source code.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from doctune.digests import digest_files
from doctune.evaluation.checkpoint import Checkpoint
from doctune.evaluation.context import fit_prompt
from doctune.evaluation.perplexity import Likelihood, score_answers
from doctune.evaluation.test_set import Example, Message
from doctune.inference.completion import Completion
from doctune.inference.generation import TextGenerator
from doctune.inference.generator import Generator
from doctune.inference.options import GenerationOptions
from doctune.progress import progress


@dataclass(frozen=True, kw_only=True)
class Answers:
    """One model's results, one entry per example.

    Attributes:
        latencies: Seconds from the end of prefill to the end of the answer.
        seconds: Time spent on answering, over all attempts.
        prompts_cut: How many prompts were shortened to fit the model's context.
        quiz: The answers to the quiz's prompts; empty without a quiz.
        general: Likelihoods of the answers to the general prompts; empty if they are off.
        digest: SHA-256 of the model's weights, configuration and tokenizer.
        reused: Whether all results come from an earlier evaluation.
    """

    completions: tuple[Completion, ...]
    likelihoods: tuple[Likelihood, ...]
    latencies: tuple[float, ...]
    seconds: float
    prompts_cut: int
    general: tuple[Likelihood, ...]
    quiz: tuple[str, ...]
    digest: str
    reused: bool

    @property
    def tokens_per_second(self) -> float:
        """Answer tokens per second."""
        tokens = sum(completion.completion_tokens for completion in self.completions)
        return tokens / self.seconds if self.seconds > 0 else 0.0

    @property
    def texts(self) -> list[str]:
        """The answers' texts."""
        return [completion.text for completion in self.completions]


class AnswerCollector:
    """Collects all results of one model, resuming an earlier attempt."""

    def __init__(
        self,
        name: str,
        folder: Path,
        examples: Sequence[Example],
        general: Sequence[Example],
        *,
        test_digest: str,
        max_new_tokens: int,
        batch_size: int,
        quiz: Sequence[Sequence[Message]] = (),
        engine: str = "native",
    ) -> None:
        self._name, self._folder = name, folder
        self._examples, self._general, self._quiz = examples, general, quiz
        self._options = GenerationOptions(max_new_tokens=max_new_tokens)
        self._batch_size, self._engine = batch_size, engine
        self.digest = model_digest(folder)
        self.checkpoint = Checkpoint(
            {
                "model": self.digest,
                "test": test_digest,
                "examples": [example.index for example in examples],
                "general": [example.reference for example in general],
                "quiz": [list(messages) for messages in quiz],
                "max_new_tokens": max_new_tokens,
                "libraries": _libraries(),
                "sources": _sources(),
                **({} if engine == "native" else {"engine": engine}),
            }
        )

    def answers(self) -> Answers:
        """Returns the model's results.

        Raises:
            ModelError: The folder does not hold a model that can be loaded.
        """
        reused = not (
            self._missing("completion", self._examples)
            or self._missing("score", self._examples)
            or self._missing("general", self._general)
            or self._missing("quiz", self._quiz)
        )
        if not reused:
            generator = TextGenerator.load(self._folder)
            self._score(generator, "score", self._examples, f"Scoring the {self._name} model")
            self._score(generator, "general", self._general, f"Probing the {self._name} model")
            prompts = [example.prompt for example in self._examples]
            answering = self._answering(generator)
            title = f"Answering with the {self._name} model"
            self._generate(generator, answering, "completion", prompts, title)
            title = f"Asking the {self._name} model the quiz"
            self._generate(generator, answering, "quiz", self._quiz, title)
            del generator, answering
            gc.collect()
        completions = [self._stored("completion", i) for i in range(len(self._examples))]
        return Answers(
            latencies=tuple(row["seconds"] for row in completions),
            seconds=sum(row.pop("waited") for row in completions),
            prompts_cut=sum(row.pop("cut") for row in completions),
            completions=tuple(Completion(**row) for row in completions),
            likelihoods=tuple(
                Likelihood(**self._stored("score", i)) for i in range(len(self._examples))
            ),
            general=tuple(
                Likelihood(**self._stored("general", i)) for i in range(len(self._general))
            ),
            quiz=tuple(self._stored("quiz", i)["text"] for i in range(len(self._quiz))),
            digest=self.digest,
            reused=reused,
        )

    def _answering(self, generator: TextGenerator) -> Generator:
        """Returns what answers: the engine that will serve, whose likelihoods nobody can ask."""
        if self._engine == "native":
            return generator
        from doctune.inference.openvino_generator import OpenVinoGenerator

        return OpenVinoGenerator.load(self._folder, batch_size=self._batch_size)

    def _stored(self, kind: str, position: int) -> dict[str, Any]:
        return dict(self.checkpoint.get(kind, position) or {})

    def _missing(self, kind: str, asked: Sequence[Any]) -> list[int]:
        return [i for i in range(len(asked)) if self.checkpoint.get(kind, i) is None]

    def _score(
        self, generator: TextGenerator, kind: str, examples: Sequence[Example], title: str
    ) -> None:
        left = self._missing(kind, examples)
        if not left:
            return
        with progress(title, len(examples), "examples") as bar:
            bar.advance(len(examples) - len(left))
            score_answers(
                generator,
                [examples[i] for i in left],
                on_batch=bar.advance,
                on_score=lambda i, score: self.checkpoint.add(kind, left[i], asdict(score)),
            )

    def _generate(
        self,
        generator: TextGenerator,
        answering: Generator,
        kind: str,
        conversations: Sequence[Sequence[Message]],
        title: str,
    ) -> None:
        left = self._missing(kind, conversations)
        if not left:
            return
        asked = [tuple(conversations[i]) for i in left]
        prompts = [fit_prompt(generator, one, self._options.max_new_tokens) for one in asked]
        last = time.monotonic()

        def keep(i: int, completion: Completion) -> None:
            nonlocal last
            waited, last = time.monotonic() - last, time.monotonic()
            row = {**asdict(completion), "waited": waited, "cut": prompts[i] != asked[i]}
            self.checkpoint.add(kind, left[i], row)
            bar.advance(1)

        with progress(title, len(conversations), "questions") as bar:
            bar.advance(len(conversations) - len(left))
            answering.generate(prompts, self._options, batch_size=self._batch_size, on_answer=keep)


def model_digest(folder: Path) -> str:
    """Returns the digest of the model files that its answers depend on."""
    return digest_files(
        (path.name, path)
        for pattern in ("*.safetensors", "*.json", "*.jinja")
        for path in folder.glob(pattern)
    )


def _libraries() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("doctune", "torch", "transformers")}


def _sources() -> str:
    """Returns the digest of the code that answers depend on."""
    root = Path(__file__).parents[1]
    names = (
        *(f"inference/{name}.py" for name in ("generation", "decoding", "slot_cache", "onednn")),
        "evaluation/perplexity.py",
        "evaluation/context.py",
    )
    return digest_files((name, root / name) for name in names)
