"""Runs a program with the buckets mounted under /gcs, as on Vertex AI.

    python -I gcs_mount.py [--refuse-folder-renames] STORAGE COMMAND ...

STORAGE is the folder in which the storage emulator keeps a folder for each bucket. The program gets
its own mount namespace (Linux; without root, a user namespace), in which `/gcs/BUCKET` is that
folder for the program and all its child processes. The machine itself gets no `/gcs`. Buckets are
writable; other paths under `/gcs` are not.

If the kernel refuses, the program runs under a guard that raises at the first access to `/gcs` and
says what is missing; a program that creates a real `/gcs` on the machine fails. This file uses only
the standard library, since it runs before the program's environment exists, and avoids pathlib so
that it starts fast.
"""
# ruff: noqa: PTH100, PTH102, PTH103, PTH106, PTH109, PTH110, PTH115, PTH118, PTH120, PTH123
# ruff: noqa: PTH211

import ctypes
import os
import platform
import signal
import subprocess
import sys
import tempfile
from types import FrameType

MOUNT_POINT = "/gcs"
# Read by the guard (see guard/sitecustomize.py), which every Python program then loads.
MISSING_VARIABLE = "LOCALVERTEX_GCS_MISSING"
RENAMES_VARIABLE = "LOCALVERTEX_GCS_RENAMES"
# A folder that takes the place of a bucket, except for its `.cache`; outputs go there.
FLAT_FOLDER_VARIABLE = "LOCALVERTEX_FLAT_FOLDER"
REFUSE_RENAMES = "--refuse-folder-renames"
NOT_FOUND_CODE = 127

_GUARD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guard")

# From linux/mount.h, linux/sched.h and linux/prctl.h.
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT = 1, 2, 4, 8, 32
_MS_NOATIME, _MS_NODIRATIME, _MS_BIND, _MS_REC = 1024, 2048, 4096, 16384
_MS_UNBINDABLE, _MS_PRIVATE, _MS_RELATIME = 1 << 17, 1 << 18, 1 << 21
_CLONE_NEWNS, _CLONE_NEWUSER, _MNT_DETACH = 0x20000, 0x10000000, 2
_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
# The flags from statvfs that a remount must keep.
_KEPT = {
    os.ST_NOSUID: _MS_NOSUID,
    getattr(os, "ST_NODEV", 4): _MS_NODEV,
    getattr(os, "ST_NOEXEC", 8): _MS_NOEXEC,
    getattr(os, "ST_NOATIME", 1024): _MS_NOATIME,
    getattr(os, "ST_NODIRATIME", 2048): _MS_NODIRATIME,
    getattr(os, "ST_RELATIME", 4096): _MS_RELATIME,
}

_libc = ctypes.CDLL(None, use_errno=True)


def mounting(storage: "str | os.PathLike[str]", *, refuse_folder_renames: bool) -> list[str]:
    """Returns a command prefix that runs what follows it with the buckets under /gcs.

    Args:
        storage: The folder in which the storage emulator keeps a folder for each bucket.
        refuse_folder_renames: Whether to refuse renames of folders that are not empty, as Cloud
            Storage FUSE does on buckets without a hierarchical namespace.
    """
    mode = [REFUSE_RENAMES] if refuse_folder_renames else []
    return [sys.executable, "-I", os.path.abspath(__file__), *mode, os.fspath(storage)]


