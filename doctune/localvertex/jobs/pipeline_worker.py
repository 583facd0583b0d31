"""doctune's runner with container components: the process behind a PipelineJob.

    python -m doctune.localvertex.jobs.pipeline_worker PROGRAMS_FILE ...

PROGRAMS_FILE is the JSON of the table from image patterns to command lines; the other arguments are
those of `doctune.runner.worker`.
"""

import json
import os
import sys
from pathlib import Path

from doctune.localvertex import containers
from doctune.runner import worker


def main() -> int:
    """Runs the worker; returns its exit code."""
    programs = json.loads(Path(sys.argv.pop(1)).read_text(encoding="utf-8"))
    containers.install(programs, os.environ)
    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
