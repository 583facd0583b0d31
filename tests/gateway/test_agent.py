"""An agent as a model of the gateway, through the real openai client."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from doctune.database import conversations as kept
from doctune.gateway.keys import create_key
from doctune.localvertex.ports import free_port
from doctune.processes import stop_process
from tests.agent.corpus import Corpus, character_tokenizer
from tests.gateway.conftest import Gateway, start_gateway, stop_gateway
from tests.gateway.upstream import FakeUpstream
from tests.serving.conftest import Server, start_server
from tests.serving.tiny_model import write_tiny_model

QUESTION = "How often is the filter of the Arlo 3 rinsed?"
PARTNERS = "What does a partner pay for an Arlo 3?"
BOARD = "Where does the board move the workshop?"


def options(corpus: Corpus, upstream: str, **agents: Any) -> dict[str, Any]:
    files = {"index": str(corpus.index), "pdfs": str(corpus.pdfs)}
    stages = [{"upstream": upstream, "seconds": 15}]
    others = {
        name: {**files, "settings": {"answering": "model"}, **a} for name, a in agents.items()
    }
    return {
        "models": {"handbook": {"upstreams": [upstream]}},
        "agents": {
            "handbook-agent": {**files, "stages": stages},
            "model-agent": {**files, "stages": stages, "settings": {"answering": "model"}},
            **others,
        },
        "conversations": {"wait_seconds": 0.3},
    }


@pytest.fixture(scope="module")
def calling() -> Iterator[FakeUpstream]:
    """An address whose model calls tools."""
    with FakeUpstream.run() as upstream:
        upstream.mode = "tools"
        yield upstream


@pytest.fixture(scope="module")
def front(
    corpus: Corpus, calling: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway whose endpoint is down: all that is left are the documents, and a shop."""
    dead = f"http://127.0.0.1:{free_port()}/v1#tuned"
    folder = tmp_path_factory.mktemp("agent-gateway")
    agents = {}
    for name, template in (("can-call", "{{ tools }}"), ("cannot-call", "{{ messages }}")):
        tokenizer = folder / name
        tokenizer.mkdir()
        (tokenizer / "tokenizer.json").write_text(character_tokenizer().to_str())
        (tokenizer / "chat_template.jinja").write_text(template)
        stage = {"upstream": calling.address, "seconds": 15, "tokenizer": str(tokenizer)}
        agents[name] = {"tools": "tests.agent.shop:tools", "stages": [stage]}
    started = start_gateway(folder, options(corpus, dead, **agents))
    try:
        yield started
    finally:
        stop_gateway(started)


@pytest.fixture(scope="module")
def partner(front: Gateway) -> str:
    """A key of the same tenant that may see what partners may."""
    return front.new_key("partner", owner="tests", groups=["partners"])


@pytest.fixture(scope="module")
def stranger(front: Gateway) -> str:
    return front.new_key("stranger")


def client(gateway: Gateway, key: str = "") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key or gateway.key, max_retries=0)


def ask(who: openai.OpenAI, question: str, conversation: str = "", **more: Any) -> Any:
    metadata = {"conversation_id": conversation} if conversation else {}
    return who.chat.completions.create(
        model=more.pop("model", "handbook-agent"),
        messages=[{"role": "user", "content": question}],
        metadata=metadata | more.pop("metadata", {}),
        **more,
    )


