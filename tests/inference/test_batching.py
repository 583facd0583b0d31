"""Concurrent requests on a real small model: each is answered as if it had been alone."""

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from transformers import MistralConfig, MistralForCausalLM

from doctune.inference import flight
from doctune.inference.batching import Batcher, QueueFullError, Request, Ticket
from doctune.inference.generation import TextGenerator
from doctune.inference.options import GenerationOptions
from tests.serving.tiny_model import CONTEXT, write_tiny_model

WAIT = 30  # seconds, for anything
QUESTIONS = ["How?", "What does the pump have and which valve has a seal?", "Which seal?", "?"]
GREEDY = GenerationOptions(max_new_tokens=12)


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> TextGenerator:
    folder = write_tiny_model(tmp_path_factory.mktemp("model"))
    return TextGenerator.load(folder / "model")


@pytest.fixture
def batcher(generator: TextGenerator) -> Iterator[Batcher]:
    batcher = Batcher(generator, max_batch_size=4, max_waiting=6)
    yield batcher
    batcher.close(WAIT)


class Slow:
    """Holds the worker after each token of one request until the test lets it go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.release = threading.Event()

    def __call__(self, _: str) -> None:
        self.reached.set()
        assert self.release.wait(WAIT)


def request(generator: TextGenerator, text: str, options: GenerationOptions = GREEDY, **more):
    prompt = generator.encode([{"role": "user", "content": text}])
    return Request(prompt=prompt, options=options, **more)


def hold(batcher: Batcher, generator: TextGenerator, tokens: int = 40) -> tuple[Slow, Ticket]:
    slow = Slow()
    options = GenerationOptions(max_new_tokens=tokens)
    (ticket,) = batcher.submit([request(generator, "first", options, on_text=slow)])
    assert slow.reached.wait(WAIT)
    return slow, ticket


def test_requests_that_differ_in_every_option_share_a_batch_and_are_answered_as_alone(
    generator, batcher
) -> None:
    chosen = [
        GREEDY,
        GenerationOptions(max_new_tokens=30),
        GenerationOptions(max_new_tokens=9, temperature=2.0, seed=3),
        GenerationOptions(max_new_tokens=9, temperature=1.0, top_p=0.5, seed=4),
    ]
    alone = [
        generator.generate([[{"role": "user", "content": question}]], options)[0]
        for question, options in zip(QUESTIONS, chosen, strict=True)
    ]
    slow, _ = hold(batcher, generator, tokens=3)
    tickets = batcher.submit(
        [request(generator, q, o) for q, o in zip(QUESTIONS, chosen, strict=True)]
    )
    slow.release.set()
    assert [ticket.answer.result(WAIT) for ticket in tickets] == alone


def test_a_waiting_request_joins_while_another_is_still_being_answered(generator, batcher) -> None:
    slow, first = hold(batcher, generator)
    short = batcher.submit([request(generator, "How?", GenerationOptions(max_new_tokens=2))])[0]
    held = Slow()
    watcher = batcher.submit([request(generator, "Which?", GREEDY, on_text=held)])[0]
    slow.release.set()
    assert held.reached.wait(WAIT)
    assert not first.answer.done()
    held.release.set()
    assert short.answer.result(WAIT).completion_tokens == 2
    assert watcher.answer.result(WAIT).completion_tokens > 0


def test_a_longer_prompt_joins_shorter_ones_in_flight(generator, batcher) -> None:
    long = "the pump has a valve and the valve has a seal " * 2
    options = GenerationOptions(max_new_tokens=10)
    alone = generator.generate([[{"role": "user", "content": long}]], options)[0]
    of_first = generator.generate(
        [[{"role": "user", "content": "first"}]], GenerationOptions(max_new_tokens=40)
    )[0]
    slow, first = hold(batcher, generator)
    (ticket,) = batcher.submit([request(generator, long, options)])
    slow.release.set()
    assert ticket.answer.result(WAIT) == alone
    assert first.answer.result(WAIT) == of_first


def test_a_row_that_is_given_up_in_the_middle_is_decoded_no_further(generator, batcher) -> None:
    pieces: list[str] = []
    reached, release = threading.Event(), threading.Event()

    def on_text(piece: str) -> None:
        pieces.append(piece)
        reached.set()
        assert release.wait(WAIT)

    options = GenerationOptions(max_new_tokens=60)
    (ticket,) = batcher.submit([request(generator, "first", options, on_text=on_text)])
    assert reached.wait(WAIT)
    ticket.cancel()
    release.set()
    (other,) = batcher.submit([request(generator, "How?")])
    assert other.answer.result(WAIT)
    assert len(pieces) == 1
    with pytest.raises(CancelledError):
        ticket.answer.result(0)


def test_what_is_given_up_while_it_waits_is_not_decoded_and_frees_its_place(
    generator, batcher
) -> None:
    slow, _ = hold(batcher, generator)
    waiting = batcher.submit([request(generator, "How?")] * 6)
    with pytest.raises(QueueFullError):
        batcher.submit([request(generator, "How?")])
    waiting[0].cancel()
    (taken,) = batcher.submit([request(generator, "How?")])
    slow.release.set()
    assert taken.answer.result(WAIT)


def test_a_request_that_does_not_fit_is_refused_whole(generator, batcher) -> None:
    slow, _ = hold(batcher, generator)
    batcher.submit([request(generator, "How?")] * 5)
    with pytest.raises(QueueFullError):
        batcher.submit([request(generator, "How?")] * 2)
    batcher.submit([request(generator, "How?")])
    slow.release.set()


def test_the_pieces_of_a_stream_are_the_answer(generator, batcher) -> None:
    pieces: list[str] = []
    options = GenerationOptions(max_new_tokens=40)
    (ticket,) = batcher.submit([request(generator, "How?", options, on_text=pieces.append)])
    assert "".join(pieces) != ticket.answer.result(WAIT).text or len(pieces) > 1
    assert "".join(pieces) == ticket.answer.result(WAIT).text


def test_a_stop_string_ends_the_answer_before_it(generator, batcher) -> None:
    options = GenerationOptions(max_new_tokens=40)
    whole = batcher.submit([request(generator, "How?", options)])[0].answer.result(WAIT)
    stop = whole.text[5:8]
    (ticket,) = batcher.submit([request(generator, "How?", options, stop=[stop])])
    answer = ticket.answer.result(WAIT)
    assert answer.text == whole.text[: whole.text.index(stop)].strip()
    assert answer.finish_reason == "stop"
    assert answer.completion_tokens < whole.completion_tokens


def test_a_fault_fails_its_requests_and_repeated_faults_are_unhealthy(
    generator, batcher, monkeypatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the accelerator is gone")

    with monkeypatch.context() as patch:
        patch.setattr("doctune.inference.flight.pick_tokens", broken)
        for _ in range(3):
            assert batcher.healthy
            (ticket,) = batcher.submit([request(generator, "How?")])
            with pytest.raises(RuntimeError, match="accelerator"):
                ticket.answer.result(WAIT)
        assert not batcher.healthy
    assert batcher.submit([request(generator, "How?")])[0].answer.result(WAIT)
    assert batcher.healthy


def test_a_worker_that_is_stuck_is_unhealthy_until_it_goes_on(generator, monkeypatch) -> None:
    reached, release = threading.Event(), threading.Event()
    batcher = Batcher(generator, max_batch_size=4, max_waiting=6, stuck_seconds=0.3)
    # Idle for longer than that is no reason.
    threading.Event().wait(0.5)
    assert batcher.healthy
    real = flight.pick_tokens

    def stick(*arguments):
        reached.set()
        assert release.wait(WAIT)
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("doctune.inference.flight.pick_tokens", stick)
        (ticket,) = batcher.submit([request(generator, "How?")])
        assert reached.wait(WAIT)
        assert batcher.healthy
        threading.Event().wait(0.5)
        assert not batcher.healthy
        assert "no token for" in batcher.problem
        release.set()
        assert ticket.answer.result(WAIT)
    assert batcher.submit([request(generator, "How?")])[0].answer.result(WAIT)
    assert batcher.healthy
    batcher.close(WAIT)


def test_closing_answers_what_waits_and_takes_nothing_more(generator, batcher) -> None:
    slow, first = hold(batcher, generator, tokens=3)
    (ticket,) = batcher.submit([request(generator, "How?")])
    slow.release.set()
    batcher.close(WAIT)
    assert first.answer.result(0)
    assert ticket.answer.result(0)
    with pytest.raises(QueueFullError):
        batcher.submit([request(generator, "How?")])


def test_a_model_with_sliding_windows_is_answered_in_turn(generator: TextGenerator) -> None:
    config = MistralConfig(
        vocab_size=len(generator.tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=8,
        max_position_embeddings=CONTEXT,
        eos_token_id=generator.tokenizer.eos_token_id,
    )
    sliding = TextGenerator(MistralForCausalLM(config).eval(), generator.tokenizer)
    alone = [sliding.generate([[{"role": "user", "content": q}]], GREEDY)[0] for q in QUESTIONS]
    batcher = Batcher(sliding, max_batch_size=4, max_waiting=6)
    try:
        tickets = [batcher.submit([request(sliding, q)])[0] for q in QUESTIONS]
        assert [ticket.answer.result(WAIT) for ticket in tickets] == alone
    finally:
        batcher.close(WAIT)


def test_the_cache_bounds_how_many_are_answered_together(
    generator: TextGenerator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    columns = len(request(generator, "How?").prompt) + GREEDY.max_new_tokens + 64
    per_token = generator.cache_bytes_per_token()
    monkeypatch.setattr(generator, "cache_bytes", per_token * columns * 2)
    widths: list[int] = []
    pick = flight.pick_tokens

    def watched(logits, samplers):
        widths.append(len(samplers))
        return pick(logits, samplers)

    monkeypatch.setattr("doctune.inference.flight.pick_tokens", watched)
    batcher = Batcher(generator, max_batch_size=4, max_waiting=6)
    try:
        tickets = batcher.submit([request(generator, "How?")] * 4)
        for ticket in tickets:
            ticket.answer.result(WAIT)
    finally:
        batcher.close(WAIT)
    assert max(widths) == 2


LONG = "the pump has a valve and the valve has a seal " * 4


def test_a_long_prompt_is_read_in_pieces_while_others_get_their_tokens(
    generator, batcher, monkeypatch
) -> None:
    monkeypatch.setattr(TextGenerator, "chunk_tokens", 8)
    options = GenerationOptions(max_new_tokens=6)
    alone = generator.generate([[{"role": "user", "content": LONG}]], options)[0]
    passes: list[int] = []
    forward = generator.model.forward

    def watched(*arguments, **named):
        passes.append(named["input_ids"].shape[1])
        return forward(*arguments, **named)

    slow, _ = hold(batcher, generator, tokens=40)
    monkeypatch.setattr(generator.model, "forward", watched)
    (ticket,) = batcher.submit([request(generator, LONG, options)])
    slow.release.set()
    assert ticket.answer.result(WAIT) == alone
    pieces = -(-len(ticket.request.prompt) // 8)
    assert pieces > 4
    assert max(passes) <= 8
    # Between two pieces, those in flight get a token.
    first = passes.index(8)
    assert passes[first : first + 6] == [8, 1] * 3


def test_what_prompts_begin_with_is_read_once_and_the_answers_stay_the_same(
    generator, batcher
) -> None:
    system = {"role": "system", "content": LONG[:60]}
    prompts = [[system, {"role": "user", "content": question}] for question in [*QUESTIONS, "No?"]]
    alone = [generator.generate([prompt], GREEDY)[0] for prompt in prompts]
    for prompt, expected in zip(prompts, alone, strict=True):
        (ticket,) = batcher.submit([Request(prompt=generator.encode(prompt), options=GREEDY)])
        assert ticket.answer.result(WAIT) == expected
    batcher.close(WAIT)  # the last row leaves after its answer
    state = batcher.state()
    assert state.counts.reused_tokens >= 2 * 16
    assert state.counts.prompt_tokens == sum(answer.prompt_tokens for answer in alone)
    assert state.counts.completion_tokens == sum(answer.completion_tokens for answer in alone)
    assert state.running == state.waiting == 0
    assert state.cached_tokens > 0


def test_one_caller_with_many_requests_does_not_hold_up_another(generator) -> None:
    batcher = Batcher(generator, max_batch_size=1, max_waiting=20)
    try:
        slow, _ = hold(batcher, generator, tokens=2)
        options = GenerationOptions(max_new_tokens=2)
        many = batcher.submit([request(generator, "How?", options, caller="a")] * 8)
        (one,) = batcher.submit([request(generator, "Which?", options, caller="b")])
        slow.release.set()
        one.answer.result(WAIT)
        assert sum(ticket.first_token is not None for ticket in many) <= 2
    finally:
        batcher.close(WAIT)


def test_a_long_prompt_that_is_given_up_half_read_leaves_the_others_alone(
    generator, batcher, monkeypatch
) -> None:
    monkeypatch.setattr(TextGenerator, "chunk_tokens", 8)
    slow, first = hold(batcher, generator)
    (long,) = batcher.submit([request(generator, LONG)])
    slow.release.set()
    long.cancel()
    assert first.answer.result(WAIT).completion_tokens > 0
    assert batcher.submit([request(generator, "How?")])[0].answer.result(WAIT)
