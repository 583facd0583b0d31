"""Terraform, with a provider in place of Google's that knows its schema (schema_provider.py)."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
ENVIRONMENTS = sorted(path.stem for path in INFRA.glob("environments/*.tfvars"))


@dataclass(frozen=True)
class Terraform:
    """Terraform in a copy of infra/ without its remote state."""

    infra: Path
    variables: dict[str, str]

    def run(self, folder: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", *arguments],
            cwd=self.infra / folder,
            env=os.environ | self.variables,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def problems(self, folder: str) -> list[str]:
        """Returns what `terraform validate` finds wrong."""
        self.run(folder, "get")
        answer = json.loads(self.run(folder, "validate", "-json").stdout)
        return [
            f"{found['summary']}: {found['detail']}"
            for found in answer["diagnostics"]
            if found["severity"] == "error"
        ]

    def plan(self, folder: str, environment: str = "", **values: Any) -> dict[str, Any]:
        """Returns the planned resources by address; fails where there is no plan."""
        done = self.try_plan(folder, environment, **values)
        assert done.returncode == 0, done.stdout + done.stderr
        shown = self.run(folder, "show", "-json", "plan.bin")
        changes = json.loads(shown.stdout)["resource_changes"]
        return {change["address"]: change for change in changes}

    def try_plan(
        self, folder: str, environment: str = "", **values: Any
    ) -> subprocess.CompletedProcess[str]:
        """Plans with the values of an environment, and with those of a project over them."""
        self.run(folder, "get")
        (self.infra / folder / "given.tfvars.json").write_text(json.dumps(values))
        files = [f"environments/{environment}.tfvars"] if environment else []
        files.append("given.tfvars.json")
        flags = [f"-var-file={file}" for file in files]
        return self.run(folder, "plan", "-input=false", "-no-color", "-out=plan.bin", *flags)


@pytest.fixture(scope="session")
def new_terraform(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Terraform]:
    """Makes a copy of infra/ with Terraform over it."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed: see https://developer.hashicorp.com/terraform")
    plugins = tmp_path_factory.mktemp("plugins")
    program = plugins / "terraform-provider-google"
    provider = Path(__file__).parent / "schema_provider.py"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{provider}'\n")
    program.chmod(0o755)
    settings = plugins / "terraformrc"
    settings.write_text(
        f'provider_installation {{\n  dev_overrides {{\n    "hashicorp/google" = "{plugins}"\n'
        "  }\n}\n"
    )
    variables = {
        "TF_CLI_CONFIG_FILE": str(settings),
        "TF_DISABLE_PLUGIN_TLS": "1",
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
    }

    def copy() -> Terraform:
        infra = tmp_path_factory.mktemp("copy") / "infra"
        shutil.copytree(
            INFRA, infra, ignore=shutil.ignore_patterns(".terraform*", "*.project.tfvars")
        )
        versions = infra / "versions.tf"
        versions.write_text(versions.read_text().replace('  backend "gcs" {}\n', ""))
        return Terraform(infra, variables)

    return copy


@pytest.fixture(scope="session")
def terraform(new_terraform: Callable[[], Terraform]) -> Terraform:
    """Terraform over one copy that no test changes."""
    return new_terraform()
