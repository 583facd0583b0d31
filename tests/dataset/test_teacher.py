"""Gemini as a teacher, against a server on 127.0.0.1 that speaks generateContent."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from doctune.dataset import DatasetOptions, prepare_dataset
from doctune.dataset.records import read_corpus
from doctune.dataset.teacher import GeminiGenerator, Retries
from doctune.dataset.tokens import TokenCounter
from doctune.dataset.view import View, view_documents
from doctune.errors import DatasetError
from tests.dataset.corpora import Paper, write_corpus
from tests.evaluation.fake_gemini import TOKEN, fake_gemini, write_credentials

PATIENCE = Retries(attempts=4, first_pause=0.01, longest_pause=0.02, request_timeout=10)
KEY = "a-key-that-must-not-be-seen"

Answer = tuple[int, Any]


def said(text: str) -> Answer:
    """A 200 with what the model wrote."""
    parts = {"role": "model", "parts": [{"text": text}]}
    return 200, {"candidates": [{"content": parts, "finishReason": "STOP"}]}


def refused(code: int, status: str, message: str) -> Answer:
    return code, {"error": {"code": code, "status": status, "message": message}}


def pair_about(body: dict[str, Any]) -> Answer:
    """A well-formed answer that quotes the passage's first word."""
    prompt = body["contents"][0]["parts"][0]["text"]
    word = prompt.split("<passage>\n")[1].split(" ")[1]
    pairs = [{"question": f"What is the {word}?", "answer": f"The {word} is what it is about."}]
    return said(json.dumps(pairs))


@dataclass
class Gemini:
    """The wire of the Gemini API: answers each request as `answer` says, and remembers it."""

    answer: Callable[[dict[str, Any]], Answer] = pair_about
    requests: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    most_at_once: int = 0
    url: str = ""


@pytest.fixture
def gemini(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gemini]:
    fake = Gemini()
    lock = threading.Lock()
    now = 0

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal now
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                now += 1
                fake.most_at_once = max(fake.most_at_once, now)
                fake.requests.append(body)
                fake.paths.append(self.path)
                code, value = fake.answer(body)
            threading.Event().wait(0.02)
            with lock:
                now -= 1
            content = json.dumps(value).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Keeps the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    for name in ("GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    yield fake
    server.shutdown()
    thread.join(30)
    server.server_close()


def paper(name: str = "Coils", chapters: int = 3) -> Paper:
    made = Paper(f"{name.lower()}.pdf", title=f"{name} Handbook")
    for number in range(chapters):
        made.heading(f"Chapter on {name.lower()} part {chr(97 + number)}")
        made.text(
            f"The {name}{chr(97 + number)} apparatus was thought out by a clockmaker who "
            "wanted to sleep longer, and it rings only when the kettle has boiled."
        )
    return made


def view_of(folder: Path, *papers: Paper) -> View:
    corpus = read_corpus(write_corpus(folder, *papers))
    return view_documents(corpus, TokenCounter(), DatasetOptions())[0]


def generator(cache: Path, counts: Counter[str] | None = None, **settings: Any) -> GeminiGenerator:
    options = DatasetOptions(teacher="gemini", **settings)
    return GeminiGenerator(
        options, Counter() if counts is None else counts, cache=cache, retries=PATIENCE
    )


def test_each_passage_becomes_the_pairs_that_the_teacher_writes(
    gemini: Gemini, tmp_path: Path
) -> None:
    facts = generator(tmp_path / "cache").generate(view_of(tmp_path / "in", paper()))

    assert [fact.questions[0] for fact in facts] == [
        "What is the Coilsa?",
        "What is the Coilsb?",
        "What is the Coilsc?",
    ]
    assert {fact.kind for fact in facts} == {"teacher"}
    assert all("clockmaker" in fact.passage for fact in facts)


def test_request_asks_for_json_of_the_schema(gemini: Gemini, tmp_path: Path) -> None:
    generator(tmp_path / "cache").generate(view_of(tmp_path / "in", paper()))

    config = gemini.requests[0]["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseSchema"]["items"]["required"] == ["question", "answer"]
    assert gemini.paths[0].endswith("models/gemini-2.5-flash:generateContent")


def test_vertex_mode_is_set_by_the_environment(
    gemini: Gemini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_VERTEX_BASE_URL", gemini.url)

    facts = generator(tmp_path / "cache").generate(view_of(tmp_path / "in", paper(chapters=1)))

    assert len(facts) == 1
    assert "publishers/google/models/gemini-2.5-flash" in gemini.paths[0]


def test_gemini_of_vertex_ai_is_asked_with_the_projects_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = {"question": "What is the Coilsa?", "answer": "The Coilsa rings when the kettle boils."}
    with fake_gemini(lambda prompt: json.dumps([pair])) as fake:
        credentials = write_credentials(tmp_path / "account.json", fake.address)
        for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "judging")
        monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "us-central1")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(credentials))
        monkeypatch.setenv("GOOGLE_VERTEX_BASE_URL", fake.address)

        facts = generator(tmp_path / "cache").generate(view_of(tmp_path / "in", paper(chapters=1)))

    assert [fact.questions[0] for fact in facts] == [pair["question"]]
    assert "projects/judging/locations/us-central1/publishers/google" in fake.paths[0]
    assert fake.headers[0]["authorization"] == f"Bearer {TOKEN}"


def test_a_busy_teacher_is_asked_again(gemini: Gemini, tmp_path: Path) -> None:
    answers = iter(
        [refused(429, "RESOURCE_EXHAUSTED", "slow down"), refused(503, "UNAVAILABLE", "")]
    )
    gemini.answer = lambda body: next(answers, None) or pair_about(body)

    facts = generator(tmp_path / "cache").generate(view_of(tmp_path / "in", paper(chapters=1)))

    assert len(facts) == 1
    assert len(gemini.requests) == 3


