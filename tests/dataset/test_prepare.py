"""The stage as a whole: what is written, where it goes, and that it stays the same."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from doctune.dataset import DatasetOptions, DatasetSummary, prepare_dataset
from doctune.dataset.text import stable_hash, words
from doctune.digests import digest_file
from doctune.errors import DatasetError
from tests.dataset.corpora import Paper, write_corpus

SIDES = ("train", "validation", "test")


def machine(name: str, liquid: str, *, days: int, source: str = "") -> Paper:
    """A small manual about a machine that exists nowhere."""
    return (
        Paper(source or f"{name.lower()}.pdf", title=f"{name} User Manual")
        .heading(f"{name} User Manual")
        .heading("1 Introduction", 1)
        .text(
            f"The {name} is a bench machine that thickens {liquid} overnight. "
            f"It was drawn in the valley of {name}holm by three brothers."
        )
        .heading("2 Changing the sieve", 1)
        .text(f"The sieve of the {name} must be replaced every {days} days.")
        .items(
            f"1. Switch the {name} off and wait for the hum to stop.",
            f"2. Pull out the sieve that holds the {liquid}.",
            "3. Push the new sieve in until it clicks.",
        )
        .new_page()
        .heading("3 Technical data", 1)
        .table(
            ["Property", "Value"],
            ["Weight", f"{days + 3} kg"],
            ["Power", f"{days * 7} W"],
        )
        .heading(f"What does {name} cost to run?", 1)
        .text(f"Running a {name} costs {days} cents a night when the {liquid} is warm.")
    )


def corpus(folder: Path) -> Path:
    liquids = ["sorrel milk", "birch tar", "quince must", "whey", "linden syrup"]
    names = ["Brollin", "Tarn", "Ostrel", "Wicket", "Pellam"]
    return write_corpus(
        folder,
        *(
            machine(name, liquid, days=30 + 11 * number)
            for number, (name, liquid) in enumerate(zip(names, liquids, strict=True))
        ),
    )


def prepare(
    documents: Path, out: Path, options: DatasetOptions | None = None
) -> tuple[DatasetSummary, dict[str, list[dict[str, Any]]]]:
    summary = prepare_dataset(
        documents,
        train_path=out / "train.jsonl",
        validation_path=out / "validation.jsonl",
        test_path=out / "test.jsonl",
        manifest_path=out / "manifest.json",
        card_path=out / "card.md",
        options=options,
    )
    rows = {
        side: [json.loads(line) for line in (out / f"{side}.jsonl").read_text().splitlines()]
        for side in SIDES
    }
    return summary, rows


def test_every_row_is_a_chat_with_its_source_kind_and_passage(tmp_path: Path) -> None:
    _, rows = prepare(corpus(tmp_path / "in"), tmp_path / "out")

    for row in (row for side in SIDES for row in rows[side]):
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
        assert all(message["content"].strip() for message in row["messages"])
        assert set(row["source"]) == {"doc_id", "pages", "file", "heading"}
        assert row["source"]["pages"]
        assert row["kind"]
        assert row["passage"]


def test_phrasings_of_one_fact_share_its_id_and_nothing_else_does(tmp_path: Path) -> None:
    _, sides = prepare(corpus(tmp_path / "in"), tmp_path / "out")
    rows = [row for side in SIDES for row in sides[side]]

    answers: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        answers.setdefault(row["fact"], set()).add(
            (row["source"]["doc_id"], row["messages"][-1]["content"])
        )
    assert all(len(found) == 1 for found in answers.values())
    assert len(answers) < len(rows)


def test_every_split_has_examples_and_the_summary_counts_them(tmp_path: Path) -> None:
    summary, rows = prepare(corpus(tmp_path / "in"), tmp_path / "out")

    assert (summary.train, summary.validation, summary.test) == tuple(
        len(rows[side]) for side in SIDES
    )
    assert min(summary.train, summary.validation, summary.test) > 0
    assert summary.examples == summary.train + summary.validation + summary.test
    assert sum(summary.kinds.values()) == summary.examples


def test_no_document_stands_on_two_sides(tmp_path: Path) -> None:
    _, rows = prepare(corpus(tmp_path / "in"), tmp_path / "out")

    documents = [{row["source"]["doc_id"] for row in rows[side]} for side in SIDES]

    assert sum(map(len, documents)) == len(set.union(*documents)) == 5


def test_same_input_gives_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    prepare(corpus(tmp_path / "a"), tmp_path / "one")
    prepare(corpus(tmp_path / "b"), tmp_path / "elsewhere" / "two")

    for name in ("train.jsonl", "validation.jsonl", "test.jsonl", "manifest.json", "card.md"):
        first, second = tmp_path / "one" / name, tmp_path / "elsewhere" / "two" / name
        assert digest_file(first) == digest_file(second), name


def test_another_seed_divides_otherwise(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "in")

    digests = {
        prepare(folder, tmp_path / str(seed), DatasetOptions(seed=seed))[0].digest
        for seed in range(4)
    }

    assert len(digests) > 1


def test_headers_and_footers_never_enter_an_example(tmp_path: Path) -> None:
    papers = [machine(name, "ale", days=20 + len(name)) for name in ("Abel", "Bertram", "Cy")]
    for paper in papers:
        paper.add("header", "Zanzibar running head of the manual that repeats.")
        paper.add("footer", "Zanzibar page 1")

    prepare(write_corpus(tmp_path / "in", *papers), tmp_path / "out")

    for side in SIDES:
        assert "Zanzibar" not in (tmp_path / "out" / f"{side}.jsonl").read_text()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["blocks_left_out"]["header_or_footer"] == 6


def test_manifest_names_each_document_with_its_side_and_the_digests(tmp_path: Path) -> None:
    _, rows = prepare(corpus(tmp_path / "in"), tmp_path / "out")

    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    for side in SIDES:
        assert manifest["splits"][side]["sha256"] == digest_file(tmp_path / "out" / f"{side}.jsonl")
        assert manifest["splits"][side]["examples"] == len(rows[side])
    for entry in manifest["documents"]:
        own = [row for row in rows[entry["side"]] if row["source"]["doc_id"] == entry["doc_id"]]
        assert entry["examples"] == len(own)


def test_one_document_is_split_by_section_and_says_so(tmp_path: Path) -> None:
    paper = Paper("book.pdf", title="The Fen Book")
    for number, bird in enumerate(["bittern", "heron", "coot", "rail", "snipe", "teal", "ruff"]):
        paper.heading(f"{number + 1} Of the {bird}")
        paper.text(
            f"The {bird} is a bird that nests {number + 2} yards from the water in this fen. "
            f"Its call is heard {number + 20} times a night between the reeds of ditch {number}."
        )

    summary, rows = prepare(write_corpus(tmp_path / "in", paper), tmp_path / "out")

    assert summary.split_by == "chapter"
    assert all(rows[side] for side in SIDES)
    assert "section" in json.loads((tmp_path / "out" / "manifest.json").read_text())["note"]
    assert "split by top-level section" in (tmp_path / "out" / "card.md").read_text()


def test_a_corpus_too_small_to_split_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    paper = Paper("note.pdf").heading("The shed").text("The lock of the shed is made of brass.")

    with pytest.raises(DatasetError, match=r"too few.*add documents") as caught:
        prepare(write_corpus(tmp_path / "in", paper), tmp_path / "out")

    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_documents_without_text_are_one_line(tmp_path: Path) -> None:
    papers = [Paper(f"{name}.pdf").heading(name) for name in ("a", "b", "c")]

    with pytest.raises(DatasetError, match="too little running text"):
        prepare(write_corpus(tmp_path / "in", *papers), tmp_path / "out")


def test_a_failure_leaves_the_earlier_files_untouched(tmp_path: Path) -> None:
    prepare(corpus(tmp_path / "in"), tmp_path / "out")
    before = {path.name: digest_file(path) for path in (tmp_path / "out").iterdir()}

    with pytest.raises(DatasetError):
        prepare(write_corpus(tmp_path / "small", Paper("x.pdf").heading("X")), tmp_path / "out")

    assert {path.name: digest_file(path) for path in (tmp_path / "out").iterdir()} == before


def test_a_missing_folder_is_a_dataset_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is missing"):
        prepare(tmp_path / "nowhere", tmp_path / "out")


def test_max_examples_is_kept(tmp_path: Path) -> None:
    summary, _ = prepare(corpus(tmp_path / "in"), tmp_path / "out", DatasetOptions(max_examples=20))

    assert 3 <= summary.examples <= 20
    (cap,) = summary.caps
    assert cap.startswith("20 of ")
    assert "(dataset.max_examples)" in cap
    whole, _ = prepare(corpus(tmp_path / "in"), tmp_path / "whole")
    assert whole.caps == ()


def test_two_files_with_the_same_bytes_are_read_once(tmp_path: Path) -> None:
    papers = [machine(name, "ale", days=20 + len(name)) for name in ("Abel", "Bertram", "Cy")]
    papers.append(machine("Cy", "ale", days=22, source="copy-of-cy.pdf"))

    prepare(write_corpus(tmp_path / "in", *papers), tmp_path / "out")

    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert len(manifest["documents"]) == 3
    assert manifest["copies_left_out"] == ["cy.pdf"]


def test_rejected_documents_are_named_and_not_read(tmp_path: Path) -> None:
    papers = [machine(name, "ale", days=20 + len(name)) for name in ("Abel", "Bertram", "Cy")]
    papers.append(Paper("locked.pdf", status="rejected"))

    prepare(write_corpus(tmp_path / "in", *papers), tmp_path / "out")

    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["rejected"] == ["locked.pdf"]


def test_two_editions_of_a_document_stay_on_one_side(tmp_path: Path) -> None:
    names = ["Abel", "Bertram", "Cy", "Dora", "Emil"]
    papers = [machine(name, f"{name} ale", days=20 + 7 * at) for at, name in enumerate(names)]
    edition = machine("Abel", "Abel ale", days=20, source="abel-2nd.pdf")
    edition.text("The second edition adds this sentence and nothing else of weight.")

    prepare(write_corpus(tmp_path / "in", *papers, edition), tmp_path / "out")

    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    side = {entry["file"]: entry["side"] for entry in manifest["documents"]}
    assert side["abel.pdf"] == side["abel-2nd.pdf"]
    assert len(manifest["kept_together"]) == 1


SCRIPTS = json.loads(Path(__file__).with_name("scripts.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", SCRIPTS)
def test_scripts_other_than_latin_give_examples(tmp_path: Path, language: str) -> None:
    sentence = SCRIPTS[language]
    papers = []
    for number in range(4):
        paper = Paper(f"{number}.pdf", title=f"{sentence[:6]} {number}", language="")
        for part in range(3):
            paper.heading(f"{part + 1} {sentence[3:9]} {number}{part}")
            # Other sentences in each section: what two documents share would be taken out.
            pieces = sorted(words(sentence), key=partial(stable_hash, number, part))
            joint = " " if " " in sentence else ""
            paper.text(joint.join(pieces).capitalize() + sentence[-1])
        papers.append(paper)

    summary, _ = prepare(write_corpus(tmp_path / language, *papers), tmp_path / "out")

    assert summary.kinds["section"] >= 12


def test_pages_without_any_heading_give_examples(tmp_path: Path) -> None:
    animals = ["otter", "badger", "marten", "stoat"]
    papers = [
        Paper(f"{animal}.pdf").text(
            *(
                f"The {animal} of valley {number} is a shy guest of the mill. "
                f"It was seen {number + 3} times by the miller's {animal} clerk in year {number}. "
                f"Its tracks of {animal} form {number} lead to the {number}th weir."
                for number in range(6)
            )
        )
        for animal in animals
    ]

    summary, _ = prepare(write_corpus(tmp_path / "in", *papers), tmp_path / "out")

    assert summary.split_by == "document"
    assert summary.kinds["completion"] > 0


def test_the_tokenizer_given_counts_the_tokens(tmp_path: Path) -> None:
    class Characters:
        def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
            return list(map(ord, text))

    folder = corpus(tmp_path / "in")
    prepare_dataset(
        folder,
        train_path=tmp_path / "a",
        validation_path=tmp_path / "b",
        test_path=tmp_path / "c",
        manifest_path=tmp_path / "manifest.json",
        card_path=tmp_path / "card.md",
        options=DatasetOptions(answer_tokens=500, chunk_tokens=2000),
        tokenizer=Characters(),
    )

    assert json.loads((tmp_path / "manifest.json").read_text())["tokenizer"] == "Characters"


def test_a_folder_without_a_tokenizer_is_a_dataset_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no tokenizer\.json"):
        prepare_dataset(
            corpus(tmp_path / "in"),
            train_path=tmp_path / "a",
            validation_path=tmp_path / "b",
            test_path=tmp_path / "c",
            manifest_path=tmp_path / "d",
            card_path=tmp_path / "e",
            tokenizer=tmp_path / "in",
        )
