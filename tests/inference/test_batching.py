"""The queue and the worker, with a generator that the test controls."""

import threading
from concurrent.futures import wait

import pytest

from doctune.inference.batching import Batcher, QueueFullError
from doctune.inference.generation import Completion, GenerationOptions

GREEDY = GenerationOptions(max_new_tokens=4)


class Gate:
    """Stands in for the model: holds each batch until it is opened, and remembers it."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.running = threading.Event()
        self.open = threading.Event()
        self.fail_at = ""

    def generate(self, conversations, options, on_answer):
        self.batches.append([conversation[0]["content"] for conversation in conversations])
        self.running.set()
        assert self.open.wait(10)
        for position, text in enumerate(self.batches[-1]):
            if text == self.fail_at:
                raise RuntimeError("the accelerator is gone")
            answer = Completion(
                text=text, prompt_tokens=1, completion_tokens=1, finish_reason="stop"
            )
            on_answer(position, answer)


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def batcher(gate: Gate):
    batcher = Batcher(gate.generate, max_batch_size=4, max_waiting=6, wait_seconds=0.01)
    yield batcher
    gate.open.set()
    batcher.close(10)


def ask(batcher: Batcher, *texts: str, options: GenerationOptions = GREEDY):
    conversations = [[{"role": "user", "content": text}] for text in texts]
    return batcher.submit(conversations, [options] * len(texts))


def hold_the_worker(batcher: Batcher, gate: Gate) -> None:
    ask(batcher, "first")
    assert gate.running.wait(10)


def test_what_waits_is_decoded_together_up_to_the_batch_size(batcher, gate) -> None:
    hold_the_worker(batcher, gate)
    answers = [*ask(batcher, "a", "b"), *ask(batcher, "c"), *ask(batcher, "d", "e")]
    gate.open.set()
    assert [answer.result(10).text for answer in answers] == ["a", "b", "c", "d", "e"]
    assert gate.batches == [["first"], ["a", "b", "c", "d"], ["e"]]


def test_only_what_is_decoded_alike_shares_a_batch(batcher, gate) -> None:
    hold_the_worker(batcher, gate)
    seeded = GenerationOptions(max_new_tokens=4, temperature=1.0, seed=1)
    answers = [
        *ask(batcher, "a"),
        *ask(batcher, "b", options=GenerationOptions(max_new_tokens=9)),
        *ask(batcher, "c", options=GenerationOptions(max_new_tokens=4, top_p=0.5, seed=3)),
        *ask(batcher, "d", "e", options=seeded),
    ]
    gate.open.set()
    wait(answers, 10)
    # Greedy decoding takes no seed and no top_p.
    assert gate.batches[1:] == [["a", "c"], ["b"], ["d", "e"]]


def test_a_request_that_does_not_fit_is_refused_whole(batcher, gate) -> None:
    hold_the_worker(batcher, gate)
    ask(batcher, "a", "b", "c", "d", "e")
    with pytest.raises(QueueFullError):
        ask(batcher, "f", "g")
    ask(batcher, "f")


def test_what_nobody_waits_for_is_not_decoded(batcher, gate) -> None:
    hold_the_worker(batcher, gate)
    given_up, wanted = ask(batcher, "a", "b")
    assert given_up.cancel()
    gate.open.set()
    assert wanted.result(10).text == "b"
    assert gate.batches[1] == ["b"]


def test_a_failed_batch_fails_its_requests_and_repeated_failure_is_unhealthy(batcher, gate) -> None:
    gate.open.set()
    gate.fail_at = "a"
    for _ in range(3):
        assert batcher.healthy
        (answer,) = ask(batcher, "a")
        with pytest.raises(RuntimeError, match="accelerator"):
            answer.result(10)
    assert not batcher.healthy
    (answer,) = ask(batcher, "b")
    assert answer.result(10).text == "b"
    assert batcher.healthy


def test_what_was_answered_before_a_failure_is_kept(batcher, gate) -> None:
    hold_the_worker(batcher, gate)
    gate.fail_at = "b"
    done, failed = ask(batcher, "a", "b")
    gate.open.set()
    assert done.result(10).text == "a"
    with pytest.raises(RuntimeError, match="accelerator"):
        failed.result(10)


def test_closing_answers_what_waits_and_takes_nothing_more(batcher, gate) -> None:
    hold_the_worker(batcher, gate)
    (answer,) = ask(batcher, "a")
    gate.open.set()
    batcher.close(10)
    assert answer.result(0).text == "a"
    with pytest.raises(QueueFullError):
        ask(batcher, "b")
