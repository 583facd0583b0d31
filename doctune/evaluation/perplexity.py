"""Computes the negative log-likelihood of the reference answers.

The answer's tokens are those that the chat template adds after the prompt, including the
end-of-turn token, so that ending at the right place counts, too. Batches are planned by tokens,
longest first, and only the answer's logits are computed: memory is bounded by `MAX_BATCH_TOKENS`
tokens of activations and `MAX_LOGIT_ROWS` rows of logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from doctune.digests import digest_value
from doctune.errors import EvaluationError
from doctune.evaluation.context import context_of, fit_prompt
from doctune.evaluation.test_set import Example
from doctune.inference.generation import TextGenerator

MAX_BATCH_TOKENS = 4096
MAX_LOGIT_ROWS = 1024


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """The reference answer's negative log-likelihood, in nats, and its size.

    Attributes:
        tokens: Number of its tokens, with the end of turn, by the model's tokenizer.
        ids: Digest of these tokens; likelihoods per token are comparable only if it is the same.
        size: Bytes of the answer in UTF-8, which do not depend on the tokenizer.
    """

    nll: float
    tokens: int
    ids: str = ""
    size: int = 0


@dataclass(frozen=True)
class _Row:
    prompt: list[int]
    answer: list[int]

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.answer)


def score_answers(
    generator: TextGenerator,
    examples: Sequence[Example],
    *,
    on_batch: Callable[[int], None] | None = None,
    on_score: Callable[[int, Likelihood], None] | None = None,
) -> list[Likelihood]:
    """Returns the likelihood of each example's reference answer, in the order given.

    An example longer than the model's context loses the start of its prompt (`context.py`).

    Args:
        on_batch: Called after each batch with the number of examples in it.
        on_score: Called with the position and the likelihood of each example.

    Raises:
        EvaluationError: The chat template adds no tokens for an answer.
    """
    limit = context_of(generator)
    rows = [_encode(generator, example, limit) for example in examples]
    results: dict[int, Likelihood] = {}
    for batch in plan_batches([row.length for row in rows], [len(row.answer) for row in rows]):
        for index, value in zip(
            batch, _score_batch(generator, [rows[i] for i in batch]), strict=True
        ):
            answer = rows[index].answer
            results[index] = Likelihood(
                nll=value,
                tokens=len(answer),
                ids=digest_value(answer)[:16],
                size=len(examples[index].reference.encode()),
            )
            if on_score:
                on_score(index, results[index])
        if on_batch:
            on_batch(len(batch))
    return [results[index] for index in range(len(rows))]


def plan_batches(lengths: Sequence[int], answers: Sequence[int]) -> list[list[int]]:
    """Groups rows of similar length into batches within the bounds; one row may exceed them."""
    order = sorted(range(len(lengths)), key=lambda index: lengths[index], reverse=True)
    batches: list[list[int]] = []
    widest = kept = 0
    for index in order:
        if batches:
            size = len(batches[-1]) + 1
            kept = max(kept, answers[index] + 1)
            if size * widest <= MAX_BATCH_TOKENS and size * kept <= MAX_LOGIT_ROWS:
                batches[-1].append(index)
                continue
        batches.append([index])
        widest, kept = lengths[index], answers[index] + 1
    return batches


def answer_tokens(generator: TextGenerator, example: Example) -> tuple[list[int], list[int]]:
    """Returns the token ids of the prompt and of the answer with its end-of-turn token."""
    prompt = generator.encode(example.prompt)
    whole = generator.tokenizer.apply_chat_template(
        [*generator.fitted(example.prompt), {"role": "assistant", "content": example.reference}],
        tokenize=True,
        return_dict=True,
    )["input_ids"]
    # Some templates change the text before the answer (a thinking tag, merged white space): the
    # answer begins at the first difference.
    start = next(
        (i for i, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b),
        min(len(prompt), len(whole)),
    )
    answer = list(whole[start:])
    stops = generator.stop_tokens()
    ends = [position for position, token in enumerate(answer) if token in stops]
    if ends:
        answer = answer[
            : ends[-1] + 1
        ]  # the template's text after the turn is not part of the answer
    if not answer or start == 0:
        raise EvaluationError(
            f"Example {example.index + 1}: the model's chat template adds no tokens for the "
            "answer; the tokenizer needs a template that holds the assistant's turn."
        )
    return list(whole[:start]), answer


def _encode(generator: TextGenerator, example: Example, limit: int | None) -> _Row:
    prompt, answer = answer_tokens(generator, example)
    if limit is not None and len(prompt) + len(answer) > limit:
        kept = fit_prompt(generator, example.prompt, len(answer))
        prompt, answer = answer_tokens(generator, replace(example, prompt=kept))
    return _Row(prompt, answer)


def _score_batch(generator: TextGenerator, rows: Sequence[_Row]) -> list[float]:
    import torch
    from torch.nn.functional import cross_entropy

    model = generator.model
    width = max(row.length for row in rows)
    kept = max(len(row.answer) for row in rows) + 1
    # Padded on the left, so that one slice has the logits of all answers.
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, (line, present) in zip(rows, zip(ids, mask, strict=True), strict=True):
        line[width - row.length :] = torch.tensor(row.prompt + row.answer)
        present[width - row.length :] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.inference_mode():
        logits = model(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            position_ids=positions.to(model.device),
            logits_to_keep=kept,
            use_cache=False,
        ).logits
        values = []
        for row, line in zip(rows, logits, strict=True):
            count = len(row.answer)
            predicted = line[-count - 1 : -1].float()
            target = torch.tensor(row.answer, device=predicted.device)
            values.append(float(cross_entropy(predicted, target, reduction="sum")))
    return values
