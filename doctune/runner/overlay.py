"""Overlays: a separate Python environment for each step and job, which keeps what it installs.

An overlay is a virtual environment that sees the packages of the interpreter that doctune runs in.
`pip install` accepts those, and installs what is missing or of another version into the overlay,
where it takes precedence; the interpreter's own environment is never changed. An overlay with the
`packages_to_install` of a KFP component is kept for later steps with the same requirements.
"""

import importlib.util
import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from doctune import limits
from doctune.digests import digest_value
from doctune.processes import start_process, stop_process

# The network variables of the outer process, as JSON: only pip may use them, for its index.
OUTSIDE_VARIABLE = "LOCALVERTEX_OUTSIDE"
NETWORK_VARIABLES = (
    *("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"),
    *("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"),
)
_READY = "ready"
_PIP = """#!{python}
import sys
from pip._internal.cli.main import main
sys.exit(main())
"""
# Loaded by every Python process of an overlay at start.
_PIP_START = f"""
import json, os, sys

arguments = sys.orig_argv[1:]
if "-m" in arguments:
    runs_pip = arguments[arguments.index("-m") + 1 :][:1] == ["pip"]
else:
    runs_pip = bool(arguments) and os.path.basename(arguments[0]) in ("pip", "pip3")
if runs_pip:
    # A virtual environment has no user site: `pip install --user` installs into the overlay.
    sys.argv[:] = [argument for argument in sys.argv if argument != "--user"]
    if [word for word in sys.argv[1:] if not word.startswith("-")] == ["install", "pip"]:
        print("pip belongs to the environment that doctune runs in, and is not upgraded.")
        sys.stdout.flush()
        os._exit(0)
    import importlib.util
    if importlib.util.find_spec("setuptools") is not None:
        os.environ.setdefault("PIP_NO_BUILD_ISOLATION", "false")  # "false" disables it
    if {OUTSIDE_VARIABLE!r} in os.environ:
        for name in {NETWORK_VARIABLES!r}:
            os.environ.pop(name, None)
        os.environ.update(json.loads(os.environ[{OUTSIDE_VARIABLE!r}]))
if "-m" in arguments and arguments[arguments.index("-m") + 1 :][:1] == ["venv"]:
    # The pip of a virtual environment that a step creates reaches its index in the same way.
    import atexit, glob, shutil

    def pass_on(names=arguments[arguments.index("-m") + 2 :], here=os.path.dirname(__file__)):
        for name in names:
            for packages in glob.glob(os.path.join(name, "lib", "python*", "site-packages")):
                for file in ("_localvertex_pip.py", "_localvertex_pip.pth"):
                    shutil.copy(os.path.join(here, file), packages)
                if "--system-site-packages" in names:  # in a container, those are the step's
                    with open(os.path.join(packages, "_localvertex_outer.pth"), "w") as file:
                        file.write("import site; site.addsitedir(%r)\\n" % here)

    atexit.register(pass_on)
"""


class OverlayError(Exception):
    """The packages of a component cannot be installed; the message is pip's."""


def outside_network(environment: Mapping[str, str]) -> str:
    """Returns this process's network variables, as the value of OUTSIDE_VARIABLE."""
    if OUTSIDE_VARIABLE in environment:
        return environment[OUTSIDE_VARIABLE]
    return json.dumps({n: environment[n] for n in NETWORK_VARIABLES if n in environment})


def make_overlay(folder: Path) -> None:
    """Makes an overlay in a folder that is empty or does not exist."""
    has_pip = importlib.util.find_spec("pip") is not None
    venv.EnvBuilder(with_pip=not has_pip, symlinks=True).create(folder)
    packages = Path(
        sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    )
    visible = [path for path in site.getsitepackages() if Path(path).is_dir()]
    # addsitedir also reads the .pth files there, which make editable packages importable.
    lines = ["import site", *(f"site.addsitedir({path!r})" for path in visible)]
    (packages / "_localvertex_base.pth").write_text("; ".join(lines) + "\n", encoding="utf-8")
    (packages / "_localvertex_pip.py").write_text(_PIP_START, encoding="utf-8")
    # Its name sorts after the other file's, since it looks for what is installed.
    (packages / "_localvertex_pip.pth").write_text("import _localvertex_pip\n", encoding="utf-8")
    if has_pip:
        for name in ("pip", "pip3"):
            script = folder / "bin" / name
            script.write_text(_PIP.format(python=folder / "bin" / "python"), encoding="utf-8")
            script.chmod(0o755)


def overlay_environment(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Returns an environment in which `python` and `pip` are those of an overlay."""
    base = str(Path(sys.executable).parent)
    rest = [part for part in environment.get("PATH", os.defpath).split(os.pathsep) if part != base]
    return {
        **environment,
        "PATH": os.pathsep.join([str(folder / "bin"), base, *rest]),
        "VIRTUAL_ENV": str(folder),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def step_overlay(
    cache: Path, command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[Path]:
    """Yields the overlay of a step, in which the packages of its command are already installed.

    Args:
        cache: The folder that keeps overlays for later steps with the same requirements.

    Raises:
        OverlayError: Its requirements cannot be installed.
    """
    install = _installs_first(command)
    if not install:
        with tempfile.TemporaryDirectory(prefix="localvertex-overlay-") as temporary:
            make_overlay(Path(temporary))
            yield Path(temporary)
        return
    folder = cache / digest_value([install, _base_state()])[:24]
    cache.mkdir(parents=True, exist_ok=True)
    with limits.locked(cache / f"{folder.name}.lock", "another step that installs the same"):
        if not (folder / _READY).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            make_overlay(folder)
            _fill(folder, install, environment)
            (folder / _READY).touch()
    yield folder


def _installs_first(command: Sequence[str]) -> str:
    """Returns the shell line with which KFP installs a component's packages, without its end.

    KFP writes `sh -c '... pip install ... && "$0" "$@"'`, followed by the program.
    """
    if len(command) < 3 or command[0] != "sh" or "pip install" not in command[2]:
        return ""
    return command[2]


def _fill(folder: Path, install: str, environment: Mapping[str, str]) -> None:
    # `"$0" "$@"` at the end of the line would run the component; here it runs nothing.
    process = start_process(
        ["/bin/sh", "-c", install, "true"],
        environment=overlay_environment(environment, folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        output, _ = process.communicate(timeout=limits.INSTALL.seconds)
    except subprocess.TimeoutExpired as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise OverlayError(
            str(limits.INSTALL.passed("the installation of the component's packages"))
        ) from error
    finally:
        stop_process(process.pid)
    if process.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        errors = [line for line in output.splitlines() if line.startswith("ERROR:")]
        raise OverlayError(
            "the component's packages cannot be installed: "
            + " ".join((" ".join(errors[-2:]) or output[-500:]).split())
        )


def _base_state() -> list[str]:
    folders = [Path(path) for path in site.getsitepackages()]
    return [
        sys.executable,
        *(f"{path} {path.stat().st_mtime_ns}" for path in folders if path.is_dir()),
    ]
