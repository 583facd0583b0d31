"""The index on disk: what it finds, and that the same input gives the same bytes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from doctune.dataset.records import Document
from doctune.digests import digest_folder
from doctune.errors import DatasetError, StorageError, UsageError
from doctune.knowledge import KnowledgeIndex, KnowledgeOptions, build_index
from doctune.knowledge.build import access_groups
from doctune.knowledge.filters import Filter
from doctune.publishing import MANIFEST_FILE
from tests.dataset.corpora import write_corpus
from tests.flat_bucket import flat_bucket
from tests.knowledge.conftest import manual, warranty


def test_the_passage_that_answers_is_found_first(index_folder: Path) -> None:
    found = KnowledgeIndex(index_folder).search("how many months is the motor covered?", top=3)

    assert (found[0].file, found[0].pages) == ("warranty.pdf", (1,))
    assert found[0].score > found[1].score


def test_an_index_is_opened_and_searched_without_torch_and_pandas(index_folder: Path) -> None:
    # Their imports alone take longer than opening 100,000 passages may.
    program = (
        "import sys; from pathlib import Path; from doctune.knowledge import KnowledgeIndex;"
        "index = KnowledgeIndex(Path(sys.argv[1])); index.warm_up();"
        "index.search('how many months?');"
        "print([name for name in ('torch', 'transformers', 'pandas', 'scipy')"
        " if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, index_folder], capture_output=True, text=True, timeout=120
    )
    assert run.stdout.strip() == "[]", run.stderr


def test_building_again_gives_the_same_bytes(documents: Path, tmp_path: Path) -> None:
    build_index(documents, tmp_path / "once")
    build_index(documents, tmp_path / "again")

    assert digest_folder(tmp_path / "again") == digest_folder(tmp_path / "once")


def test_an_update_encodes_only_what_changed_and_ends_as_if_built_anew(tmp_path: Path) -> None:
    changed = warranty().text("The blade is covered for 12 months.")
    write_corpus(tmp_path / "before", manual(), warranty())
    write_corpus(tmp_path / "after", manual(), changed)
    build_index(tmp_path / "before", tmp_path / "index")

    updated = build_index(tmp_path / "after", tmp_path / "index")
    build_index(tmp_path / "after", tmp_path / "fresh")

    assert updated.reused == 1
    assert digest_folder(tmp_path / "index") == digest_folder(tmp_path / "fresh")


def test_who_is_not_of_a_group_does_not_see_its_documents(documents: Path, tmp_path: Path) -> None:
    options = KnowledgeOptions(groups={"warranty*": "partners"})
    build_index(documents, tmp_path / "index", options)
    index = KnowledgeIndex(tmp_path / "index")

    seen = {one.file for one in index.search("motor covered", groups={"everybody"})}

    assert seen == {"arlo-3-manual.pdf"}
    assert "warranty.pdf" in {one.file for one in index.search("motor", groups={"partners"})}


def test_an_index_is_built_again_on_a_bucket_that_renames_no_folder(
    documents: Path, tmp_path: Path
) -> None:
    place = tmp_path / "gcs" / "index"
    with flat_bucket(tmp_path / "gcs"):
        build_index(documents, place)
        build_index(documents, place)

    assert KnowledgeIndex(place).search("motor covered")


def test_an_index_whose_copy_was_cut_off_is_refused(documents: Path, tmp_path: Path) -> None:
    place = tmp_path / "index"
    build_index(documents, place)
    (place / MANIFEST_FILE).unlink()

    with pytest.raises(StorageError, match="incomplete: build the index again"):
        KnowledgeIndex(place)


def test_a_sidecars_groups_win_over_the_rules_of_the_settings() -> None:
    options = KnowledgeOptions(groups={"board/*": ["board", "owners"], "*": "staff"})
    document = Document("id", "board/plan.pdf", "Plan", "en", 1, ())
    assert access_groups(document, options) == ["board", "owners"]
    assert access_groups(replace(document, source="plan.pdf"), options) == ["staff"]
    assert access_groups(replace(document, groups=("chair",)), options) == ["chair"]
    assert access_groups(document, KnowledgeOptions()) == ["everybody"]


def test_a_document_without_a_date_is_left_out_where_dates_are_asked_for() -> None:
    recent = Filter(since="2026-01-01", until="2026-12-31")
    dates = ("2025-12-31", "2026-01-01", "2026-12-31", "2027-01-01", "")
    assert [recent.accepts("a.pdf", "en", date) for date in dates] == [0, 1, 1, 0, 0]
    assert not Filter(until="2026-12-31").accepts("a.pdf", "en", "")
    assert Filter().accepts("a.pdf", "en", "")
    for wrong in ("20260101", "2026-W01-1", "2026-13-01", "now"):
        with pytest.raises(UsageError, match="since must be a date"):
            Filter(since=wrong)


def test_a_folder_without_an_index_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no knowledge index"):
        KnowledgeIndex(tmp_path)


def test_documents_without_text_are_an_error(tmp_path: Path) -> None:
    empty = manual()
    empty.blocks.clear()
    write_corpus(tmp_path, empty)

    with pytest.raises(DatasetError, match="no text to index"):
        build_index(tmp_path, tmp_path / "index")
