"""Google's launchers, run so that they ask often enough for jobs of this machine."""

import subprocess
import sys
from pathlib import Path

from doctune.runner.google_launcher import paced

LAUNCHER = "google_cloud_pipeline_components.container.v1.custom_job.launcher"


def test_a_launcher_runs_by_the_module_that_paces_it() -> None:
    assert paced(["python3", "-u", "-m", LAUNCHER]) == [
        *("python3", "-u", "-m", "doctune.runner.google_launcher", LAUNCHER)
    ]


def test_other_commands_stay_as_they_are() -> None:
    for command in (["python3", "-m", "my.trainer"], ["sh", "-c", "echo -m"], []):
        assert paced(command) == command


def test_the_launcher_is_the_program_and_polls_every_second(tmp_path: Path) -> None:
    package = tmp_path / "google_cloud_pipeline_components"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "polling.py").write_text("_POLLING_INTERVAL_IN_SECONDS = 20\n")
    (package / "launcher.py").write_text(
        "import sys\n"
        "from google_cloud_pipeline_components import polling\n"
        "if __name__ == '__main__':\n"
        "    print(polling._POLLING_INTERVAL_IN_SECONDS, sys.argv[1:])\n"
    )
    command = [sys.executable, "-m", "google_cloud_pipeline_components.launcher", "--type", "x"]

    done = subprocess.run(
        paced(command), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout.strip() == "1 ['--type', 'x']", done.stderr
