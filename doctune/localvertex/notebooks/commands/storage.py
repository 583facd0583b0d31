"""`gsutil` and `gcloud storage` on buckets and objects: ls, cp, mv, rm, cat, rsync, mb, rb."""

import fnmatch
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from google.api_core.exceptions import GoogleAPICallError

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Client

_SCHEME = "gs://"
_STDIN = "-"


class CommandError(Exception):
    """A command failed; the message is the tool's output."""


@contextmanager
def command_errors() -> Iterator[None]:
    """Raises what Google's clients refuse as a command's error."""
    try:
        yield
    except GoogleAPICallError as error:
        raise CommandError(f"{error.code} {error.message}") from error
    except OSError as error:
        raise CommandError(str(error)) from error


@dataclass(frozen=True)
class Flags:
    """The options of a command."""

    recursive: bool = False
    force: bool = False  # missing files are not an error
    long: bool = False
    no_clobber: bool = False  # what is there already stays as it is
    delete_extra: bool = False  # sync: what the source does not have is deleted
    project: str = ""
    location: str = ""


class Storage:
    """The commands on Cloud Storage and local files."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def make_bucket(self, names: Sequence[str], flags: Flags) -> None:
        """Creates buckets."""
        for name in names:
            bucket = _bucket(name)
            _say(f"Creating gs://{bucket}/...")
            if self._client.bucket(bucket).exists():
                # All local buckets belong to the user, so an existing one is not an error.
                print(f"A bucket named '{bucket}' is there already.")  # noqa: T201
                continue
            self._client.create_bucket(
                bucket, project=flags.project or None, location=flags.location or None
            )

    def remove_bucket(self, names: Sequence[str], flags: Flags) -> None:
        """Deletes buckets; if recursive, with their objects."""
        for name in names:
            bucket = self._client.bucket(_bucket(name))
            if not bucket.exists():
                raise CommandError(f"404 The bucket gs://{bucket.name} does not exist.")
            if flags.recursive:
                for blob in self._client.list_blobs(bucket.name):
                    blob.delete()
            _say(f"Removing gs://{bucket.name}/...")
            bucket.delete()

    def list(self, urls: Sequence[str], flags: Flags) -> None:
        """Prints buckets, objects and folders."""
        if not urls:
            for bucket in self._client.list_buckets():
                print(f"gs://{bucket.name}/")  # noqa: T201
        for url in urls:
            lines = sorted(self._listed(url, flags))
            if not lines and "/" in url.removeprefix(_SCHEME).rstrip("/") and not flags.force:
                raise CommandError("One or more URLs matched no objects.")
            for line in lines:
                print(line)  # noqa: T201

    def copy(self, urls: Sequence[str], flags: Flags, *, move: bool = False) -> None:
        """Copies files and objects to the last URL."""
        if len(urls) < 2:
            raise CommandError("give a source and a destination.")
        *sources, target = urls
        if target == "-":
            self.show(sources, flags)
            return
        pairs = [pair for source in sources for pair in self._pairs(source, flags)]
        if not pairs:
            raise CommandError(f"No URLs matched: {' '.join(sources)}")
        is_there = self._is_folder(target)
        into = len(pairs) > 1 or target.endswith("/") or is_there
        if not is_there and _is_whole_folder(sources, pairs):
            # A folder that is copied to a new target gets the target's name.
            pairs = [(source, inner.partition("/")[2]) for source, inner in pairs]
            into = True
        for source, inner in pairs:
            end = f"{target.rstrip('/')}/{inner}" if into else target
            if flags.no_clobber and self._exists(end):
                _say(f"Skipping existing destination: {end}")
                continue
            _say(f"Copying {source} to {end}...")
            self._copy_one(source, end)
            if move:
                self._remove_one(source)

    def remove(self, urls: Sequence[str], flags: Flags) -> None:
        """Deletes objects; if recursive, also buckets."""
        for url in urls:
            bucket, _, name = url.removeprefix(_SCHEME).partition("/")
            if not name.strip("*") and flags.recursive and not name:
                self.remove_bucket([url], flags)
                continue
            found = list(self._matching(url, flags))
            if not found and not flags.force:
                raise CommandError(f"No URLs matched: {url}")
            for blob in found:
                _say(f"Removing gs://{bucket}/{blob.name}...")
                blob.delete()

    def show(self, urls: Sequence[str], flags: Flags) -> None:
        """Prints the contents of objects."""
        for url in urls:
            found = list(self._matching(url, flags))
            if not found:
                raise CommandError(f"No URLs matched: {url}")
            for blob in found:
                sys.stdout.buffer.write(blob.download_as_bytes())
        sys.stdout.flush()

    def sync(self, urls: Sequence[str], flags: Flags) -> None:
        """Copies the contents of one folder to another."""
        source, target = (url.rstrip("/") for url in urls)
        everything = Flags(recursive=True, force=True)
        kept = set()
        for path, inner in self._pairs(source, everything, below=True):
            kept.add(inner)
            if flags.no_clobber and self._exists(f"{target}/{inner}"):
                continue
            _say(f"Copying {path} to {target}/{inner}...")
            self._copy_one(path, f"{target}/{inner}")
        if not flags.delete_extra:
            return
        for path, inner in list(self._pairs(target, everything, below=True)):
            if inner not in kept:
                _say(f"Removing {path}...")
                self._remove_one(path)

    def size(self, urls: Sequence[str], flags: Flags) -> None:
        """Prints the total size below each URL."""
        for url in urls:
            blobs = self._matching(url.rstrip("/") + "/**", flags)
            print(f"{sum(blob.size or 0 for blob in blobs)}  {url}")  # noqa: T201

    def _listed(self, url: str, flags: Flags) -> "Iterator[str]":
        bucket, _, name = url.removeprefix(_SCHEME).partition("/")
        if not self._client.bucket(bucket).exists():
            raise CommandError(f"404 The bucket gs://{bucket} does not exist.")
        if flags.recursive or "*" in name:
            blobs = self._matching(url, flags)
            yield from (self._line(bucket, blob, flags) for blob in blobs)
            return
        exact = self._client.bucket(bucket).get_blob(name) if name else None
        if exact is not None:
            yield self._line(bucket, exact, flags)
            return
        prefix = f"{name.rstrip('/')}/" if name.rstrip("/") else ""
        found = self._client.list_blobs(bucket, prefix=prefix, delimiter="/")
        yield from (self._line(bucket, blob, flags) for blob in found)
        yield from (f"gs://{bucket}/{folder}" for folder in found.prefixes)

    def _line(self, bucket: str, blob: "Blob", flags: Flags) -> str:
        url = f"gs://{bucket}/{blob.name}"
        return f"{blob.size:>10}  {blob.updated:%Y-%m-%dT%H:%M:%SZ}  {url}" if flags.long else url

    def _matching(self, url: str, flags: Flags) -> "Iterator[Blob]":
        bucket, _, name = url.removeprefix(_SCHEME).partition("/")
        if "*" not in name and "?" not in name:
            prefix = name.rstrip("/")
            for blob in self._client.list_blobs(bucket, prefix=prefix):
                below = blob.name.startswith(f"{prefix}/") or not prefix
                if blob.name == name or (flags.recursive and below):
                    yield blob
            return
        # `**` matches across folders, `*` within one, except in recursive commands.
        deep = "**" in name or flags.recursive
        pattern = name.replace("**", "*")
        for blob in self._client.list_blobs(
            bucket, prefix=name.partition("*")[0].partition("?")[0]
        ):
            same_depth = blob.name.count("/") == pattern.count("/")
            if (flags.recursive and fnmatch.fnmatchcase(blob.name, f"{pattern.rstrip('/')}/*")) or (
                fnmatch.fnmatchcase(blob.name, pattern) and (deep or same_depth)
            ):
                yield blob

    def _pairs(
        self, source: str, flags: Flags, *, below: bool = False
    ) -> "Iterator[tuple[str, str]]":
        """Yields the files or objects of a source, each with its name at the destination."""
        if source == _STDIN:
            yield _STDIN, ""
            return
        if not source.startswith(_SCHEME):
            yield from _local_pairs(source, flags, below=below)
            return
        bucket, _, name = source.removeprefix(_SCHEME).partition("/")
        fixed = name.partition("*")[0]
        above = fixed.rpartition("/")[0]
        if below or (flags.recursive and not name):
            above = name.rstrip("/")
        elif flags.recursive and "*" not in name:
            above = name.rstrip("/").rpartition("/")[0]
        for blob in self._matching(source, flags):
            if not blob.name.endswith("/"):
                yield f"gs://{bucket}/{blob.name}", blob.name.removeprefix(above).lstrip("/")

    def _is_folder(self, url: str) -> bool:
        if not url.startswith(_SCHEME):
            return Path(url).is_dir()
        bucket, _, name = url.removeprefix(_SCHEME).partition("/")
        if not name:
            return True
        return any(True for _ in self._client.list_blobs(bucket, prefix=f"{name}/", max_results=1))

    def _copy_one(self, source: str, target: str) -> None:
        if source == _STDIN:
            self._blob(target).upload_from_string(sys.stdin.buffer.read())
        elif source.startswith(_SCHEME) and target.startswith(_SCHEME):
            blob = self._blob(source)
            bucket, _, name = target.removeprefix(_SCHEME).partition("/")
            self._client.bucket(bucket).blob(name).upload_from_string(
                blob.download_as_bytes(), content_type=blob.content_type
            )
        elif source.startswith(_SCHEME):
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            self._blob(source).download_to_filename(target)
        elif target.startswith(_SCHEME):
            self._blob(target).upload_from_filename(source)
        else:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            Path(target).write_bytes(Path(source).read_bytes())

    def stat(self, urls: Sequence[str], flags: Flags) -> None:
        """Prints what is known of objects."""
        for url in urls:
            found = list(self._matching(url, flags))
            if not found:
                raise CommandError(f"No URLs matched: {url}")
            for blob in found:
                print(f"gs://{blob.bucket.name}/{blob.name}:")  # noqa: T201
                for name, value in (
                    ("Creation time", blob.time_created),
                    ("Content-Length", blob.size),
                    ("Content-Type", blob.content_type),
                    ("Hash (crc32c)", blob.crc32c),
                    ("Generation", blob.generation),
                ):
                    print(f"    {name + ':':<24}{value}")  # noqa: T201

    def _exists(self, url: str) -> bool:
        return self._blob(url).exists() if url.startswith(_SCHEME) else Path(url).exists()

    def _remove_one(self, url: str) -> None:
        if url.startswith(_SCHEME):
            self._blob(url).delete()
        else:
            Path(url).unlink()

    def _blob(self, url: str) -> "Blob":
        bucket, _, name = url.removeprefix(_SCHEME).partition("/")
        return self._client.bucket(bucket).blob(name)


def _local_pairs(source: str, flags: Flags, *, below: bool) -> Iterator[tuple[str, str]]:
    root = Path(source)
    paths = [root] if root.exists() else sorted(root.parent.glob(root.name))
    for path in paths:
        if path.is_file():
            yield str(path), path.name
        elif flags.recursive or below:
            base = path if below else path.parent
            for file in sorted(path.rglob("*")):
                if file.is_file():
                    yield str(file), file.relative_to(base).as_posix()


def _bucket(url: str) -> str:
    return url.removeprefix(_SCHEME).partition("/")[0]


def _is_whole_folder(sources: Sequence[str], pairs: Sequence[tuple[str, str]]) -> bool:
    return len(sources) == 1 and "*" not in sources[0] and all("/" in inner for _, inner in pairs)


def _say(line: str) -> None:
    """Prints a message to standard error, like Google's tools, whose output may be piped."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
