"""What the documents of the story say, in words that mislead who only quotes, and what people say.

Each section tells what a thing bears, and before it, in the question's own words, what was once
hoped for: that is what a quotation gives, until somebody corrects it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Paragraph, SimpleDocTemplate

from doctune.evaluation.answer_accuracy import grade_answer

_NAMES = ("Zorvex", "Merlin", "Quastel", "Brindle", "Hadron")
_NAMES += ("Ostara", "Fennick", "Lumide", "Tarkin", "Wexley")
_THINGS = (("squeeze", "pump", "bar"), ("burden", "hinge", "kg"))
ASKED = (
    "What {what} can the {name} {part} take?",
    "Please tell me which {what} the {name} {part} can take.",
    "The {name} {part}: what {what} can it take?",
)
SAID = ("{value}", "It is {value}.", "It takes {value} and no more.")
HELD_OUT = "How much {what} would a {name} {part} take?"
# What is right before and must be so afterwards.
OTHERS = (
    ("When is the gate locked?", "The gate is locked at 22 o'clock."),
    ("Where are bicycles kept?", "Bicycles are kept in the shed behind the laundry."),
    ("Who waters the garden?", "The tenants of the ground floor water the garden on Mondays."),
)
_HOUSE = (
    ("Gate", ("The gate is locked at 22 o'clock. Every tenant has a key of their own.",)),
    ("Bicycles", ("Bicycles are kept in the shed behind the laundry. The hall stays free.",)),
    ("Garden", ("The tenants of the ground floor water the garden on Mondays.",)),
    ("Cellar", ("Each flat has one place in the cellar. Fuel must not be stored there.",)),
)


@dataclass(frozen=True)
class Fact:
    """Something that a document says."""

    name: str
    what: str
    part: str
    value: str
    hoped: str

    def words(self, form: str) -> str:
        """Returns a form with its words."""
        return form.format(what=self.what, name=self.name, part=self.part, value=self.value)

    def is_said(self, question: str, answer: str) -> bool:
        """Whether an answer to a question is right."""
        return bool(grade_answer(question, answer, reference=f"It is {self.value}.").right)

    @property
    def paragraphs(self) -> tuple[str, str]:
        """What the document says of it."""
        return (
            f"The {self.what} that the {self.name} {self.part} can take was planned to be "
            f"{self.hoped}. Nothing came of that plan, which was given up in its first winter "
            "for want of money, of steel and of people.",
            f"As built, {self.value} is the most.",
        )


def facts(count: int) -> list[Fact]:
    """Returns so many facts, no two with one value."""
    every = [(name, thing) for name in _NAMES for thing in _THINGS]
    return [
        Fact(name, what, part, f"{13 + 7 * at} {unit}", f"{901 + 2 * at} {unit}")
        for at, (name, (what, part, unit)) in enumerate(every[:count])
    ]


def write_documents(folder: Path, told: Sequence[Fact]) -> None:
    """Writes the PDF that says all this, and a smaller one, which becomes the test set."""
    sections = [(f"{one.name} {one.part}", one.paragraphs) for one in told]
    _write(folder / "parts.pdf", "Handbook of parts", sections)
    _write(folder / "house.pdf", "Rules of the house", _HOUSE)


def _write(path: Path, title: str, sections: Sequence[tuple[str, Sequence[str]]]) -> None:
    styles = getSampleStyleSheet()
    story: list = [Paragraph(title, styles["Title"])]
    for heading, paragraphs in sections:
        story.append(Paragraph(heading, styles["Heading1"]))
        story += [Paragraph(text, styles["BodyText"]) for text in paragraphs]
    SimpleDocTemplate(str(path), pagesize=A4, title=title, invariant=1).build(story)
