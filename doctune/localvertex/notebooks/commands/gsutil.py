"""Common forms of `gsutil`."""

import shlex
import sys

from doctune.localvertex.notebooks.commands.storage import (
    CommandError,
    Flags,
    Storage,
    command_errors,
)
from doctune.localvertex.notebooks.skips import skip_here

_WITH_VALUE = {
    **{"-l": "location", "-p": "project", "-x": "-x"},
    **dict.fromkeys(("-c", "-b", "-o", "-h", "-u"), ""),
}
_CHANGING = {"-e", "-z", "-I"}  # options that change what is copied, and are not done here
_RECURSIVE = {"-r", "-R", "-rf", "-mr", "--recursive"}


def main(arguments: list[str]) -> int:
    """Runs a command line; returns the exit code."""
    flags, words, values = _parse(arguments)
    verb, *urls = words or ["version"]
    from google.cloud import storage

    commands = Storage(storage.Client())
    known = {
        "mb": commands.make_bucket,
        "rb": commands.remove_bucket,
        "ls": commands.list,
        "cp": commands.copy,
        "rm": commands.remove,
        "cat": commands.show,
        "rsync": commands.sync,
        "du": commands.size,
        "stat": commands.stat,
        "copy": commands.copy,
        "mv": lambda given, told: commands.copy(given, told, move=True),
    }
    if verb not in known or flags & _CHANGING or (verb == "rsync" and "-x" in values):
        return skip_here(shlex.join(["gsutil", *arguments]))
    told = Flags(
        recursive=bool(flags & _RECURSIVE),
        force="-f" in flags,
        long=bool(flags & {"-l", "-al", "-la"}) and verb == "ls",
        project=values.get("project", ""),
        location=values.get("location", ""),
        no_clobber="-n" in flags and verb in ("cp", "copy", "mv", "rsync"),
        delete_extra="-d" in flags and verb == "rsync",
    )
    try:
        with command_errors():
            known[verb](urls, told)
    except CommandError as error:
        sys.stderr.write(f"CommandException: {error}\n")
        return 1
    return 0


def _parse(arguments: list[str]) -> tuple[set[str], list[str], dict[str, str]]:
    flags: set[str] = set()
    words: list[str] = []
    values: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        takes_value = argument in _WITH_VALUE and not (
            (words[:1] == ["ls"] and argument == "-l") or (words and argument == "-h")
        )
        if takes_value and rest and not (words[:1] == ["cp"] and argument in ("-c",)):
            values[_WITH_VALUE[argument]] = rest.pop(0)
        elif argument.startswith("-") and argument != "-":
            flags.add(argument)
        else:
            words.append(argument)
    return flags, words, values


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
