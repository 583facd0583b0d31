"""The text of an answer while its tokens arrive."""

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]

_INCOMPLETE = "\ufffd"  # what a decoder gives for the first bytes of a character


class TextStream:
    """Turns tokens into pieces of text that later tokens do not change.

    A piece is held back while it may change: the first bytes of a character, white space at the
    end, and what may be the beginning of a stop string. All pieces together are `text`.
    """

    def __init__(self, decode: Decode, stop: Sequence[str] = ()) -> None:
        """Makes an empty stream.

        Args:
            decode: Returns the text of token ids.
            stop: Strings before which the text ends.
        """
        self.stopped = False  # whether a stop string was met
        self._decode, self._stop = decode, [string for string in stop if string]
        self._tokens: list[int] = []
        # Decoding starts again a little before the new tokens, since some tokenizers write a token
        # differently at the start of a text; decoding everything each time would be quadratic.
        self._context = self._read = 0
        self._decoded = ""
        self._shown = 0

    @property
    def text(self) -> str:
        """What has been decoded, without white space around it, up to a stop string."""
        return self._decoded.strip()

    def push(self, token: int) -> str:
        """Adds a token and returns the text that can now be shown; often "" ."""
        self._tokens.append(token)
        before = self._decode(self._tokens[self._context : self._read])
        after = self._decode(self._tokens[self._context :])
        if len(after) <= len(before) or after.endswith(_INCOMPLETE):
            return ""
        self._context, self._read = self._read, len(self._tokens)
        self._add(after[len(before) :])
        return self._show(self._safe_length())

    def finish(self) -> str:
        """Returns the text that was held back, once there are no more tokens."""
        if not self.stopped:
            before = self._decode(self._tokens[self._context : self._read])
            self._add(self._decode(self._tokens[self._context :])[len(before) :])
        return self._show(len(self._decoded.rstrip()))

    def _add(self, piece: str) -> None:
        searched = max(0, len(self._decoded) - max(map(len, self._stop), default=0))
        self._decoded += piece
        found = [
            place for string in self._stop if (place := self._decoded.find(string, searched)) >= 0
        ]
        if found:
            self.stopped = True
            self._decoded = self._decoded[: min(found)]

    def _safe_length(self) -> int:
        """Returns how much of the text cannot become part of a stop string or of its end."""
        text = self._decoded
        if not self.stopped:
            held = max(
                (
                    length
                    for string in self._stop
                    for length in range(1, len(string))
                    if text.endswith(string[:length])
                ),
                default=0,
            )
            text = text[: len(text) - held]
        return len(text.rstrip())

    def _show(self, end: int) -> str:
        start = self._shown or len(self._decoded) - len(self._decoded.lstrip())
        if end <= start:
            return ""
        self._shown = end
        return self._decoded[start:end]
