"""From twenty wrong answers to a model that knows better, with the real small model.

    python benchmarks/feedback_story.py [--json] [--facts 20] [--epochs 8] [--check]

A champion is tuned on twenty facts. It is asked about twenty others, answers wrongly, and three
people each correct every answer in words of their own. The rules review, the data set is augmented,
a new model is tuned from the base. Both are then asked in words that nobody used before. With
--check the exit code is 1 unless at least four fifths are right (champion: at most one fifth), and
no more of the others are lost than chance explains. The gateway, the pipeline
and the roll-out are not part of it: tests/e2e/test_retraining.py has those. What it does is written
to standard error every few seconds.
"""

from __future__ import annotations

import argparse
import json
import logging
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

    chance_of_loss: float  # that as many of the others are lost without a cause
    champion_seconds: float
    new_seconds: float

    @property
    def told(self) -> bool:
        """Whether it came out as it should."""
        return (
            self.new_right >= 0.8 * self.held_out
            and self.champion_right <= 0.2 * self.held_out
            and self.chance_of_loss >= 0.025
        )


def facts(count: int) -> list[Fact]:
    """Returns so many facts, no two with one value."""
    every = [(name, kind) for name in _NAMES for kind in _QUALITIES]
    return [
        Fact(name, quality, part, f"{13 + 7 * number} {unit}")
        for number, (name, (quality, unit, part)) in enumerate(every[:count])
    ]


def chance_of_loss(new: Sequence[bool], champion: Sequence[bool]) -> float:
    """Returns how likely chance alone loses as many questions (McNemar's exact test)."""
    from scipy.stats import binomtest

    lost = sum(was and not now for now, was in zip(new, champion, strict=True))
    won = sum(now and not was for now, was in zip(new, champion, strict=True))
    if not lost + won:
        return 1.0
    return float(binomtest(lost, lost + won, alternative="greater").pvalue)


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


def right(model: Path, asked: Sequence[Fact], form: str) -> tuple[list[bool], list[str]]:
    """Returns which questions a model answers right, and its answers."""
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
    return [grade_answer(q, a, reference=fact.answer).right for q, a, fact in graded], texts


@dataclass(frozen=True)
class Sets:
    """The facts, and the files that the champion is made of."""

    known: list[Fact]
    unknown: list[Fact]
    train: Path
    validation: Path
    test: Path

    @classmethod
    def write(cls, folder: Path, count: int) -> Sets:
        """Writes the sets of so many facts that are known; as many are not."""
        every = facts(2 * count)
        known, unknown = every[::2], every[1::2]
        elsewhere = [Fact("Umbra", "height", "mast", "9 m")]
        return cls(
            known,
            unknown,
            write(folder / "train.jsonl", rows(known, _ASKED)),
            write(folder / "validation.jsonl", rows(known[:4], [_HELD_OUT])),
            write(folder / "test.jsonl", rows(elsewhere, _ASKED[:1])),
        )


def tell(folder: Path, count: int, epochs: float, say: Callable[[str], None]) -> Story:
    """Plays it through."""
    from doctune.training import TrainingOptions, tune_model

    start = time.monotonic()
    sets = Sets.write(folder, count)
    options = TrainingOptions(num_train_epochs=epochs, learning_rate=2e-3, max_length=128)
    tune_model(sets.train, sets.validation, folder / "champion", options)
    champion_seconds = time.monotonic() - start
    say(f"champion tuned after {champion_seconds:.0f} s")
    asked = [right(folder / "champion", sets.unknown, form) for form in _ASKED]
    say(f"the champion answered {sum(asked[0][0])} of {count} right")
    accepted, train = _learn(folder, sets, [texts for _, texts in asked], say)
    again = time.monotonic()
    tune_model(train, sets.validation, folder / "new", options)
    say(f"new version tuned after {time.monotonic() - start:.0f} s")
    new_seconds = time.monotonic() - again
    found = {
        (model, kind): right(folder / model, facts_of, _HELD_OUT)[0]
        for model in ("champion", "new")
        for kind, facts_of in (("corrected", sets.unknown), ("others", sets.known))
    }
    return Story(
        wrong_before=count - sum(asked[0][0]),
        accepted=accepted,
        held_out=count,
        champion_right=sum(found["champion", "corrected"]),
        new_right=sum(found["new", "corrected"]),
        others=len(sets.known),
        champion_others_right=sum(found["champion", "others"]),
        new_others_right=sum(found["new", "others"]),
        chance_of_loss=round(
            chance_of_loss(found["new", "others"], found["champion", "others"]), 4
        ),
        champion_seconds=round(champion_seconds, 1),
        new_seconds=round(new_seconds, 1),
        seconds=round(time.monotonic() - start, 1),
    )


