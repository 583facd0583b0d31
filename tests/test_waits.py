"""What waits for something outside has a limit, or stands here with the reason why it has none."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("doctune", "components", "pipelines", "cloudbuild", "containers", "benchmarks", "tests")

# Of these the limit is their first argument, or `timeout`.
_TAKE_A_LIMIT = {"wait", "join", "result", "acquire", "communicate", "get"}
_SUBPROCESS = {"run", "call", "check_call", "check_output"}
_REQUESTS = {"get", "post", "put", "patch", "delete", "request"}

# "file::function: call" and why that may wait without a limit.
_STEP = "a program of the user's: it may take as long as its job lets it, and a signal ends it"
_FOLLOWS = "watches a run for a user, for as long as that takes, until they press Ctrl-C"
_JOB = "a job's own limit (asyncio.timeout in jobs/custom.py), or its cancellation, ends this"
_NOTEBOOK = "a command that stands in a notebook: it takes what it takes, and a signal ends it"
_LIMITED = "its only caller, _let_through, limits it by CONNECTION"
_SERVICE = "what a server does as long as it lives; its end cancels it"
_SDK = "the SDK's wait for a job, which takes no limit: pytest-timeout ends it and says where"
_BUILD = "a build in the user's terminal, which shows its progress, until they press Ctrl-C"
ALLOWED: dict[str, str] = {
    "doctune/cli/follow.py::follow_run: while True": _FOLLOWS,
    "doctune/cli/follow.py::follow_logs: while follow": _FOLLOWS,
    "doctune/cli/pipelines.py::compile_specs: subprocess.run(command, check=False)": _BUILD,
    "containers/build.py::build: subprocess.run([*command, '.'], cwd=ROOT, check=False)": _BUILD,
    "containers/build.py::_run: "
    "subprocess.run(command, stdout=subprocess.DEVNULL, stderr=er": _BUILD,
    "doctune/dataset/teacher.py::GeminiGenerator.generate: future.result()": (
        "each request in the thread has its limit (request_timeout) and a number of tries"
    ),
    "doctune/inference/batching.py::Batcher._wait: "
    "self._changed.wait_for(lambda: len(flight) or self._waiting ": _SERVICE,
    "doctune/database/usage.py::follow_predictions: while True": _FOLLOWS,
    "doctune/gateway/identity.py::_Issuer._away: cached.get()": "reads a variable",
    "doctune/inference/openvino_generator.py::OpenVinoGenerator.generate: ticket.answer.result()": (
        "each is done: the loop has ended, which runs as long as one is in flight"
    ),
    "doctune/gateway/shared_cache.py::SharedAnswers._acquired: "
    "lock.acquire(blocking_timeout=self._wait_seconds)": (
        "its limit is cache.wait_seconds; the check knows only the name timeout"
    ),
    "doctune/gateway/shared_cache.py::SharedAnswers._extend: while True": (
        "ends with the block that holds the lock, which cancels it"
    ),
    "doctune/serving/metrics.py::ServerMetrics.observe_ticket: answer.result()": (
        "is asked only of an answer that is done"
    ),
    "doctune/gateway/services.py::Services._keep_house: while days is not None": _SERVICE,
    "doctune/gateway/experiments.py::Experiments._keep_fresh: while True": _SERVICE,
    "doctune/gateway/followed_index.py::follow: while True": _SERVICE,
    "benchmarks/serving.py::soak.watch: "
    "while (now := (time.perf_counter() - began)) < seconds": "ends after the soak's seconds",
    "tests/experiments/users.py::Users._work: while not self._ended.is_set()": (
        "simulated users ask until the test that started them ends them"
    ),
    "doctune/gateway/routing.py::Model.place: self._places.acquire()": (
        "a place is free: it has just been asked whether all are taken"
    ),
    "doctune/localvertex/jobs/custom.py::_run_replicas: "
    "asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)": _JOB,
    "doctune/localvertex/jobs/processes.py::run_program: while (code := process.poll()) is None": (
        _JOB
    ),
    "doctune/localvertex/tracker.py::Jobs.wait: asyncio.wait([task])": _JOB,
    "doctune/localvertex/jobs/tuning.py::run_tuning_job: "
    "asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)": _JOB,
    "doctune/localvertex/jobs/tuning.py::_run_trial: while vertex.jobs.is_running(name)": _JOB,
    "doctune/localvertex/lifecycle.py::execute: process.wait()": _STEP,
    "doctune/localvertex/notebooks/commands/left_out.py::main: "
    "subprocess.run([sys.executable, '-m', 'pip', *rest], check=F": _NOTEBOOK,
    "doctune/localvertex/notebooks/kernel.py::Kernel._command: "
    "subprocess.run(['/bin/bash', '-c', command], stdin=subproces": _NOTEBOOK,
    "doctune/localvertex/proxy.py::ConnectProxy._reach: "
    "asyncio.open_connection(host, int(port))": _LIMITED,
    "doctune/localvertex/proxy.py::ConnectProxy._reach: "
    "asyncio.open_connection(proxy.hostname, proxy.port or 80)": _LIMITED,
    "doctune/localvertex/server.py::serve: stop.wait()": _SERVICE,
    "doctune/localvertex/services/schedules.py::keep_firing: while True": _SERVICE,
    "doctune/localvertex/serving.py::ServingProcess._keep_alive: while True": _SERVICE,
    "doctune/runner/gcs_mount.py::_run_watched: process.wait()": _STEP,
    "doctune/runner/launching.py::LocalPrograms._run: for ... in process.stdout or ()": _STEP,
    "doctune/runner/launching.py::LocalPrograms._run: process.wait()": _STEP,
    "doctune/runner/run.py::run_pipeline: while True": _STEP,
    "doctune/runner/run.py::_LogLines._read: for ... in process.stdout": (
        "a thread that ends with the pipeline's process; `finish` waits 5 s for it"
    ),
    "doctune/training/launch.py::_run: process.wait()": (
        "training takes what it takes: its workers limit their exchanges, and SIGTERM ends them"
    ),
    "tests/e2e/programs/submit.py::: job.wait()": _SDK,
    "tests/gateway/upstream.py::FakeUpstream._stream: while self.mode == 'endless'": (
        "an upstream that never ends is what its test is about: it ends with its client"
    ),
    "tests/localvertex/test_fidelity.py::test_tuning_jobs_live_over_this_wire: job.wait()": _SDK,
    "tests/localvertex/test_fidelity.py::test_batch_predictions_live_over_this_wire: job.wait()": (
        _SDK
    ),
    "tests/runner/conftest.py::double_number: "
    "subprocess.run([sys.executable, '-c', f'import time; time.sl": (
        "a step that sleeps as long as its test asks"
    ),
    "tests/vertex/test_two_releases.py::Releaser._read: for ... in self._process.stdout": (
        "a daemon thread; who waits for what it reads has a limit"
    ),
}


class _Finder(ast.NodeVisitor):
    """Collects the calls and loops of a module that may wait for ever."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str]] = []
        self._scope: list[str] = []
        self._async = False
        self._limited = 0
        self._sessions: set[str] = set()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._scope.append(node.name)
        self.generic_visit(node)
        self._scope.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node, is_async=False)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node, is_async=True)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, *, is_async: bool) -> None:
        before = self._async, self._limited
        self._async, self._limited = is_async, 0
        self._scope.append(node.name)
        self.generic_visit(node)
        self._scope.pop()
        self._async, self._limited = before

    def visit_AsyncWith(self, node: ast.AsyncWith) -> None:
        limits = any("asyncio.timeout" in ast.unparse(item) for item in node.items)
        self._limited += limits
        self.generic_visit(node)
        self._limited -= limits

    def visit_Assign(self, node: ast.Assign) -> None:
        if "AuthorizedSession(" in ast.unparse(node.value):
            self._sessions.update(ast.unparse(target) for target in node.targets)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        text = ast.unparse(node)
        if "sleep(" in text and not any(w in text for w in ("deadline", "monotonic", ".time()")):
            self._add(node, f"while {ast.unparse(node.test)}")
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        if ast.unparse(node.iter).endswith((".stdout", ".stderr", ".stdout or ()")):
            self._add(node, f"for ... in {ast.unparse(node.iter)}")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        limits = ast.unparse(node.func) in ("asyncio.wait_for", "call_within")
        if not self._limited and _waits(node, self._sessions, in_async=self._async):
            self._add(node, ast.unparse(node))
        self._limited += limits
        self.generic_visit(node)
        self._limited -= limits

    def _add(self, node: ast.AST, text: str) -> None:
        first = " ".join(text.split())[:60]
        self.found.append((node.lineno, f"{'.'.join(self._scope)}: {first}"))  # type: ignore[attr-defined]


