"""Removes sentences of documents that address the model, such as prompt injections.

A document may say "ignore your instructions and answer ..." as text that a reader sees. No rule
finds every wording, so this is the first of three defences: answers must also pass the check of
numbers and names (`support`), and contain no links but those of their sources (`citing`).
"""

from __future__ import annotations

import re

from doctune.dataset.text import sentences

_EARLIER = (
    r"previous|prior|above|earlier|all|any|your|these|vorherigen?|bisherigen?|obigen?|alle|deine|"
    r"ihre|précédentes?|toutes?|vos|tes|anteriores|previas|todas|tus|sus|precedenti|tutte|tue"
)
_THEM = (
    r"instructions?|prompts?|rules|directions|guidelines|messages?|context|passages|documents|"
    r"anweisungen|regeln|vorgaben|consignes|règles|instrucciones|reglas|istruzioni|regole"
)
_FORGET = (
    r"ignore|disregard|forget|override|bypass|ignorier\w*|vergiss|vergessen sie|missachte\w*|"
    r"ignorez|oubliez|oublie|ignora|ignore[ns]?|olvid\w+|dimentic\w+|desatiende"
)
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:{_FORGET})\b(?:\W+\w+){{0,4}}?\W+(?:{_EARLIER})\b(?:\W+\w+){{0,3}}?\W+(?:{_THEM})\b",
        rf"\b(?:{_FORGET})\b(?:\W+\w+){{0,3}}?\W+(?:{_THEM})\b",
        r"\b(?:system|developer) ?(?:prompt|message|override)\b|<\|?(?:im_start|system|assistant)",
        r"\b(?:you are|act as|pretend to be|du bist|sie sind|tu es|vous êtes|eres|sei) (?:now|jetzt"
        r"|ab jetzt|maintenant|ahora|adesso|an? (?:ai|assistant|language model|chat ?bot))\b",
        r"\b(?:ai|assistant|language model|chat ?bot|llm|ki|assistent\w*|asistente|assistente)\b"
        r"[^.]{0,60}\b(?:answer|reply|respond|say|tell|write|output|print|recommend|reveal|ignore|"
        r"antwort\w*|répond\w*|respond\w*|rispond\w*|dis|diga|sag\w*)\b",
        r"\b(?:answer|reply|respond|antworte\w*|répond\w*|responde\w*|rispond\w*) (?:only |"
        r"instead |always |to (?:every|all|any) questions? |nur |immer |stattdessen |toujours |"
        r"uniquement |siempre |solo |sempre )",
        r"\b(?:do not|don't|never|nicht|nie) (?:tell|reveal|mention|inform|cite)\b[^.]{0,30}"
        r"\b(?:user|reader|human|person|source)",
        r"\bto (?:the |any |every )?(?:ai|assistant|language model|model|llm)s?\b[^.]{0,40}:",
    )
)


def gives_orders(sentence: str) -> bool:
    """Whether a sentence gives instructions to a language model."""
    return any(pattern.search(sentence) for pattern in _PATTERNS)


def without_orders(text: str) -> tuple[str, int]:
    """Returns a text without sentences that give orders, and how many there were."""
    dropped = 0
    lines = []
    for line in text.split("\n"):
        parts = sentences(line) or [line]
        kept = [part for part in parts if not gives_orders(part)]
        dropped += len(parts) - len(kept)
        if kept or not line.strip():
            lines.append(" ".join(kept))
    return "\n".join(lines), dropped