def _learn(
    folder: Path, sets: Sets, given: Sequence[Sequence[str]], say: Callable[[str], None]
) -> tuple[int, Path]:
    """People complain, the rules review, and what is accepted joins the training set."""
    from doctune.configuration.retraining import AugmentOptions, ReviewRules
    from doctune.database.engine import open_database
    from doctune.database.feedback_rows import read_feedback
    from doctune.database.schema import prepare
    from doctune.feedback.examples import AugmentPaths, augment_dataset
    from doctune.feedback.rules import review_by_rules
    from doctune.feedback.support import Passage, PassageSupport

    engine = open_database(f"sqlite:///{folder}/story.db")
    prepare(engine)
    _complain(engine, sets.unknown, given)
    support = PassageSupport(
        Passage(fact.answer, f"{fact.name}.pdf", fact.name, (1,), fact.part)
        for fact in (*sets.known, *sets.unknown)
    )
    reviewed = review_by_rules(engine, support, ReviewRules(), AugmentOptions())
    say(f"{reviewed.accepted} corrections accepted, left {reviewed.left}")
    names = ("augmented", "test", "regression", "preferences", "answers", "manifest")
    paths = AugmentPaths(*(folder / "out" / name for name in names))
    summary = augment_dataset(
        read_feedback(engine),
        sets.train,
        sets.test,
        paths,
        AugmentOptions(regression_share=0.0),
        support,
        _by_meaning,
    )
    engine.dispose()
    say(f"{summary.added} new examples, {summary.replayed} old, left out {summary.left_out}")
    return reviewed.accepted, paths.train


def _complain(engine: Any, unknown: Sequence[Fact], given: Sequence[Sequence[str]]) -> None:
    """Three people ask of each fact in words of their own, and correct what they are told."""
    from doctune.feedback.collect import FeedbackAuthor, StorageRules, keep
    from doctune.feedback.request import FeedbackRequest
    from tests.database.rows import write_prediction

    keeping = StorageRules(lambda text: text, lambda name: name)
    said = ("{answer}", "It is {value}.", "{value}")
    for number, (form, words) in enumerate(zip(_ASKED, said, strict=True)):
        for fact, answer in zip(unknown, given[number], strict=True):
            prediction = write_prediction(engine, fact.ask(form), answer)
            correction = words.format(answer=fact.answer, value=fact.value)
            for kind, value in (("rating", "down"), ("correction", correction)):
                request = FeedbackRequest.model_validate(
                    {"prediction_id": prediction, "kind": kind, kind: value, "user": f"u{number}"}
                )
                keep(engine, keeping, FeedbackAuthor("key1", "ana"), request)


def _by_meaning(questions: Sequence[str]) -> list[list[int]]:
    from doctune.feedback.meaning import PARAPHRASE, joined_by_meaning
    from doctune.inference.sentence_encoder import encoder_folder

    return joined_by_meaning(questions, encoder_folder(), PARAPHRASE)


def main() -> int:
    """Plays the story; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="The last line is JSON.")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--facts", type=int, choices=range(4, 21), default=20, metavar="4-20")
    parser.add_argument("--epochs", type=float, default=8.0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as name:
        story = tell(Path(name), options.facts, options.epochs, say)
    found = asdict(story) | {"told": story.told}
    lines = [f"{key}: {value}" for key, value in found.items()]
    print(json.dumps(found) if options.json else "\n".join(lines))
    return 0 if story.told or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