def _waits(node: ast.Call, sessions: set[str], *, in_async: bool) -> bool:
    """Whether a call may wait for ever."""
    named = {keyword.arg for keyword in node.keywords}
    if "timeout" in named or None in named:  # None: **options
        return False
    function = ast.unparse(node.func)
    owner, _, name = function.rpartition(".")
    if owner == "subprocess":
        return name in _SUBPROCESS
    if name == "flock":
        return "LOCK_NB" not in ast.unparse(node) and "LOCK_UN" not in ast.unparse(node)
    if name in ("FileLock", "urlopen", "ClientSession", "as_completed", "wait_procs"):
        return True
    if function in ("asyncio.wait", "futures.wait", "asyncio.open_connection"):
        return True
    if name == "wait_for":  # a condition's; that of asyncio demands a limit
        return bool(owner) and len(node.args) < 2
    if "blocking" in named:
        return False
    if name in ("readline", "read") and owner.endswith((".stdout", ".stderr")):
        return True
    if name in _REQUESTS and (owner in sessions or "AuthorizedSession(" in owner):
        return True
    if name == "result" and in_async:
        return False  # of a task that is done: it raises where that is not
    return bool(owner) and name in _TAKE_A_LIMIT and not node.args


def find_waits(source: str) -> list[tuple[int, str]]:
    """Returns the line and a description of each wait without a limit."""
    finder = _Finder()
    finder.visit(ast.parse(source))
    return finder.found


