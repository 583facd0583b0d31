"""Runs one of Google's launchers, which asks here every second how its job is, and not every 20.

    python -m doctune.runner.google_launcher MODULE ARGUMENTS ...

The published launchers (`google_cloud_pipeline_components.container...`) wait 20 seconds between
two questions, which is right for jobs of hours. A job on this machine may be over in two.
"""

import importlib
import itertools
import runpy
import sys
from collections.abc import Sequence

PACKAGE = "google_cloud_pipeline_components."
_MODULE = "doctune.runner.google_launcher"
_INTERVAL = "_POLLING_INTERVAL_IN_SECONDS"
_SECONDS = 1


def paced(command: Sequence[str]) -> list[str]:
    """Returns the command of a launcher so that it runs by this module; others as they are."""
    given = list(command)
    for at, (option, module) in enumerate(itertools.pairwise(given), start=1):
        if option == "-m" and module.startswith(PACKAGE):
            return [*given[:at], _MODULE, *given[at:]]
    return given


def set_intervals() -> None:
    """Shortens the intervals of the launchers' modules that are loaded."""
    for name, module in list(sys.modules.items()):
        if name.startswith(PACKAGE) and hasattr(module, _INTERVAL):
            setattr(module, _INTERVAL, _SECONDS)


def main() -> None:
    """Becomes the launcher that the command line names."""
    name = sys.argv[1]
    importlib.import_module(name)  # what it polls with
    set_intervals()
    del sys.argv[1]
    del sys.modules[name]  # it is run anew, as a program
    runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