def main(arguments: list[str]) -> int:
    """Mounts the buckets and executes the program; returns only if it cannot be started."""
    refuse_renames = arguments[0] == REFUSE_RENAMES
    storage, *command = arguments[1:] if refuse_renames else arguments
    environment = dict(os.environ)
    environment.pop(MISSING_VARIABLE, None)
    dies_with, parent = _parent_death_signal(), os.getppid()
    try:
        mount_buckets(storage)
    except OSError as error:
        environment[MISSING_VARIABLE] = f"{error.strerror or error}"
    if refuse_renames:
        environment[RENAMES_VARIABLE] = "refuse"
    if refuse_renames or MISSING_VARIABLE in environment:
        search = [_GUARD, *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(search)
    # The kernel resets it when the credentials change.
    _libc.prctl(_PR_SET_PDEATHSIG, dies_with)
    if dies_with and os.getppid() != parent:
        return 128 + dies_with  # it died before this was said again
    try:
        if MISSING_VARIABLE in environment and not os.path.exists(MOUNT_POINT):
            return _run_watched(command, environment)
        os.execvpe(command[0], command, environment)  # noqa: S606 the program itself is wanted
    except OSError as error:
        sys.stderr.write(f"LocalVertexError: {command[0]} cannot be started: {error.strerror}.\n")
    return NOT_FOUND_CODE


def _run_watched(command: list[str], environment: dict[str, str]) -> int:
    """Runs a program without mounts, and fails if it has created a real /gcs."""
    with subprocess.Popen(command, env=environment) as process:

        def pass_on(number: int, _frame: "FrameType | None") -> None:
            process.send_signal(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, pass_on)
        code = process.wait()
    if os.path.exists(MOUNT_POINT):
        sys.stderr.write(
            f"LocalVertexError: the program made a folder {MOUNT_POINT} on this machine, which is "
            f"no bucket: buckets cannot be mounted here ({environment[MISSING_VARIABLE]}). Look at "
            "what it holds and remove it.\n"
        )
        return 1
    return 128 - code if code < 0 else code


def mount_buckets(storage: str) -> None:
    """Moves this process into a mount namespace in which /gcs is the storage folder.

    Raises:
        OSError: The kernel refused; the message says which step and why.
    """
    if sys.platform != "linux":
        raise OSError(0, f"{sys.platform} has no mount namespaces; Linux has")
    if platform.machine() not in _PIVOT_ROOT:
        raise OSError(0, f"mounting under /gcs is not written for {platform.machine()}")
    storage, folder = os.path.realpath(storage), os.getcwd()
    os.makedirs(storage, exist_ok=True)
    _enter_namespace()
    _mount("none", "/", flags=_MS_REC | _MS_PRIVATE)
    root = tempfile.mkdtemp(prefix="localvertex-root-")
    try:
        _mount("localvertex", root, kind="tmpfs", flags=_MS_NOSUID | _MS_NODEV, data="mode=755")
        _mount("none", root, flags=_MS_UNBINDABLE)
        _copy_root(root)
        _bind_buckets(storage, root + MOUNT_POINT)
        os.chdir(root)
        number = _PIVOT_ROOT[platform.machine()]
        _check(_libc.syscall(number, b".", b"."), "pivot_root")
        # The old root covers the new one; unmounting it uncovers the new one.
        _check(_libc.umount2(b".", _MNT_DETACH), "umount of the old root")
    finally:
        # Outside the namespace it is an empty folder; inside, the root has changed by now.
        _remove(root)
    os.chdir(folder)


def _enter_namespace() -> None:
    """Enters a private copy of the machine's mounts, as root or in a user namespace."""
    if os.geteuid() == 0 and _libc.unshare(_CLONE_NEWNS) == 0:
        return
    user, group = os.geteuid(), os.getegid()
    _check(
        _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS),
        "user namespaces are off (sysctl user.max_user_namespaces, "
        "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, or a "
        "container's seccomp profile): unshare",
    )
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(line)


def _copy_root(root: str) -> None:
    """Binds everything under / into another folder, except for the mount point."""
    for entry in os.scandir("/"):
        if entry.path == MOUNT_POINT:
            continue
        target = root + entry.path
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
        elif entry.is_dir():
            os.mkdir(target)
            _mount(entry.path, target, flags=_MS_BIND | _MS_REC)
        else:
            with open(target, "wb"):
                pass
            _mount(entry.path, target, flags=_MS_BIND)


def _bind_buckets(storage: str, target: str) -> None:
    """Binds the storage folder read-only, and over it each bucket writable."""
    os.mkdir(target)
    _mount(storage, target, flags=_MS_BIND)
    flags = os.statvfs(storage).f_flag
    kept = sum(number for flag, number in _KEPT.items() if flags & flag)
    _mount("none", target, flags=_MS_BIND | _MS_REMOUNT | _MS_RDONLY | kept)
    for entry in os.scandir(storage):
        if entry.is_dir(follow_symlinks=False):
            _mount(entry.path, f"{target}/{entry.name}", flags=_MS_BIND)


def _mount(source: str, target: str, *, kind: str = "", flags: int = 0, data: str = "") -> None:
    code = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    _check(code, f"mount of {source} at {target}")


def _check(code: int, what: str) -> None:
    if code != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _remove(folder: str) -> None:
    try:
        os.rmdir(folder)
    except OSError:
        return  # busy: the mount is gone with the namespace, and temporary folders are swept


def _parent_death_signal() -> int:
    if sys.platform != "linux":
        return 0
    number = ctypes.c_int(0)
    _libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(number))
    return number.value


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))