def test_the_openai_client_gets_the_sources_whole_and_streamed(front: Gateway) -> None:
    who = client(front)
    whole = ask(who, QUESTION)
    assert "14 days" in whole.choices[0].message.content
    (source, *_) = whole.sources
    assert (source["number"], source["document"], source["page"]) == (1, "arlo-3-manual.pdf", 1)
    assert whole.answered_by == "extractive"
    chunks = list(ask(who, QUESTION, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[-1].model_extra["sources"] == whole.sources


def test_a_request_names_the_documents_to_search(front: Gateway) -> None:
    who = client(front)
    assert "14 days" in ask(who, QUESTION).choices[0].message.content
    limited = ask(who, QUESTION, metadata={"documents": "warranty*", "languages": "en"})
    assert "14 days" not in limited.choices[0].message.content
    places = [*limited.sources, *limited.closest]
    assert {place["document"] for place in places} <= {"warranty.pdf"}


def test_a_model_that_can_call_tools_gets_them_on_openais_wire_and_no_other(
    front: Gateway, calling: FakeUpstream
) -> None:
    question = "How many spare filters of the Arlo 3 are in stock in Lisbon?"
    answer = ask(client(front), question, model="can-call")
    assert answer.choices[0].message.content == "There are 137 pieces."
    assert [one["name"] for one in answer.tools] == ["stock"]
    first, second = calling.bodies
    assert [one["function"]["name"] for one in first["tools"]] == ["stock", "price"]
    assert second["messages"][-2]["tool_calls"][0]["id"] == second["messages"][-1]["tool_call_id"]
    refused = ask(client(front), question, model="cannot-call")
    assert refused.choices[0].message.content.startswith("The documents do not say.")
    assert len(calling.bodies) == 2


def test_a_gateway_without_agents_loads_no_library_of_an_index() -> None:
    heavy = "{'numpy', 'pyarrow', 'torch', 'transformers', 'bm25s', 'Stemmer'}"
    code = f"import sys, doctune.gateway.app; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_agent_is_listed_beside_its_model(front: Gateway) -> None:
    names = {model.id for model in client(front).models.list()}
    assert names == {"handbook", "handbook-agent", "model-agent", "can-call", "cannot-call"}


def test_with_no_endpoint_the_documents_own_words_answer(front: Gateway) -> None:
    answer = ask(client(front), QUESTION, model="model-agent")
    assert answer.answered_by == "extractive"
    assert "14 days" in answer.choices[0].message.content
    raw = front.chat(model="model-agent", messages=[{"role": "user", "content": QUESTION}])
    assert raw.headers["x-doctune-fallback"] == "true"


def test_a_source_opens_its_page_with_the_box_drawn(front: Gateway, stranger: str) -> None:
    (source, *_) = ask(client(front), QUESTION).sources
    page = front.get(source["picture"])
    assert page.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(page.content)) as image:
        scale = image.width / 595.28
        _, top, right, bottom = (value * scale for value in source["box"])
        pixel = image.convert("RGB").getpixel((int(right) - 3, int((top + bottom) / 2)))
    assert pixel[2] < pixel[0]  # type: ignore[index]
    assert front.get(source["picture"], "nonsense").status_code == 401
    assert front.get("/v1/sources/nothing.0/page.png").status_code == 404


def test_tenants_and_groups_never_cross_not_even_in_the_cache(
    front: Gateway, partner: str, stranger: str
) -> None:
    seen = ask(client(front, partner), PARTNERS)
    assert "412 crowns" in seen.choices[0].message.content
    picture = next(one["picture"] for one in seen.sources if "partners/" in one["document"])
    assert front.get(picture, partner).status_code == 200
    for key in ("", stranger):
        for stream in (False, True):
            answer = front.chat(
                key,
                model="handbook-agent",
                messages=[{"role": "user", "content": PARTNERS}],
                max_tokens=None,
                stream=stream,
            )
            assert "412" not in answer.text
            assert "partners/" not in answer.text
        assert front.get(picture, key or front.key).status_code == 404
    again = front.chat(
        partner,
        model="handbook-agent",
        messages=[{"role": "user", "content": PARTNERS}],
        max_tokens=None,
    )
    assert "412 crowns" in again.text


def test_a_sidecar_decides_for_each_key_what_can_be_found(
    front: Gateway, partner: str, stranger: str
) -> None:
    board = create_key(front.engine, "board", owner="tests", groups=["board"])
    owner = front.new_key("owner", owner="other", groups=["owners", "partners"])

    def asked(key: str, **more: Any) -> str:
        messages = [{"role": "user", "content": BOARD}]
        said = front.chat(key, model="handbook-agent", messages=messages, max_tokens=None, **more)
        assert said.status_code == 200
        return said.text

    for key in (board, owner, board):  # the last one from the cache
        assert "Skarsund" in asked(key)
        assert "board/minutes.pdf" in asked(key)
    for key in ("", partner, stranger):
        for stream in (False, True):
            assert "Skarsund" not in asked(key, stream=stream)
            assert "minutes.pdf" not in asked(key, metadata={"documents": "board/*"})


def test_a_request_names_the_dates_to_search(front: Gateway) -> None:
    who = client(front)
    question = "How long is the motor covered?"  # by a warranty of 1 February 2024
    for dates, found in (
        ({"since": "2024-02-01", "until": "2024-02-01"}, True),
        ({"since": "2024-02-02"}, False),
        ({"until": "2024-01-31"}, False),
    ):
        answer = ask(who, question, metadata=dates)
        assert ("36 months" in answer.choices[0].message.content) == found
        places = {place["document"] for place in [*answer.sources, *answer.closest]}
        assert ("warranty.pdf" in places) == found
    for wrong in ({"since": "yesterday"}, {"since": "2024-02-02", "until": "2024-02-01"}):
        with pytest.raises(openai.BadRequestError, match="since"):
            ask(who, question, metadata=wrong)


def test_conversations_are_listed_exported_and_deleted_by_their_owner_alone(
    front: Gateway, stranger: str
) -> None:
    first = ask(client(front), QUESTION, "mine")
    ask(client(front, stranger), "What does the lid need?", "mine")
    assert first.conversation["id"] == "mine"
    (listed,) = front.get("/v1/conversations").json()["data"]
    assert (listed["id"], listed["title"]) == ("mine", QUESTION)
    exported = front.get("/v1/conversations/mine").json()
    assert [one["role"] for one in exported["messages"]] == ["user", "assistant"]
    assert exported["messages"][1]["sources"][0]["document"] == "arlo-3-manual.pdf"
    assert exported["messages"][1]["versions"]["index"]
    theirs = front.get("/v1/conversations/mine", stranger).json()
    assert theirs["title"] == "What does the lid need?"
    mine = f"{front.url}/v1/conversations/mine"
    deleted = httpx.delete(mine, headers=front.headers(stranger), timeout=30)
    assert deleted.json()["deleted"] is True
    assert front.get("/v1/conversations/mine", stranger).status_code == 404
    assert front.get("/v1/conversations/mine").status_code == 200
    assert front.get("/v1/conversations?limit=0").status_code == 400


def test_a_second_turn_at_once_gets_409_and_an_edit_begins_a_branch(front: Gateway) -> None:
    who = client(front)
    first = ask(who, "How many watts does the Arlo 3 need while grinding?", "branched")
    place = kept.ConversationKey("tests", "branched")
    new = kept.NewConversation("handbook-agent", "?")
    assert kept.take_turn(front.engine, place, new, "other", timedelta(seconds=30))
    with pytest.raises(openai.ConflictError):
        ask(who, "And the Arlo 5?", "branched")
    kept.end_turn(front.engine, place, "other")
    second = ask(who, "And the Arlo 5?", "branched")
    assert "480 watts" in second.choices[0].message.content
    edited = {"edit_message_id": first.conversation["question_id"]}
    third = ask(who, "How loud is the Arlo 3?", "branched", metadata=edited)
    assert "62 decibels" in third.choices[0].message.content
    said = front.get("/v1/conversations/branched").json()["messages"]
    assert len(said) == 6
    assert next(one["content"] for one in said if one["current"]) == "How loud is the Arlo 3?"


def test_turns_of_one_conversation_at_once_come_one_after_the_other(front: Gateway) -> None:
    who = client(front)

    def turn(number: int) -> bool:
        try:
            ask(who, f"How loud is the Arlo {number}?", "crowded")
        except openai.ConflictError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        answered = sum(pool.map(turn, [3, 5] * 3))
    said = front.get("/v1/conversations/crowded").json()["messages"]
    assert answered >= 1
    assert len(said) == 2 * answered
    assert all(one["current"] for one in said)


def started_server(model: str, port: int) -> Server:
    server = start_server(model, environment={"AIP_HTTP_PORT": str(port)})
    server.url = f"http://127.0.0.1:{port}"
    server.wait_until_ready()
    return server


def stop_server(server: Server) -> None:
    stop_process(server.process.pid)
    server.process.communicate(timeout=40)


TURNS = (
    ("How many watts does the Arlo 3 need while grinding?", "Arlo 3"),
    ("And the Arlo 5?", "How many watts does the Arlo 5 need while grinding?"),
    ("How loud is the Arlo 3?", "How loud is the Arlo 3?"),
    ("and the 5?", "How loud is the Arlo 5?"),
    ("How is the lid wiped?", "lid"),
    ("May I clean it with soap?", "May I clean the lid with soap?"),
    ("How is the filter rinsed?", "How is the filter rinsed?"),
    ("And how often?", "How often is the filter rinsed?"),
    ("How long is the motor covered?", "motor"),
    ("and the filter?", "How long is the filter covered?"),
    ("Who answers claims?", "Who answers claims?"),
    ("How soon?", "How soon answers claims?"),
)


def test_twelve_turns_go_on_over_a_restart_of_gateway_and_endpoint(
    corpus: Corpus, tmp_path: Path
) -> None:
    artifact, port = write_tiny_model(tmp_path / "artifact"), free_port()
    config = artifact / "model" / "config.json"
    roomy = json.loads(config.read_text()) | {"max_position_embeddings": 4096}
    config.write_text(json.dumps(roomy))
    model = str(artifact)
    endpoint = started_server(model, port)
    front = start_gateway(tmp_path, options(corpus, f"http://127.0.0.1:{port}/v1#tuned"))
    spoke = []
    try:
        for number, (question, expected) in enumerate(TURNS):
            if number == 4:
                stop_server(endpoint)  # and nobody notices but by who speaks
            if number == 6:
                endpoint = started_server(model, port)
                stop_gateway(front)
                front = start_gateway(
                    tmp_path,
                    options(corpus, f"http://127.0.0.1:{port}/v1#tuned"),
                    front.database_url,
                )
            answer = ask(client(front), question, "long", model="model-agent")
            assert expected in answer.standalone_question
            spoke.append("model" if "127.0.0.1" in answer.answered_by else answer.answered_by)
        said = kept.path(front.engine, kept.ConversationKey("tests", "long"))
        assert [one.content for one in said[::2]] == [question for question, _ in TURNS]
    finally:
        stop_gateway(front)
        stop_server(endpoint)
    assert spoke[4:6] == ["extractive"] * 2
    assert spoke.count("model") >= 6
