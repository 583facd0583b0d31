"""Turns reviewed feedback into training examples, preference pairs and test cases.

All is made anew from what the database holds now: what an erased person said is gone from the next
data set, and a decision that was changed counts as it stands. The same rows give the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from doctune.configuration.retraining import AugmentOptions
from doctune.database.feedback_rows import FeedbackRow
from doctune.dataset.text import normalise, stable_hash
from doctune.digests import digest_file, digest_value
from doctune.errors import DatasetError
from doctune.feedback.corrections import Correction, person_of, read_corrections, settle
from doctune.feedback.orders import gives_orders
from doctune.feedback.redaction import Redactor, redact_secrets
from doctune.feedback.sides import TestSide, same_question, side_of, within_shares
from doctune.feedback.support import PassageSupport, same_answer
from doctune.files import atomic_path, text_lines

KIND = "feedback"
Row = dict[str, Any]
# From questions to groups of their indices.
Grouping = Callable[[Sequence[str]], list[list[int]]]
_SHOWN_KEYS = 50


@dataclass(frozen=True)
class AugmentPaths:
    """What is written."""

    train: Path
    test: Path
    regression: Path
    preferences: Path
    answers: Path
    manifest: Path


@dataclass(frozen=True)
class AugmentSummary:
    """What was made, in rows."""

    train: int
    replayed: int
    added: int
    regression: int
    preferences: int
    left_out: dict[str, int]
    digest: str


@dataclass
class _Plan:
    train: list[Correction] = field(default_factory=list)
    regression: list[tuple[Correction, str]] = field(default_factory=list)
    left: list[tuple[Correction, str]] = field(default_factory=list)


def augment_dataset(
    rows: Iterable[FeedbackRow],
    train_path: Path,
    test_path: Path,
    paths: AugmentPaths,
    options: AugmentOptions,
    support: PassageSupport,
    group: Grouping,
) -> AugmentSummary:
    """Writes the data set of a retraining.

    Args:
        rows: Feedback with its reviews, each person's last version.
        train_path: What prepare_dataset made for training.
        test_path: Likewise for the test, which stays as it is.
        support: The passages of the documents.
        group: Tells which questions ask the same.

    Raises:
        DatasetError: A set cannot be read.
    """
    everything = list(rows)
    old, test = _read(train_path), _read(test_path)
    corrections, waiting = read_corrections(everything, options)
    plan = _plan(_clean(corrections), old, test, options, support, group)
    added = [row for one in plan.train for row in _rows(one, support)] * options.repeat
    taught = frozenset(
        normalise(question) for one in plan.train for question in (one.question, *one.phrasings)
    )
    superseded = [row for row in old if same_question(row, taught)]
    held = [row for one, _ in plan.regression for row in _rows(one, support)]
    held_questions = frozenset(normalise(str(row["messages"][-2]["content"])) for row in held)
    kept = [row for row in old if not same_question(row, taught | held_questions)]
    replayed = _replayed(kept, len(added), options)
    pairs = [pair for one in plan.train for pair in _pairs(one)] + _preferred(everything, plan)
    manifest = _manifest(plan, waiting, superseded, options, (len(replayed), len(added)))
    with ExitStack() as stack:

        def write(path: Path, written: Iterable[Row]) -> str:
            temporary = stack.enter_context(atomic_path(path))
            with temporary.open("w", encoding="utf-8", newline="\n") as file:
                for row in written:
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
            return digest_file(temporary)

        digests = {
            "train": write(paths.train, _mixed(replayed, added)),
            "test": write(paths.test, test),
            "regression": write(paths.regression, held),
            "preferences": write(paths.preferences, pairs),
            "answers": write(paths.answers, (_answer(one, support) for one in plan.train)),
        }
        manifest |= {"digest": digest_value(digests), "sha256": digests}
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        stack.enter_context(atomic_path(paths.manifest)).write_text(text, encoding="utf-8")
    return AugmentSummary(
        train=len(replayed) + len(added),
        replayed=len(replayed),
        added=len(added),
        regression=len(held),
        preferences=len(pairs),
        left_out=manifest["left_out"]["by_reason"],
        digest=manifest["digest"],
    )


def _clean(corrections: Sequence[Correction]) -> list[Correction]:
    """Returns the corrections without personal data and secrets."""
    redactor = Redactor()

    def clean(text: str) -> str:
        return redactor.redact(redact_secrets(text))

    return [
        replace(
            one,
            question=clean(one.question),
            answer=clean(one.answer),
            given=clean(one.given),
            phrasings=sorted({clean(text) for text in one.phrasings} - {clean(one.question)}),
        )
        for one in corrections
    ]


def _plan(
    corrections: list[Correction],
    old: Sequence[Row],
    test: Sequence[Row],
    options: AugmentOptions,
    support: PassageSupport,
    group: Grouping,
) -> _Plan:
    plan = _Plan()
    fit = []
    documents = {
        normalise(str(row["messages"][-2]["content"])): str(row["messages"][-1]["content"])
        for row in old
    }
    for one in corrections:
        why = _unfit(one, documents, support)
        if why:
            plan.left.append((one, why))
        else:
            fit.append(one)
    settled, gave_way = settle(fit, group([one.question for one in fit]) if fit else [])
    plan.left += gave_way
    within, too_many = within_shares(settled, options)
    plan.left += too_many
    tests = TestSide.of(test, old)
    for one in within:
        side, why = side_of(one, tests.why_held(one), options)
        if side == "train":
            plan.train.append(one)
        else:
            plan.regression.append((one, why))
    return plan


def _unfit(correction: Correction, documents: dict[str, str], support: PassageSupport) -> str:
    """Returns why a correction must not be learnt; "" where nothing speaks against it."""
    texts = (correction.question, correction.answer, *correction.phrasings)
    if any(map(gives_orders, texts)):
        return "gives the model orders"
    if correction.by_person:
        return ""
    if support.find(correction.question, correction.answer) is None:
        return "no passage says it, and no person accepted it"
    told = documents.get(normalise(correction.question))
    if told is not None and not same_answer(correction.question, told, correction.answer):
        return "the documents' own example says otherwise, and no person accepted it"
    return ""


def _rows(correction: Correction, support: PassageSupport) -> list[Row]:
    """Returns a row of a data set for each way in which a correction's question was asked."""
    passage = support.find(correction.question, correction.answer)
    source: Row = {"file": "", "pages": [], "heading": "", "doc_id": ""}
    if passage is not None:
        source = {
            "doc_id": passage.doc_id,
            "pages": list(passage.pages),
            "file": passage.file,
            "heading": passage.heading,
        }
    fact = f"{KIND}-{stable_hash(correction.prediction_id, correction.answer):016x}"
    return [
        {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": correction.answer},
            ],
            "source": source,
            "kind": KIND,
            "fact": fact,
            "passage": passage.text if passage else "",
            "feedback": sorted(correction.feedback),
        }
        for question in (correction.question, *correction.phrasings)
    ]


