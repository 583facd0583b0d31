"""What the model server does: tokens a second, first token, memory; alone and beside others.

    python benchmarks/serving.py                    # a table
    python benchmarks/serving.py --json             # and one last line of JSON
    python benchmarks/serving.py --busy 2           # beside two processes that never rest
    python benchmarks/serving.py --soak 15m --connections 16 --without doctune transformers bulk
    python benchmarks/serving.py --without transformers

The first takes about eight minutes on an idle machine, the soak the time that it says for each
server and a minute more.

Each server is one process on `--cores` cores (the first ones), with as many threads. A closed loop
of so many connections asks short prompts (about 50 tokens) for at most 48 tokens, greedily; tokens
a second are completion tokens by the clock. `transformers serve` loads the same weights in float32.
"openvino" is our server with that engine. "bulk" is doctune's generator in this process, as
`doctune batch --model` uses it. "long prompt" is the longest pause between two tokens of a stream
while another client sends a long prompt. "soak" is memory under 16 connections: OpenVINO keeps old
prompts until its cache is full, so that growth counts from a tenth of the time on.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import linear_regression, median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.serving_servers import Server, doctune_server, transformers_server
from doctune.capacity.client import Sample, ask
from doctune.capacity.targets import AddressTarget
from doctune.inference.base_model import DEFAULT_BASE_MODEL, resolve_base_model
from doctune.vertex.http_session import open_session

CONNECTIONS = (1, 8, 16, 32)
MAX_TOKENS = 48
_ANSWER_SECONDS = 300.0
_SUBJECTS = ("pump", "filter", "motor", "valve", "seal", "panel", "battery", "hose")


def prompt(number: int) -> str:
    """Returns a short question; no two are the same."""
    subject = _SUBJECTS[number % len(_SUBJECTS)]
    return (
        f"A technician asks question {number}: how often must the {subject} be checked, by whom, "
        "and what has to be written down afterwards in the log of the machine?"
    )


LONG_PROMPT = " ".join(prompt(number) for number in range(40))


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One closed loop."""

    server: str
    connections: int
    tokens_per_second: float
    first_token_p50: float
    first_token_worst: float
    failed: int
    rss_mb: float
    cpu_seconds_per_1000_tokens: float


async def closed_loop(address: str, connections: int, seconds: float) -> tuple[list[Sample], float]:
    """Asks over so many connections, each again once it is answered."""
    target, origin = AddressTarget(address), time.perf_counter()
    samples: list[Sample] = []
    numbers = iter(range(10**9))
    async with open_session() as session:

        async def one() -> None:
            while (now := time.perf_counter() - origin) < seconds:
                turn = [{"role": "user", "content": prompt(next(numbers))}]
                samples.append(
                    await ask(
                        session,
                        target.call(),
                        turn,
                        due=now,
                        origin=origin,
                        max_tokens=MAX_TOKENS,
                        timeout=_ANSWER_SECONDS,
                    )
                )

        await asyncio.gather(*(one() for _ in range(connections)))
    return samples, time.perf_counter() - origin


def measure(server: Server, connections: int, seconds: float) -> Measure:
    """Returns what a closed loop showed; every connection is answered at least once."""
    cpu = server.cpu()
    samples, span = asyncio.run(closed_loop(server.address, connections, seconds))
    answered = [sample for sample in samples if sample.ok]
    tokens = sum(sample.completion_tokens for sample in answered)
    firsts = [sample.ttft for sample in answered] or [float("inf")]
    return Measure(
        server=server.name,
        connections=connections,
        tokens_per_second=round(tokens / span, 1),
        first_token_p50=round(median(firsts), 3),
        first_token_worst=round(max(firsts), 3),
        failed=len(samples) - len(answered),
        rss_mb=round(server.memory(), 0),
        cpu_seconds_per_1000_tokens=round(1000 * (server.cpu() - cpu) / max(tokens, 1), 2),
    )


async def pauses(address: str) -> tuple[float, float]:
    """Returns the longest and the median pause of a stream while a long prompt is read."""
    target = AddressTarget(address)
    call = target.call()
    times: list[float] = []
    body = {"model": call.model, "max_tokens": 96, "temperature": 0, "stream": True}
    body["messages"] = [{"role": "user", "content": prompt(0)}]
    async with open_session() as session:

        async def stream() -> None:
            async with session.post(call.url, json=body, headers=call.headers) as response:
                async for line in response.content:
                    if b'"content"' in line:
                        times.append(time.perf_counter())

        async def interrupt() -> None:
            for _ in range(3_000):  # a minute
                if len(times) >= 8:
                    break
                await asyncio.sleep(0.02)
            turn = [{"role": "user", "content": LONG_PROMPT}]
            await ask(
                session,
                call,
                turn,
                due=0,
                origin=time.perf_counter(),
                max_tokens=1,
                timeout=_ANSWER_SECONDS,
            )

        await asyncio.gather(stream(), interrupt())
    gaps = [after - before for before, after in itertools.pairwise(times)]
    return max(gaps, default=0.0), median(gaps or [0.0])


def bulk(model: Path, prompts: int = 64) -> float:
    """Returns completion tokens a second of the generator itself, in this process."""
    from doctune.inference.generation import TextGenerator
    from doctune.inference.options import GenerationOptions

    generator = TextGenerator.load(model)
    chats: list[list[dict[str, str]]] = [
        [{"role": "user", "content": prompt(number)}] for number in range(prompts)
    ]
    options = GenerationOptions(max_new_tokens=MAX_TOKENS)
    generator.generate(chats[:2], options)
    began = time.perf_counter()
    answers = generator.generate(chats, options, batch_size=32)
    return sum(answer.completion_tokens for answer in answers) / (time.perf_counter() - began)


