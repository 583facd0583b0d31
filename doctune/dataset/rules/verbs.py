"""English verb forms for the rules: imperatives, and the verb of an -ing form.

Lists instead of a tagger: they have fewer verbs but no false positives.
"""

from __future__ import annotations

from functools import cache

from doctune.dataset.lexicon import lexicon
from doctune.dataset.text import words

# Verbs that double their consonant or drop an e irregularly.
_IRREGULAR = {
    "setting": "set", "getting": "get", "putting": "put", "shutting": "shut", "cutting": "cut",
    "running": "run", "planning": "plan", "fitting": "fit", "stopping": "stop", "swapping": "swap",
    "plugging": "plug", "logging": "log", "topping": "top", "unplugging": "unplug",
    "resetting": "reset", "submitting": "submit", "shipping": "ship", "mapping": "map",
    "travelling": "travel", "cancelling": "cancel", "tying": "tie",
}  # fmt: skip


_NOT_AFTER_VERB = frozenset({"of", "is", "are", "was", "were", "has", "must", "can", "will"})


def is_imperative(text: str) -> bool:
    """Whether a text is an instruction to the reader."""
    first, second, *_ = (*words(text)[:2], "", "")
    # "Order of work" and "Test is over" are not instructions.
    return first.casefold() in lexicon("imperatives") and second.casefold() not in _NOT_AFTER_VERB


def base_form(gerund: str) -> str | None:
    """Returns the verb of an -ing form (`Replacing` -> `replace`), None if it is not known."""
    word = gerund.casefold()
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    stem = word.removesuffix("ing")
    if stem == word:
        return None
    if stem in lexicon("silent_e_stems"):
        return f"{stem}e"
    return stem if stem in lexicon("imperatives") else None


def third_person(verb: str) -> str:
    """Returns `holds` for `hold`; of two words, the first is inflected (`turns into`)."""
    first, _, rest = verb.partition(" ")
    if first.endswith("y") and first[-2] not in "aeiou":
        bent = f"{first[:-1]}ies"
    else:
        bent = f"{first}es" if first.endswith(("s", "sh", "ch", "x", "z")) else f"{first}s"
    return f"{bent} {rest}".strip()


@cache
def _bases() -> dict[str, str]:
    verbs = (name.replace("_", " ") for name in lexicon("transitive_verbs"))
    return {third_person(verb): verb for verb in verbs}


def third_persons() -> tuple[str, ...]:
    """Returns the forms that take an object: `holds`, `consists of`..."""
    return tuple(_bases())


def base_of_third_person(form: str) -> str:
    """Returns `hold` for `holds`; empty if the verb is not known to take an object."""
    return _bases().get(form, "")