def _answer(correction: Correction, support: PassageSupport) -> Row:
    """Returns what the index keeps of a correction, to answer its question at once."""
    passage = support.find(correction.question, correction.answer)
    return {
        "questions": [correction.question, *correction.phrasings],
        "answer": correction.answer,
        "passage": passage.id if passage else "",
        "feedback": sorted(correction.feedback),
    }


def _pairs(correction: Correction) -> list[Row]:
    given = correction.given.strip()
    if not given or same_answer(correction.question, given, correction.answer):
        return []
    pair = {"prompt": correction.question, "chosen": correction.answer, "rejected": given}
    return [{**pair, "feedback": sorted(correction.feedback)}]


def _preferred(rows: Sequence[FeedbackRow], plan: _Plan) -> list[Row]:
    """Returns the pairs of reviewed preferences whose questions are taught."""
    taught = {feedback_id for one in plan.train for feedback_id in one.feedback}
    pairs = []
    for row in rows:
        other = row.value.get("preference", {}).get("other_answer") if row.id in taught else None
        if row.kind != "preference" or not other or not row.answer or other == row.answer:
            continue
        better = row.value["preference"]["better"]
        if better == "neither":
            continue
        chosen, rejected = (row.answer, other) if better == "this" else (other, row.answer)
        pairs.append(
            {
                "prompt": row.question,
                "chosen": chosen,
                "rejected": rejected,
                "feedback": [row.id],
            }
        )
    return pairs


def _replayed(old: list[Row], added: int, options: AugmentOptions) -> list[Row]:
    """Returns the old rows that are taught again, drawn by their facts, in their order."""
    if options.replay_ratio is None:
        return old
    wanted = min(len(old), round(options.replay_ratio * added)) if added else len(old)
    order = sorted(range(len(old)), key=lambda at: stable_hash("replay", old[at].get("fact"), at))
    taken = set(order[:wanted])
    return [row for at, row in enumerate(old) if at in taken]


def _mixed(old: list[Row], new: list[Row]) -> list[Row]:
    """Returns both, the new ones spread evenly among the old: a run that ends early saw of both."""
    if not new:
        return old
    placed = [((at + 0.5) / len(old), 0, row) for at, row in enumerate(old)]
    placed += [((at + 0.5) / len(new), 1, row) for at, row in enumerate(new)]
    return [row for _, _, row in sorted(placed, key=lambda entry: entry[:2])]


def _manifest(
    plan: _Plan,
    waiting: Sequence[FeedbackRow],
    superseded: Sequence[Row],
    options: AugmentOptions,
    counts: tuple[int, int],
) -> dict[str, Any]:
    reasons = Counter(why for _, why in plan.left)
    people: Counter[str] = Counter()
    for one, _ in plan.left:
        people.update(person.key_id for person in one.people)
    people.update(person_of(row).key_id for row in waiting)
    return {
        "schema_version": 1,
        "settings": options.model_dump(exclude={"regression_key"}),
        "examples": {"replayed": counts[0], "added": counts[1]},
        "items": [
            *(_item(one, "train", "") for one in plan.train),
            *(_item(one, "regression", why) for one, why in plan.regression),
        ],
        "left_out": {
            "by_reason": dict(sorted(reasons.items())),
            "waiting_for_review": len(waiting),
            # Who most of what was not learnt came from: a flood shows here.
            "by_key": dict(people.most_common(_SHOWN_KEYS)),
            "items": [_item(one, "left out", why) for one, why in plan.left],
        },
        "superseded_facts": sorted({str(row.get("fact") or "") for row in superseded} - {""}),
    }


def _item(correction: Correction, side: str, why: str) -> dict[str, Any]:
    return {
        "side": side,
        "why": why,
        "prediction_id": correction.prediction_id,
        "feedback": sorted(correction.feedback),
        "reviewer": correction.reviewer,
        "weight": correction.weight,
        "keys": sorted({person.key_id for person in correction.people}),
        "phrasings": len(correction.phrasings),
    }


def _read(path: Path) -> list[Row]:
    try:
        return [json.loads(line) for _, line in text_lines(path)]
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read: {error}.") from error