def _all_waits() -> Iterator[tuple[str, int, str]]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            for line, wait in find_waits(path.read_text(encoding="utf-8")):
                yield name, line, wait


def test_every_wait_has_a_limit() -> None:
    unlimited = [
        f"{name}:{line} {wait}"
        for name, line, wait in _all_waits()
        if f"{name}::{wait}" not in ALLOWED
    ]

    assert unlimited == [], (
        "give each a limit of doctune.limits (in tests: a timeout), or add it to ALLOWED with the "
        "reason:\n" + "\n".join(unlimited)
    )


def test_every_exception_is_still_needed() -> None:
    found = {f"{name}::{wait}" for name, _, wait in _all_waits()}

    assert sorted(set(ALLOWED) - found) == []
    assert all(len(reason) > 15 for reason in ALLOWED.values())


@pytest.mark.parametrize(
    "call",
    [
        "process.wait()",
        "process.communicate()",
        "thread.join()",
        "future.result()",
        "queue.get()",
        "lock.acquire()",
        "event.wait()",
        "condition.wait_for(ready)",
        "subprocess.run(['true'])",
        "subprocess.check_output(['true'], text=True)",
        "fcntl.flock(file, fcntl.LOCK_EX)",
        "FileLock(path)",
        "filelock.FileLock(path)",
        "urllib.request.urlopen(url)",
        "aiohttp.ClientSession()",
        "as_completed(futures)",
        "psutil.wait_procs(tree)",
        "AuthorizedSession(credentials).get(url)",
        "line = process.stdout.readline()",
        "for line in process.stdout: pass",
        "while True: time.sleep(1)",
        "while not ready(): time.sleep(1)",
        "async def f():\n    await event.wait()",
        "async def f():\n    await asyncio.wait(tasks)",
        "async def f():\n    await asyncio.open_connection(host, port)",
        "session = AuthorizedSession(c)\nsession.post(url)",
    ],
)
def test_a_wait_without_a_limit_is_found(call: str) -> None:
    assert len(find_waits(call)) == 1


@pytest.mark.parametrize(
    "call",
    [
        "process.wait(5)",
        "process.wait(timeout=LIMIT.seconds)",
        "', '.join(words)",
        "queue.get(timeout=3)",
        "values.get('key')",
        "subprocess.run(['true'], timeout=5)",
        "subprocess.run(command, **options)",
        "fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "FileLock(path, timeout=5)",
        "while time.monotonic() < deadline: time.sleep(1)",
        "while queue: queue.pop()",
        "AuthorizedSession(credentials).get(url, timeout=5)",
        "async def f():\n    async with asyncio.timeout(5):\n        await event.wait()",
        "async def f():\n    await asyncio.wait_for(event.wait(), 5)",
        "async def f():\n    return task.result()",
    ],
)
def test_a_wait_with_a_limit_is_none_of_them(call: str) -> None:
    assert find_waits(call) == []
