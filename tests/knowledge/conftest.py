"""A small corpus of two machines, indexed once."""

from pathlib import Path

import pytest

from doctune.knowledge import Answerer, build_index
from tests.dataset.corpora import Paper, write_corpus


def manual() -> Paper:
    """A manual of a machine that no one has seen."""
    return (
        Paper("arlo-3-manual.pdf", title="Arlo 3 Manual")
        .heading("Cleaning")
        .text(
            "The filter of the Arlo 3 is rinsed every 14 days with cold water. Do not use soap: it "
            "clogs the mesh. The lid is wiped with a dry cloth."
        )
        .heading("May I put the bowl into the dishwasher?", level=2)
        .text("No. The glue of the handle softens at 60 degrees Celsius.")
        .heading("Starting")
        .text("To start the machine:")
        .items("1. Fill the tank.", "2. Close the lid.", "3. Hold the green key for two seconds.")
        .heading("Technical data")
        .table(
            ["Value, watts", "Arlo 3", "Arlo 5"],
            ["Power at rest", "2", "4"],
            ["Power while grinding", "310", "480"],
            header_rows=1,
        )
        .heading("Signals")
        .table(
            ["Code", "Meaning", "What to do"],
            ["E07", "Tank empty", "Fill the tank"],
            ["E09", "Lid open", "Close the lid"],
            header_rows=1,
        )
    )


def warranty() -> Paper:
    """What the maker promises."""
    return (
        Paper("warranty.pdf", title="Warranty")
        .heading("Terms")
        .text(
            "The motor is covered for 36 months. The filter is not covered. Claims are answered "
            "within 5 working days by the workshop in Harrow Bay."
        )
    )


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    write_corpus(folder, manual(), warranty())
    return folder


@pytest.fixture(scope="session")
def index_folder(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("knowledge") / "index"
    build_index(documents, folder)
    return folder


@pytest.fixture(scope="session")
def answerer(index_folder: Path) -> Answerer:
    return Answerer.open(index_folder)
