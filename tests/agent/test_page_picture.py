"""The page of a source with its box drawn."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from doctune.agent import Agent
from doctune.agent.page_picture import PageUnavailableError, page_picture
from tests.agent.corpus import Corpus


@pytest.fixture(scope="module")
def source(agent: Agent):
    return agent.answerer.answer("How often is the filter of the Arlo 3 rinsed?").sources[0]


def test_the_box_is_drawn_around_the_words(corpus: Corpus, source) -> None:
    with Image.open(io.BytesIO(page_picture(corpus.pdfs, source))) as image:
        image.load()
    scale = image.width / 595.28
    left, top, right, bottom = (value * scale for value in source.box)
    inside = [
        image.getpixel((x, y))
        for x in range(int(left), int(right), 5)
        for y in range(int(top), int(bottom), 2)
    ]
    assert any(sum(pixel) < 300 for pixel in inside)  # type: ignore[arg-type]
    tinted = [pixel for pixel in inside if pixel[2] < pixel[0]]  # type: ignore[index]
    assert len(tinted) > len(inside) / 2
    assert image.getpixel((image.width - 5, image.height - 5)) == (255, 255, 255)


def test_a_file_that_changed_or_is_gone_is_said(corpus: Corpus, source, tmp_path: Path) -> None:
    with pytest.raises(PageUnavailableError, match="not in the folder of PDFs"):
        page_picture(tmp_path, source)
    shutil.copy(corpus.pdfs / "warranty.pdf", tmp_path / source.file)
    with pytest.raises(PageUnavailableError, match="changed"):
        page_picture(tmp_path, source)


def test_a_source_never_leads_out_of_the_folder(corpus: Corpus, source) -> None:
    with pytest.raises(PageUnavailableError, match="not in the folder of PDFs"):
        page_picture(corpus.pdfs / "partners", replace(source, file="../warranty.pdf"))


def test_a_page_that_is_not_there_is_an_error_of_one_line(corpus: Corpus, source) -> None:
    with pytest.raises(PageUnavailableError, match="cannot be rendered"):
        page_picture(corpus.pdfs, replace(source, page=99))
