"""OpenAI's documents and events."""

import json

import pytest

from doctune.chat_wire import DONE, ChatAnswer, encoded, error_document, usage_of


def document(event: bytes) -> dict:
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    return json.loads(event[6:])


@pytest.mark.parametrize("text", ['say ""', "a\nb", '{"content": ""}', "Zürich 中", "\\"])
def test_a_piece_holds_its_text_and_the_head_of_its_stream(text: str) -> None:
    # The model's name holds what the text is put in place of.
    answer = ChatAnswer("chatcmpl-1", 5, 'na""me')
    chunk = document(answer.piece(text))
    assert chunk["choices"][0]["delta"] == {"content": text}
    assert {**chunk, "choices": []} == {**document(answer.start()), "choices": []}


def test_a_character_that_an_upstream_cut_in_two_reaches_the_client_whole() -> None:
    answer = ChatAnswer("chatcmpl-1", 5, "m")
    pieces = [document(answer.piece(half)) for half in ("so \ud83d", "\ude00")]
    text = "".join(piece["choices"][0]["delta"]["content"] for piece in pieces)
    assert text.encode("utf-16", "surrogatepass").decode("utf-16") == "so \U0001f600"
    assert json.loads(encoded({"content": "so \ud83d"})) == {"content": "so \ud83d"}


def test_a_stream_ends_with_reason_counts_and_mark() -> None:
    reason, counts, mark = ChatAnswer("chatcmpl-1", 5, "m").end("length", usage_of(2, 3))
    assert document(reason)["choices"][0]["finish_reason"] == "length"
    assert document(counts)["usage"]["total_tokens"] == 5
    assert mark == DONE


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (401, "authentication_error"), (503, "server_error")],
)
def test_an_error_names_its_kind(status: int, kind: str) -> None:
    assert error_document("no", status)["error"]["type"] == kind
