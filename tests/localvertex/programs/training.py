"""A training program: says what it was given, and does as its arguments say."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main():
    arguments = sys.argv[1:]
    cluster = json.loads(os.environ.get("CLUSTER_SPEC", "{}"))
    task = cluster.get("task", {})
    sys.stderr.write(f"{task} starts\n")
    if "--report" in arguments:
        folder = Path(arguments[arguments.index("--report") + 1])
        name = f"{task.get('type', 'alone')}-{task.get('index', 0)}.json"
        report = {"environment": dict(os.environ), "arguments": arguments, "cluster": cluster}
        (folder / name).write_text(json.dumps(report))
    if "--child" in arguments:
        folder = Path(arguments[arguments.index("--child") + 1])
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
        (folder / "child").write_text(str(child.pid))
    if "--sleep" in arguments:
        time.sleep(float(arguments[arguments.index("--sleep") + 1]))
    if f"--fail={task.get('type')}" in arguments:
        sys.exit("the loss is not a number")
    if task.get("type") == "workerpool2":
        time.sleep(120)  # a parameter server, which never ends by itself


if __name__ == "__main__":
    main()
