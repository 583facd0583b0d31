"""The READMEs of infra/ are those that its variables make."""

import importlib.util
from pathlib import Path

import pytest

from tests.infra.conftest import INFRA

_spec = importlib.util.spec_from_file_location("infra_readme", INFRA / "readme.py")
assert _spec is not None
assert _spec.loader is not None
readme = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(readme)


def test_all_are_up_to_date() -> None:
    assert readme.main(["--check"]) == 0
    assert len(readme.folders()) == 15


def test_a_new_variable_makes_its_readme_stale(tmp_path: Path) -> None:
    for name in ("main.tf", "variables.tf", "outputs.tf", "README.md"):
        (tmp_path / name).write_text((INFRA / "modules/secrets" / name).read_text())
    with (tmp_path / "variables.tf").open("a") as file:
        file.write('\nvariable "new" {\n  type = string\n  description = "A | new one."\n}\n')

    assert not readme.up_to_date(tmp_path)
    assert "| `new` | `string` | required | A \\| new one. |" in readme.readme(tmp_path)


@pytest.mark.parametrize("folder", readme.folders(), ids=lambda path: path.name)
def test_every_variable_has_a_type_and_is_explained(folder: Path) -> None:
    for kind, file in (("variable", "variables.tf"), ("output", "outputs.tf")):
        for name, block in readme.blocks(folder / file, kind):
            assert block.get("description"), f"{folder.name}: {name}"
            assert kind == "output" or "type" in block, f"{folder.name}: {name}"
