"""From twenty wrong answers to a model that knows better, with the real small model.

    python benchmarks/feedback_story.py [--json] [--epochs 8] [--check]

A champion is tuned on twenty facts. It is asked about twenty others, answers wrongly, and three
people each correct every answer in words of their own. The rules review, the data set is augmented,
a new model is tuned from the base. Both are then asked in words that nobody used before. With
--check the exit code is 1 unless at least 16 of the 20 are right (champion: at most 4) and no more
of the others are lost than chance explains. The gateway, the pipeline and the roll-out are not part
of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

_NAMES = ("Zorvex", "Merlin", "Quastel", "Brindle", "Hadron")
_NAMES += ("Ostara", "Fennick", "Lumide", "Tarkin", "Wexley")
_QUALITIES = (
    ("pressure", "bar", "pump"),
    ("depth", "mm", "sill"),
    ("weight", "kg", "hinge"),
    ("power", "watts", "lamp"),
)
_ASKED = (
    "What is the {quality} of the {name} {part}?",
    "Please tell me the {quality} of the {name} {part}.",
    "Which {quality} does the {name} {part} have?",
)
_HELD_OUT = "I need to know the {name} {part}'s {quality}. What is it?"


@dataclass(frozen=True)
class Fact:
    """Something that a document says."""

    name: str
    quality: str
    part: str
    value: str

    def ask(self, form: str) -> str:
        """Returns the question in one of its forms."""
        return form.format(quality=self.quality, name=self.name, part=self.part)

    @property
    def answer(self) -> str:
        """The answer as the documents have it."""
        return f"The {self.quality} of the {self.name} {self.part} is {self.value}."


@dataclass(frozen=True)
class Story:
    """What came of it."""

    wrong_before: int
    accepted: int
    held_out: int
    champion_right: int
    new_right: int
    others: int
    champion_others_right: int
    new_others_right: int
    seconds: float

    @property
    def told(self) -> bool:
        """Whether it came out as it should; three of twenty more lost are beyond chance."""
        lost = self.champion_others_right - self.new_others_right
        return self.new_right >= 16 and self.champion_right <= 4 and lost <= 2


def facts() -> list[Fact]:
    """Returns forty facts, no two with one value."""
    return [
        Fact(name, quality, part, f"{13 + 7 * number} {unit}")
        for number, (name, (quality, unit, part)) in enumerate(
            (name, kind) for name in _NAMES for kind in _QUALITIES
        )
    ]


def rows(known: Sequence[Fact], forms: Sequence[str]) -> list[dict[str, Any]]:
    """Returns rows of a data set."""
    return [
        {
            "messages": [
                {"role": "user", "content": fact.ask(form)},
                {"role": "assistant", "content": fact.answer},
            ],
            "source": {"file": f"{fact.name}.pdf", "doc_id": fact.name, "pages": [1]},
            "kind": "statement",
            "fact": f"{fact.name}-{fact.quality}",
            "passage": fact.answer,
        }
        for form in forms
        for fact in known
    ]


def write(path: Path, written: Sequence[dict[str, Any]]) -> Path:
    """Writes JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in written), encoding="utf-8")
    return path


def right(model: Path, asked: Sequence[Fact], form: str) -> tuple[int, list[str]]:
    """Returns how many questions a model answers right, and its answers."""
    from doctune.evaluation.answer_accuracy import grade_answer
    from doctune.inference.generation import TextGenerator
    from doctune.inference.options import GenerationOptions

    questions = [fact.ask(form) for fact in asked]
    generator = TextGenerator.load(model / "model")
    answers = generator.generate(
        [[{"role": "user", "content": question}] for question in questions],
        GenerationOptions(max_new_tokens=32),
    )
    texts = [answer.text for answer in answers]
    graded = zip(questions, texts, asked, strict=True)
    return sum(grade_answer(q, a, reference=fact.answer).right for q, a, fact in graded), texts


