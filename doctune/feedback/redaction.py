"""Redacts personal data: e-mail, phone, card and IBAN numbers, and patterns of your own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from doctune.errors import ConfigurationError

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b")
_CARD = re.compile(r"\b(?:\d[ -]?){12,18}\d\b")
_PHONE = re.compile(r"(?<![\w.,])(?:\+|00|\(?0)\d(?:[\d ()/.-]{5,18})\d\b")


class Redactor:
    """Replaces personal data by its kind, as in `[e-mail]`."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        """Prepares the patterns.

        Raises:
            ConfigurationError: One is no regular expression.
        """
        try:
            self._own = [re.compile(pattern) for pattern in patterns]
        except re.error as error:
            raise ConfigurationError(
                f"log.redact_patterns: {error.pattern!r} is no regular expression: {error}."
            ) from error

    def redact(self, text: str) -> str:
        """Returns a text without personal data that has a form of its own."""
        text = _EMAIL.sub("[e-mail]", text)
        text = _IBAN.sub(lambda m: "[iban]" if _is_iban(m[0]) else m[0], text)
        text = _CARD.sub(lambda m: "[card]" if _is_card(m[0]) else m[0], text)
        text = _PHONE.sub("[phone]", text)
        for pattern in self._own:
            text = pattern.sub("[redacted]", text)
        return text


def _is_card(text: str) -> bool:
    """Returns whether the last digit is the check digit of the others (Luhn, ISO/IEC 7812-1)."""
    digits = [int(digit) for digit in text if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """Returns whether the check digits are right (ISO 13616, modulo 97)."""
    compact = text.replace(" ", "")
    number = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4])
    return int(number) % 97 == 1


_SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b(?:sk|pk|rk|dtk|ghp|gho|ghs|github_pat|glpat|xox[abpr])[-_][\w-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bAIza[\w-]{35}\b|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,}"
    r"|(?i:\b(?:password|passwd|api[ _-]?key|secret|token)\b\s*(?:is|[:=])\s*)\S{6,}",
    re.DOTALL,
)


def redact_secrets(text: str) -> str:
    """Returns a text without keys, tokens and passwords that have a form of their own."""
    return _SECRETS.sub("[secret]", text)
