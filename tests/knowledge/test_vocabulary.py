"""Words that the documents do not use, read as those that they do."""

from pathlib import Path

import pytest

from doctune.inference.sentence_encoder import encoder_folder
from doctune.inference.short_texts import ShortTexts
from doctune.knowledge.vocabulary import AskedWord, Vocabulary, foreign_names, write_vocabulary

TEXTS = [
    ("The bicycles of children are kept in the yard. Ink is forbidden on Saturday.", "en"),
    ("A bicycle weighs 14 kilograms; the bicycle's lamp is blue.", "en"),
]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("vocabulary")
    write_vocabulary(folder, TEXTS, encoder_folder())
    return Vocabulary(folder, ShortTexts(encoder_folder()))


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("bike", "bicycl"), ("kids", "child"), ("weekend", "saturday"), ("heavy", "weigh")],
)
def test_a_word_means_the_one_that_the_documents_use(
    vocabulary: Vocabulary, asked: str, meant: str
) -> None:
    (near,) = vocabulary.near([asked])

    assert max(near, key=lambda stem: near[stem]) == meant
    assert near[meant] > 0.4


def test_a_word_of_something_else_means_none_of_them(vocabulary: Vocabulary) -> None:
    (near,) = vocabulary.near(["wifi"])

    assert max(near.values(), default=0.0) < 0.3


def test_a_name_that_no_document_has_is_foreign() -> None:
    known = {"germani"}.__contains__

    assert foreign_names("What is paid for France?", known) == {"franc"}
    assert foreign_names("What is paid for Germany?", known) == set()
    assert foreign_names("What is paid?", known) == set()


def test_a_word_is_said_as_nearly_as_its_nearest(vocabulary: Vocabulary) -> None:
    word = AskedWord("bike", {"bike": 1.0, "bicycl": 0.9, "lamp": 0.1})

    assert word.said({"lamp", "bicycl"}) == 0.9
    assert word.said({"yard"}) == 0.0


def test_the_same_texts_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_vocabulary(tmp_path / name, TEXTS, encoder_folder())

    first, second = (
        [(path.name, path.read_bytes()) for path in sorted((tmp_path / name).iterdir())]
        for name in ("one", "two")
    )
    assert first == second