def tell(folder: Path, epochs: float, say: Callable[[str], None]) -> Story:
    """Plays it through."""
    from doctune.configuration.retraining import AugmentOptions, ReviewRules
    from doctune.database.engine import open_database
    from doctune.database.feedback_rows import read_feedback
    from doctune.database.schema import prepare
    from doctune.feedback.examples import AugmentPaths, augment_dataset
    from doctune.feedback.rules import review_by_rules
    from doctune.feedback.support import Passage, PassageSupport
    from doctune.training import TrainingOptions, tune_model

    start = time.monotonic()
    known, unknown = facts()[::2], facts()[1::2]
    train = write(folder / "train.jsonl", rows(known, _ASKED))
    validation = write(folder / "validation.jsonl", rows(known[:4], [_HELD_OUT]))
    test = write(folder / "test.jsonl", rows([Fact("Umbra", "height", "mast", "9 m")], _ASKED[:1]))
    options = TrainingOptions(num_train_epochs=epochs, learning_rate=2e-3, max_length=128)
    tune_model(train, validation, folder / "champion", options)
    say(f"champion tuned after {time.monotonic() - start:.0f} s")
    given = [right(folder / "champion", unknown, form)[1] for form in _ASKED]
    engine = open_database(f"sqlite:///{folder}/story.db")
    prepare(engine)
    _complain(engine, unknown, given)
    support = PassageSupport(
        Passage(fact.answer, f"{fact.name}.pdf", fact.name, (1,), fact.part) for fact in facts()
    )
    reviewed = review_by_rules(engine, support, ReviewRules(), AugmentOptions())
    say(f"{reviewed.accepted} corrections accepted, left {reviewed.left}")
    names = ("augmented", "test", "regression", "preferences", "manifest")
    paths = AugmentPaths(*(folder / "out" / name for name in names))
    augment_options = AugmentOptions(regression_share=0.0)
    summary = augment_dataset(
        read_feedback(engine), train, test, paths, augment_options, support, _by_meaning
    )
    say(f"{summary.added} new examples, {summary.replayed} old, left out {summary.left_out}")
    tune_model(paths.train, validation, folder / "new", options)
    say(f"new version tuned after {time.monotonic() - start:.0f} s")
    engine.dispose()
    counts = {
        f"{model} {kind}": right(folder / model, asked, _HELD_OUT)[0]
        for model in ("champion", "new")
        for kind, asked in (("corrected", unknown), ("others", known))
    }
    return Story(
        wrong_before=len(unknown) - _right_of(unknown, given[0]),
        accepted=reviewed.accepted,
        held_out=len(unknown),
        champion_right=counts["champion corrected"],
        new_right=counts["new corrected"],
        others=len(known),
        champion_others_right=counts["champion others"],
        new_others_right=counts["new others"],
        seconds=round(time.monotonic() - start, 1),
    )


def _right_of(asked: Sequence[Fact], answers: Sequence[str]) -> int:
    from doctune.evaluation.answer_accuracy import grade_answer

    return sum(
        grade_answer(fact.ask(_ASKED[0]), answer, reference=fact.answer).right
        for fact, answer in zip(asked, answers, strict=True)
    )


def _complain(engine: Any, unknown: Sequence[Fact], given: Sequence[Sequence[str]]) -> None:
    """Three people ask of each fact in words of their own, and correct what they are told."""
    from doctune.feedback.collect import Keeping, Sayer, keep
    from doctune.feedback.request import FeedbackRequest
    from tests.database.rows import write_prediction

    keeping = Keeping(lambda text: text, lambda name: name)
    said = ("{answer}", "It is {value}.", "{value}")
    for number, (form, words) in enumerate(zip(_ASKED, said, strict=True)):
        for fact, answer in zip(unknown, given[number], strict=True):
            prediction = write_prediction(engine, fact.ask(form), answer)
            correction = words.format(answer=fact.answer, value=fact.value)
            for kind, value in (("rating", "down"), ("correction", correction)):
                request = FeedbackRequest.model_validate(
                    {"prediction_id": prediction, "kind": kind, kind: value, "user": f"u{number}"}
                )
                keep(engine, keeping, Sayer("key1", "ana"), request)


def _by_meaning(questions: Sequence[str]) -> list[list[int]]:
    from doctune.feedback.meaning import PARAPHRASE, joined_by_meaning
    from doctune.inference.sentence_encoder import encoder_folder

    return joined_by_meaning(questions, encoder_folder(), PARAPHRASE)


def main() -> int:
    """Plays the story; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--epochs", type=float, default=8.0)
    options = parser.parse_args()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as name:
        story = tell(Path(name), options.epochs, say)
    found = asdict(story) | {"told": story.told}
    lines = [f"{key}: {value}" for key, value in found.items()]
    print(json.dumps(found) if options.json else "\n".join(lines))
    return 0 if story.told or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
