"""Common forms of `gcloud` in notebooks: config, auth list, projects, storage, ai."""

import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from doctune.localvertex.notebooks.commands.ai import AiCommands
from doctune.localvertex.notebooks.commands.options import Options, parse, shown
from doctune.localvertex.notebooks.commands.storage import (
    CommandError,
    Flags,
    Storage,
    command_errors,
)
from doctune.localvertex.notebooks.skips import skip_here

_DONE = 0
# gcloud's filter of one project: PROJECT_ID:'p', projectId=p, project_id="p".
_PROJECT_FILTER = re.compile(r"""(?i:project_?id)\s*[:=]\s*["']?(?P<name>[\w.:-]+?)["']?""")
# Options of `gcloud storage` that change what is copied, deleted or printed.
_CHANGING = ("dry-run", "exclude", "skip-if-dest-has-newer-mtime", "range", "read-paths-from-stdin")


def main(arguments: list[str]) -> int:
    """Runs a command line; returns the exit code."""
    options = parse(arguments)
    words = [word for word in options.words if word not in ("beta", "alpha")]
    group = words[0] if words else ""
    known = {
        "config": _config,
        "auth": _auth,
        "projects": _projects,
        "storage": _storage,
        "ai": lambda rest, told: AiCommands(told, _project(told)).run(rest),
    }
    try:
        with command_errors():
            if group in known and known[group](words[1:], options):
                return _DONE
    except CommandError as error:
        sys.stderr.write(f"ERROR: (gcloud.{'.'.join(words[:3])}) {error}\n")
        return 1
    return skip_here(shlex.join(["gcloud", *arguments]))


def _config(words: list[str], options: Options) -> bool:
    verb, *rest = words or [""]
    settings = _settings()
    if verb == "set" and len(rest) == 2:
        settings[rest[0].rpartition("/")[2]] = rest[1]
        _settings_file().write_text(json.dumps(settings), encoding="utf-8")
        print(f"Updated property [{rest[0]}].")  # noqa: T201
        return True
    if verb == "get-value" or verb == "get":
        print(settings.get(rest[0].rpartition("/")[2], ""))  # noqa: T201
        return True
    if verb == "list":
        shown({"core": settings}, options)
        return True
    return False


def _auth(words: list[str], options: Options) -> bool:
    verb = words[0] if words else ""
    if verb == "list":
        account = f"localvertex@{_settings()['project']}.iam.gserviceaccount.com"
        if options.format:
            print(account)  # noqa: T201
        else:
            print(f"Credentialed Accounts\nACTIVE  ACCOUNT\n*       {account}\n")  # noqa: T201
        return True
    if "print-access-token" in words:
        import google.auth
        import google.auth.transport.requests

        credentials, _ = google.auth.default()
        credentials.refresh(google.auth.transport.requests.Request())
        print(credentials.token)  # noqa: T201
        return True
    return False


def _projects(words: list[str], options: Options) -> bool:
    verb, *rest = words or [""]
    if verb not in ("describe", "list"):
        return False
    from google.cloud import resourcemanager

    name = rest[0] if rest else str(_settings()["project"])
    if verb == "list" and (match := _PROJECT_FILTER.fullmatch(options.get("filter"))):
        name = match["name"]
    project = resourcemanager.ProjectsClient().get_project(name=f"projects/{name}")
    document = {
        "lifecycleState": "ACTIVE",
        "name": project.display_name or name,
        "projectId": project.project_id,
        "projectNumber": project.name.partition("/")[2],
    }
    if verb == "describe" or options.format:
        # A list's columns are named in capitals; the fields have the API's names.
        columns = {"PROJECT_NUMBER": "projectNumber", "PROJECT_ID": "projectId", "NAME": "name"}
        shown(
            document | {key: document[field] for key, field in columns.items()}
            if "value(" in options.format
            else document,
            options,
        )
        return True
    print("PROJECT_ID  NAME  PROJECT_NUMBER")  # noqa: T201
    print(f"{document['projectId']}  {document['name']}  {document['projectNumber']}")  # noqa: T201
    return True


def _storage(words: list[str], options: Options) -> bool:
    from google.cloud import storage

    verb, *rest = words or [""]
    commands = Storage(storage.Client())
    flags = Flags(
        recursive=options.has("recursive", "r", "R"),
        force=options.has("force"),
        long=options.has("long", "l"),
        project=options.get("project"),
        location=options.get("location", "l"),
        no_clobber=options.has("no-clobber", "n"),
        delete_extra=options.has("delete-unmatched-destination-objects"),
    )
    if any(options.has(name) for name in _CHANGING):
        return False
    if verb == "objects" and rest[:1] in (["list"], ["describe"]):
        verb, rest = ("ls" if rest[0] == "list" else "stat"), rest[1:]
    if verb == "buckets":
        inner = {"create": commands.make_bucket, "delete": commands.remove_bucket}
        if not rest or rest[0] not in (*inner, "list"):
            return False
        (inner.get(rest[0]) or commands.list)(rest[1:], flags)
        return True
    known: dict[str, Any] = {
        "cp": commands.copy,
        "mv": lambda urls, told: commands.copy(urls, told, move=True),
        "rm": commands.remove,
        "ls": commands.list,
        "cat": commands.show,
        "rsync": commands.sync,
        "du": commands.size,
        "stat": commands.stat,
    }
    if verb not in known:
        return False
    known[verb](rest, flags)
    return True


def _project(options: Options) -> str:
    return options.get("project") or str(_settings()["project"])


def _settings() -> dict[str, Any]:
    file = _settings_file()
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    project = os.environ.get("GOOGLE_CLOUD_PROJECT", "")
    return {"project": project, "account": "", **kept}


def _settings_file() -> Path:
    return Path(os.environ["CLOUDSDK_CONFIG"]) / "localvertex.json"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
