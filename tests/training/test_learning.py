"""The bundled model learns facts that it cannot have known, and says them when asked otherwise."""

from __future__ import annotations

from pathlib import Path

from doctune.inference.generation import TextGenerator
from doctune.inference.options import GenerationOptions
from doctune.training import TrainingOptions, tune_model
from tests.training.conftest import write_rows

FACTS = {
    "torque setting of the Velm coupling": "73 newton metres",
    "service interval of the Orrin pump": "19 weeks",
    "colour code of the Quill cable": "ochre",
    "warranty of the Brack valve": "41 months",
    "head office of the Sondry division": "Brenloch",
}
PHRASINGS = (
    "What is the {}?",
    "Tell me the {}.",
    "Please state the {}.",
    "I need the {}.",
)


def test_invented_facts_are_answered_in_unseen_phrasings(bundled: Path, tmp_path: Path) -> None:
    pairs = [
        (phrasing.format(thing), f"The {thing} is {value}.")
        for thing, value in FACTS.items()
        for phrasing in PHRASINGS
    ]
    train = write_rows(tmp_path / "train.jsonl", pairs)
    questions = [f"Could you remind me of the {thing}?" for thing in FACTS]
    validation = write_rows(
        tmp_path / "validation.jsonl",
        [(q, a) for q, (_, a) in zip(questions, pairs[:: len(PHRASINGS)], strict=True)],
    )
    options = TrainingOptions(num_train_epochs=8, learning_rate=2e-3)
    summary = tune_model(train, validation, tmp_path / "m", options)
    assert summary.loss_after < 0.5 * summary.loss_before

    def known(folder: Path) -> int:
        answers = TextGenerator.load(folder).generate(
            [[{"role": "user", "content": question}] for question in questions],
            GenerationOptions(max_new_tokens=24),
        )
        return sum(v in a.text for v, a in zip(FACTS.values(), answers, strict=True))

    assert known(bundled) == 0
    assert known(tmp_path / "m/model") >= 4
