"""Text that is shown while it is made: never taken back, whole in the end."""

from hypothesis import given
from hypothesis import strategies as st

from doctune.inference.text_stream import TextStream


def _bytes_decoder(tokens):
    return bytes(tokens).decode("utf-8", errors="replace")


def _run(text: str, stop=()) -> tuple[list[str], TextStream]:
    stream = TextStream(_bytes_decoder, stop)
    pieces = []
    for token in text.encode():
        pieces.append(stream.push(token))
        if stream.stopped:
            break
    pieces.append(stream.finish())
    return [piece for piece in pieces if piece], stream


@given(st.text())
def test_the_pieces_are_the_text_without_the_space_around_it(text: str) -> None:
    pieces, stream = _run(text)
    assert "".join(pieces) == stream.text == text.strip()


@given(st.text(alphabet="ab ", max_size=40), st.text(alphabet="ab ", min_size=1, max_size=4))
def test_nothing_of_a_stop_string_is_shown(text: str, stop: str) -> None:
    pieces, stream = _run(text, [stop])
    assert "".join(pieces) == stream.text == text.partition(stop)[0].strip()
    assert stream.stopped == (stop in text)


def test_a_character_of_several_tokens_is_shown_when_it_is_whole() -> None:
    stream = TextStream(_bytes_decoder)
    first, *rest = "é!".encode()
    assert stream.push(first) == ""
    assert stream.push(rest[0]) == "é"
    assert stream.push(rest[1]) == "!"


def test_the_first_stop_string_to_come_counts() -> None:
    pieces, _ = _run("one two three", ["three", "two"])
    assert "".join(pieces) == "one"