@dataclass(frozen=True, kw_only=True)
class Soak:
    """Memory under load."""

    seconds: float
    answers: int
    failed: int
    first_mb: float  # after a tenth of the time
    last_mb: float
    most_mb: float
    growth: float  # from first to last, relative
    mb_a_minute: float  # of the second half, by least squares


@dataclass
class Result:
    """Everything that was measured."""

    machine: str
    date: str
    model: str
    cores: int
    busy: int
    measures: list[Measure] = field(default_factory=list)
    bulk_tokens_per_second: float = 0.0
    # By server.
    longest_pause_beside_long_prompt: dict[str, float] = field(default_factory=dict)
    median_pause: dict[str, float] = field(default_factory=dict)
    soak: dict[str, Soak] = field(default_factory=dict)


def soak(server: Server, seconds: float) -> Soak:
    """Returns what became of a server's memory under a load, and prints it as it goes."""
    points: list[tuple[float, float]] = []

    async def watch() -> None:
        began = time.perf_counter()
        while (now := time.perf_counter() - began) < seconds:
            points.append((now, server.memory()))
            print(f"soak: {now / 60:5.1f} min, {points[-1][1]:7.1f} MiB", flush=True)
            await asyncio.sleep(min(60.0, seconds / 20))

    async def both() -> list[Sample]:
        (samples, _), _ = await asyncio.gather(closed_loop(server.address, 16, seconds), watch())
        return samples

    samples = asyncio.run(both())
    points.append((seconds, server.memory()))
    first = next(memory for at, memory in points if at >= seconds / 10)
    late = [(at / 60, memory) for at, memory in points if at >= seconds / 2]
    return Soak(
        seconds=seconds,
        answers=sum(sample.ok for sample in samples),
        failed=sum(not sample.ok for sample in samples),
        first_mb=round(first, 1),
        last_mb=round(points[-1][1], 1),
        most_mb=round(max(memory for _, memory in points), 1),
        growth=round(points[-1][1] / first - 1, 4),
        mb_a_minute=round(linear_regression(*zip(*late, strict=True)).slope, 2),
    )


def duration(text: str) -> float:
    """Returns the seconds of a duration such as 90, 90s, 15m or 1h."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    return float(number) * units[unit]


def _spin() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        pass


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Runs processes that never rest beside the block."""
    spinning = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(processes)]
    for process in spinning:
        process.start()
    try:
        yield
    finally:
        for process in spinning:
            process.terminate()


def run(options: argparse.Namespace) -> Result:
    """Measures everything that was asked for."""
    model = Path(options.model) if options.model else resolve_base_model(DEFAULT_BASE_MODEL)
    model = model / "model" if (model / "model" / "config.json").is_file() else model
    result = Result(
        machine=_machine(),
        date=time.strftime("%Y-%m-%d"),
        model=model.name,
        cores=options.cores,
        busy=options.busy,
    )
    servers = {
        "doctune": doctune_server,
        "openvino": partial(doctune_server, engine="openvino"),
        "transformers": transformers_server,
    }
    with busy(options.busy):
        for name, start in servers.items():
            if name in options.without:
                continue
            with start(model, options.cores) as server:
                measure(server, 1, 1.0)
                for connections in options.connections:
                    one = measure(server, connections, options.seconds)
                    result.measures.append(one)
                    print(_line(one), flush=True)
                if name == "transformers":
                    continue
                longest, usual = asyncio.run(pauses(server.address))
                result.longest_pause_beside_long_prompt[name] = round(longest, 3)
                result.median_pause[name] = round(usual, 3)
                print(f"long prompt: longest pause {longest:.3f} s, median {usual:.3f} s")
                if options.soak:
                    result.soak[name] = soak(server, options.soak)
                    print(f"soak: {result.soak[name]}")
        if "bulk" not in options.without:
            import torch

            torch.set_num_threads(options.cores)
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
            result.bulk_tokens_per_second = round(bulk(model), 1)
            print(f"bulk: {result.bulk_tokens_per_second} tokens/s")
    return result


def _machine() -> str:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return f"{names[0] if names else 'unknown'}, load {os.getloadavg()[0]:.1f}"


def _line(one: Measure) -> str:
    return (
        f"{one.server:13} {one.connections:3} connections: {one.tokens_per_second:7.1f} tokens/s, "
        f"first token {one.first_token_p50:.2f} s (worst {one.first_token_worst:.2f}), "
        f"{one.failed} failed, {one.rss_mb:.0f} MiB, "
        f"{one.cpu_seconds_per_1000_tokens:.1f} CPU s per 1,000 tokens"
    )


def main() -> None:
    """Reads the flags, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="", help="folder of a model; default: the bundled one")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each closed loop")
    parser.add_argument("--connections", type=int, nargs="+", default=list(CONNECTIONS))
    parser.add_argument("--busy", type=int, default=0, help="processes that never rest, beside")
    parser.add_argument(
        "--soak", type=duration, default=0.0, help="load under which memory is watched"
    )
    parser.add_argument(
        "--without", nargs="*", default=[], help="doctune openvino transformers bulk"
    )
    parser.add_argument("--json", action="store_true", help="one last line of JSON")
    options = parser.parse_args()
    result = run(options)
    if options.json:
        print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
