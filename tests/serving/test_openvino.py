"""The engine openvino: the contract tests over it, and what is its own."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from doctune.errors import ModelError
from doctune.inference.batching import Batcher, Request, Ticket
from doctune.inference.flight import Counts
from doctune.inference.openvino_generator import OpenVinoGenerator
from doctune.inference.options import GenerationOptions
from doctune.processes import stop_process
from tests.serving.conftest import Server, start_server
from tests.serving.contract import *  # noqa: F403 - over this module's server

WAIT = 30  # seconds, for anything


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which the converted model is kept, for this module alone."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCTUNE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def server(artifact: Path, cache: Path) -> Iterator[Server]:
    started = start_server(str(artifact), "--engine", "openvino")
    try:
        started.wait_until_ready(180)
        yield started
    finally:
        stop_process(started.process.pid)
        started.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def generator(artifact: Path, server: Server) -> OpenVinoGenerator:
    return OpenVinoGenerator.load(artifact / "model", batch_size=4)


def request(generator: OpenVinoGenerator, text: str, tokens: int = 8, **more: object) -> Request:
    prompt = generator.encode([{"role": "user", "content": text}])
    options = GenerationOptions(max_new_tokens=tokens, **more)  # type: ignore[arg-type]
    return Request(prompt=prompt, options=options)


def test_health_and_metrics_are_those_of_the_native_engine(server: Server) -> None:
    assert httpx.get(f"{server.url}/health").json() == {"status": "ready"}
    metrics = httpx.get(f"{server.url}/metrics").text
    assert "doctune_server_cache_budget_bytes" in metrics
    assert "doctune_server_ready 1.0" in metrics


def test_the_model_is_converted_once(generator: OpenVinoGenerator, cache: Path) -> None:
    # The server and this process asked for it.
    assert len(list((cache / "openvino").glob("*.gguf"))) == 1


def test_an_export_to_gguf_is_taken_as_it_is(
    artifact: Path, generator: OpenVinoGenerator, cache: Path, tmp_path: Path
) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / name).write_bytes((artifact / "model" / name).read_bytes())
    (made,) = (cache / "openvino").glob("*.gguf")
    (tmp_path / "model.gguf").write_bytes(made.read_bytes())

    question = [{"role": "user", "content": "What does the pump have?"}]
    loaded = OpenVinoGenerator.load(tmp_path, batch_size=1)
    assert loaded.generate([question]) == generator.generate([question])


def test_a_seed_gives_the_same_answer_in_any_batch(generator: OpenVinoGenerator) -> None:
    batcher = Batcher(generator, max_batch_size=4, max_waiting=9)
    try:
        seeded = request(generator, "How?", temperature=1.0, seed=7)
        (alone,) = batcher.submit([seeded])
        alone.answer.result(WAIT)
        others = [request(generator, "Why?", temperature=1.0, seed=seed) for seed in range(5)]
        beside = batcher.submit([*others, seeded])[-1]
        assert beside.answer.result(WAIT) == alone.answer.result(WAIT)
        unseeded = batcher.submit([request(generator, "How?", 30, temperature=1.0)] * 2)
        assert len({ticket.answer.result(WAIT).text for ticket in unseeded}) == 2
    finally:
        batcher.close(WAIT)


def test_what_is_given_up_frees_its_place(generator: OpenVinoGenerator) -> None:
    flight = generator.flight(Counts())
    given_up, kept = Ticket(request(generator, "How?", 90)), Ticket(request(generator, "Why?"))
    flight.enlist(given_up)
    flight.enlist(kept)
    flight.step()
    given_up.cancel()
    flight.remove_given_up()
    assert len(flight) == 1
    while len(flight):
        flight.step()
    assert kept.answer.result(0).completion_tokens <= 8
    assert flight.cached_tokens == 0


def test_a_failure_answers_everyone_and_the_next_request_works(
    generator: OpenVinoGenerator,
) -> None:
    flight = generator.flight(Counts())
    ticket = Ticket(request(generator, "How?"))
    flight.enlist(ticket)
    flight.fail(RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        ticket.answer.result(0)
    assert generator.generate([[{"role": "user", "content": "How?"}]])


def test_no_more_is_taken_in_than_the_cache_holds(generator: OpenVinoGenerator) -> None:
    flight = generator.flight(Counts())
    taken = 0
    while flight.has_room_for(request(generator, "How?", 90)) and taken < 1000:
        flight.enlist(Ticket(request(generator, "How?", 90)))
        taken += 1
    assert 1 < taken < 1000
    flight.fail(RuntimeError("enough"))


def test_a_model_that_is_no_llama_ends_the_program_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE"}}))
    with pytest.raises(ModelError, match="GGUF export supports Llama models"):
        OpenVinoGenerator.load(tmp_path)
