"""The walls of docs/architecture.md: who may import whom, and what no import shows."""

import ast
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import house

ROOT = Path(__file__).parents[2]
STAGES = ("documents", "knowledge", "dataset", "training", "evaluation", "inference")
_PLATFORM = ("CLUSTER_SPEC", "AIP_", "CLOUD_ML_", "/gcs")

Plant = Callable[..., list[str]]


def test_no_import_breaks_a_wall() -> None:
    assert house.broken_walls(house.read_house()) == []


def test_the_picture_is_drawn_from_the_imports(capsys: pytest.CaptureFixture[str]) -> None:
    assert house.main(["draw", "--check"]) == 0, capsys.readouterr().err


_numbers = itertools.count()


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Writes a house of a few rooms with one more file in it; returns what breaks a wall."""

    def planted(path: str, source: str, **more: str) -> list[str]:
        # Packages are found by name, and Python remembers where: each house has its own.
        package = f"house{next(_numbers)}"
        files = {
            **{f"{room}/__init__.py": "" for room in ("cli", "vertex", "documents", "training")},
            "__init__.py": "",
            "errors.py": "",
            "vertex/storage.py": "from PACKAGE.documents import reader\n",
            "documents/reader.py": "from PACKAGE.errors import *\n",
            "training/tune.py": "import torch\n",
            "localvertex/__init__.py": "",
            path: source,
            **{f"{name}.py": text for name, text in more.items()},
        }
        for name, text in files.items():
            file = tmp_path / package / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("PACKAGE", package))
        monkeypatch.syspath_prepend(str(tmp_path))
        rules = house.House(
            rooms=(
                house.Room("cli", 1, ()),
                house.Room("localvertex", 2, ("documents",)),
                house.Room("vertex", 3, ()),
                house.Room("documents", 4, ()),
                house.Room("training", 4, ()),
                house.Room("gateway", 1, ()),  # a room to come
            ),
            shared=("errors",),
            packages={
                "torch": ("training",),
                "google.cloud": ("vertex",),
                "kfp": ("vertex.specs",),
            },
        )
        return house.broken_walls(rules, package, above=())

    return planted


def test_a_house_in_order_breaks_nothing(plant: Plant) -> None:
    assert plant("cli/app.py", "from PACKAGE.vertex import storage\n") == []


@pytest.mark.parametrize(
    "source",
    [
        "from PACKAGE import vertex\n",
        "import PACKAGE.vertex.storage\n",
        "from PACKAGE.vertex import storage\n",
        "from ..vertex import storage\n",
        "def read():\n    from PACKAGE import vertex\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from PACKAGE import vertex\n",
        "from importlib import import_module\nimport_module('PACKAGE.vertex')\n",
        "import importlib\n\ndef read():\n    importlib.import_module('PACKAGE.vertex.storage')\n",
        "__import__('PACKAGE.vertex')\n",
        "PROGRAM = ('python', '-m', 'PACKAGE.vertex.storage')\n",
    ],
)
def test_an_import_of_a_higher_room_is_seen_wherever_it_stands(plant: Plant, source: str) -> None:
    found = plant("documents/planted.py", source)

    assert any("lower layers only" in line and "documents.planted" in line for line in found), found


def test_rooms_of_one_layer_do_not_import_each_other(plant: Plant) -> None:
    (found,) = plant("documents/planted.py", "from PACKAGE.training import tune\n")

    assert "documents.planted" in found


def test_a_shared_module_imports_no_room(plant: Plant) -> None:
    found = plant("errors.py", "def explain():\n    from PACKAGE.documents import reader\n")

    assert any("lower layers only" in line for line in found)


def test_a_room_that_another_must_not_know_is_seen(plant: Plant) -> None:
    (found,) = plant("localvertex/planted.py", "from PACKAGE.documents import reader\n")

    assert "localvertex knows nothing of documents" in found


@pytest.mark.parametrize("reader", ["from PACKAGE.errors import *\n", "import PACKAGE.documents\n"])
def test_a_circle_within_a_room_is_seen(plant: Plant, reader: str) -> None:
    found = plant(
        "documents/planted.py",
        "def read():\n    from PACKAGE.documents import reader\n",
        **{
            "documents/reader": f"from PACKAGE.documents import planted\n{reader}",
        },
    )

    assert any("documents.planted" in line and "documents.reader" in line for line in found), found


def test_a_circle_with_the_rooms_own_package_is_seen(plant: Plant) -> None:
    found = plant(
        "documents/planted.py",
        "import PACKAGE.documents\n",
        **{"documents/__init__": "from PACKAGE.documents import planted\n"},
    )

    assert any("import each other" in line for line in found), found


@pytest.mark.parametrize("name", ["reports/__init__.py", "helpers.py"])
def test_a_new_room_needs_a_row(plant: Plant, name: str) -> None:
    (found,) = plant(name, "")

    assert Path(name).parts[0].removesuffix(".py") in found


@pytest.mark.parametrize(
    "source",
    [
        "import torch\n",
        "from torch.nn import Linear\n",
        "def load():\n    import torch.distributed\n",
        "from google.cloud import storage\n",
        "from google import cloud\n",
        "import google.cloud.storage\n",
        "import importlib\nimportlib.import_module('google.cloud.storage')\n",
        "from kfp import dsl\n",
    ],
)
def test_a_package_is_imported_only_where_it_belongs(plant: Plant, source: str) -> None:
    (found,) = plant("documents/planted.py", source)

    assert "documents.planted:" in found


def test_a_package_may_belong_to_one_module(plant: Plant) -> None:
    assert plant("vertex/specs.py", "import kfp\n") == []
    assert len(plant("vertex/other.py", "import kfp\n")) == 1


def test_a_room_that_imports_another_makes_the_picture_stale(
    plant: Plant,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = tmp_path / "architecture.md"
    text = house.PAGE.read_text()
    page.write_text(text.replace("    cli --> localvertex\n", ""))
    monkeypatch.setattr(house, "PAGE", page)

    assert house.main(["draw", "--check"]) == 1
    assert "python tools/house.py draw" in capsys.readouterr().err
    assert house.main(["draw"]) == 0
    assert page.read_text() == text


@pytest.mark.parametrize("stage", [name for name in STAGES if (ROOT / "doctune" / name).is_dir()])
def test_stages_do_not_read_what_vertex_ai_tells(stage: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} reads {node.value}"
        for path in sorted((ROOT / "doctune" / stage).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith(_PLATFORM)
        and len(node.value.split()) == 1
    ]

    assert found == []


@pytest.mark.parametrize("path", sorted((ROOT / "components").glob("*.py")), ids=lambda p: p.stem)
def test_component_bodies_hold_no_branch_that_decides(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.If | ast.IfExp | ast.While | ast.Try), f"{path.name}:{node}"