def test_a_teacher_that_stays_busy_is_one_line(gemini: Gemini, tmp_path: Path) -> None:
    gemini.answer = lambda _: refused(429, "RESOURCE_EXHAUSTED", "quota exceeded")

    with pytest.raises(DatasetError, match="stayed busy") as caught:
        generator(tmp_path / "cache").generate(view_of(tmp_path / "in", paper(chapters=1)))

    assert "\n" not in str(caught.value)
    assert len(gemini.requests) == PATIENCE.attempts


@pytest.mark.parametrize(
    ("code", "status", "fix"),
    [
        (400, "INVALID_ARGUMENT", "key"),
        (403, "PERMISSION_DENIED", "may use"),
        (404, "NOT_FOUND", "teacher_model"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_to_do(
    gemini: Gemini, tmp_path: Path, code: int, status: str, fix: str
) -> None:
    gemini.answer = lambda _: refused(code, status, "no such luck")

    with pytest.raises(DatasetError, match=f"refused.*no such luck.*{fix}") as caught:
        generator(tmp_path / "cache").generate(view_of(tmp_path / "in", paper(chapters=1)))

    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)
    assert len(gemini.requests) == 1


def test_an_unreachable_teacher_is_one_line(
    gemini: Gemini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")

    with pytest.raises(DatasetError, match="cannot be reached"):
        generator(tmp_path / "cache").generate(view_of(tmp_path / "in", paper(chapters=1)))


def test_no_credentials_is_one_line(
    gemini: Gemini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOOGLE_API_KEY")

    with pytest.raises(DatasetError, match="GOOGLE_API_KEY"):
        generator(tmp_path / "cache")


@pytest.mark.parametrize(
    "text",
    ["Sure! Here are your pairs.", '{"question": "?"}', '[{"question": 1, "answer": "x"}]', ""],
)
def test_a_malformed_answer_is_counted_and_left_out(
    gemini: Gemini, tmp_path: Path, text: str
) -> None:
    counts: Counter[str] = Counter()
    answers = iter([said(text)])
    gemini.answer = lambda body: next(answers, None) or pair_about(body)

    facts = generator(tmp_path / "cache", counts, teacher_concurrency=1).generate(
        view_of(tmp_path / "in", paper())
    )

    assert len(facts) == 2
    assert counts == {"teacher_malformed": 1}


def test_a_number_that_the_passage_does_not_hold_is_refused(gemini: Gemini, tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    gemini.answer = lambda _: said('[{"question": "How loud?", "answer": "It rings at 90 dB."}]')

    facts = generator(tmp_path / "cache", counts).generate(view_of(tmp_path / "in", paper()))

    assert facts == []
    assert counts == {"teacher_unsupported": 3}


def test_answers_are_kept_and_not_asked_for_again(gemini: Gemini, tmp_path: Path) -> None:
    view = view_of(tmp_path / "in", paper())
    first = generator(tmp_path / "cache").generate(view)

    again = generator(tmp_path / "cache").generate(view)

    assert again == first
    assert len(gemini.requests) == 3


def test_another_model_is_asked_anew(gemini: Gemini, tmp_path: Path) -> None:
    view = view_of(tmp_path / "in", paper(chapters=1))
    generator(tmp_path / "cache").generate(view)

    generator(tmp_path / "cache", teacher_model="gemini-2.5-pro").generate(view)

    assert len(gemini.requests) == 2


def test_no_more_requests_at_once_than_allowed(gemini: Gemini, tmp_path: Path) -> None:
    generator(tmp_path / "cache", teacher_concurrency=2).generate(
        view_of(tmp_path / "in", paper(chapters=9))
    )

    assert len(gemini.requests) == 9
    assert gemini.most_at_once <= 2


def test_the_key_is_in_no_file(gemini: Gemini, tmp_path: Path) -> None:
    generator(tmp_path / "cache").generate(view_of(tmp_path / "in", paper()))

    assert not any(KEY in path.read_text() for path in (tmp_path / "cache").rglob("*.json"))


def test_prepare_dataset_adds_the_teachers_examples(
    gemini: Gemini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCTUNE_CACHE", str(tmp_path / "cache"))
    folder = write_corpus(tmp_path / "in", *(paper(name) for name in ("Coils", "Bells", "Lamps")))

    summary = prepare_dataset(
        folder,
        train_path=tmp_path / "train.jsonl",
        validation_path=tmp_path / "validation.jsonl",
        test_path=tmp_path / "test.jsonl",
        manifest_path=tmp_path / "manifest.json",
        card_path=tmp_path / "card.md",
        options=DatasetOptions(teacher="gemini"),
    )

    assert summary.kinds["teacher"] == 9
    assert "gemini-2.5-flash" in (tmp_path / "card.md").read_text()


def test_answers_are_kept_where_the_caller_says(
    gemini: Gemini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = write_corpus(tmp_path / "in", *(paper(n) for n in ("Coils", "Bells", "Lamps")))
    asked = []
    for container in ("one", "two"):
        # A container's own cache is lost with it.
        monkeypatch.setenv("DOCTUNE_CACHE", str(tmp_path / container))
        out = tmp_path / f"out-{container}"
        prepare_dataset(
            documents,
            train_path=out / "train.jsonl",
            validation_path=out / "validation.jsonl",
            test_path=out / "test.jsonl",
            manifest_path=out / "manifest.json",
            card_path=out / "card.md",
            options=DatasetOptions(teacher="gemini"),
            teacher_cache=tmp_path / "bucket" / "teacher",
        )
        asked.append(len(gemini.requests))
    assert asked[0] == asked[1] > 0
    assert not (tmp_path / "one" / "teacher").exists()
