"""How time and memory grow with the corpus: 10, 100 and 1,000 times the sample.

    python benchmarks/scale.py [--json] [--times 10 100 1000] [--parts plan group ...]

Each part runs in a process of its own on made input, whose making is not counted. Seconds are those
of the CPU. The sample has 15
PDFs and about 1,500 training examples. Memory is what the part adds, at its most, to what the
process held when the part began;
growth is how many times the seconds (and the memory) grew from one size to the next, ten times as
large: 10 is linear, and memory is flat where it stays at 1. `--limits` gives exit code 1 where
the time or the memory of a part grew by more than half of that again. Small caches fill up between
10 and 100 times, so up to 64 MiB count as flat.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

FILES, EXAMPLES = 15, 1_500
_WORDS = ["pump", "valve", "filter", "water", "engine", "seal", "bolt", "litre", "minute"]
_WORDS += ["lamp", "hinge", "spool", "sieve"]


@dataclass(frozen=True)
class Measure:
    """One part at one size."""

    part: str
    times: int
    items: int
    seconds: float
    added_mib: float


def plan(times: int, folder: Path) -> tuple[int, Callable[[], Any]]:
    """Splitting a folder of PDFs into shards; a tenth are copies of others."""
    from doctune.documents import plan_shards

    for number in range(FILES * times):
        content = b"%PDF-1.4\n" + str(number - number % 10 % 9 // 8).encode() * (100 + number % 997)
        (folder / f"{number}.pdf").write_bytes(content)
    return FILES * times, lambda: plan_shards(folder, 8)


def shard(times: int, folder: Path) -> tuple[int, Callable[[], Any]]:
    """What a shard of fixed size does to find its files in a growing folder."""
    from doctune.documents.files import named_pdfs

    for number in range(FILES * times):
        (folder / f"{number}.pdf").write_bytes(b"%PDF-1.4")
    names = [f"{number}.pdf" for number in range(FILES)]
    return FILES * times, lambda: named_pdfs(folder, names)


def group(times: int, folder: Path) -> tuple[int, Callable[[], Any]]:
    """Finding near copies among documents: a third alike, a third the same, a third their own."""
    from doctune.dataset.splitting import Unit, group_units

    form = " ".join(f"field {number} of the form" for number in range(60))

    def text_of(key: str) -> str:
        number = int(key)
        if number % 3 == 0:
            return f"{form} with the values {number} and {number * 7}"
        if number % 3 == 1:
            return form
        return " ".join(f"{_WORDS[at % 13]}{number}x{at}" for at in range(240))

    units = [Unit(str(number), 1) for number in range(FILES * times)]
    return len(units), lambda: group_units(units, text_of)


def deduplicate(times: int, folder: Path) -> tuple[int, Callable[[], Any]]:
    """Taking copies out of the facts, as dividing does; a third are copies."""
    from doctune.dataset import DatasetOptions
    from doctune.dataset.cleaning import Deduplicator
    from doctune.dataset.records import Fact

    def work() -> None:
        deduplicator = Deduplicator.of(DatasetOptions())
        for number in range(EXAMPLES * times // 3):
            text = " ".join(_WORDS[number // (7 + at) % 13] for at in range(20))
            fact = Fact(
                *("fact", (f"what of {number}",), f"{text} number {number - number % 3 // 2}"),
                *("passage", (1,), ("Heading",), 0),
            )
            deduplicator.admit(fact, "one")

    return EXAMPLES * times // 3, work


def divide(times: int, folder: Path) -> tuple[int, Callable[[], Any]]:
    """Dividing examples into three sides as `prepare_dataset` does; a third are copies."""
    from doctune.dataset import DatasetOptions
    from doctune.dataset.division import Removals, divide
    from doctune.dataset.records import Block, Corpus, Document, Example
    from doctune.dataset.tokens import TokenCounter
    from doctune.dataset.view import view_documents

    options, counter = DatasetOptions(), TokenCounter(None)
    documents, examples = [], []
    for at in range(FILES * times):
        texts = [_statement(at * _FACTS + number) for number in range(_FACTS)]
        blocks = tuple(Block(1, number, "paragraph", 0, text) for number, text in enumerate(texts))
        documents.append(Document(f"{at:08x}", f"{at}.pdf", f"Part {at}", "en", 1, blocks))
        for number, text in enumerate(texts):
            fact = at * _FACTS + number
            examples += [
                Example(
                    *(f"{asks} {fact}?", text, "fact", text, (1,), ("Heading",), f"{at:08x}"),
                    *(f"{at}.pdf", number, fact),
                )
                for asks in ("What is part", "Tell me of part")
            ]
    views = view_documents(Corpus(tuple(documents)), counter, options)
    return len(examples), lambda: divide(views, examples, options, Removals())


def _statement(number: int) -> str:
    """Every third statement is that of another document."""
    number -= number % 3 // 2 * _FACTS
    words = " ".join(_WORDS[number // 13**at % 13] for at in range(8))
    return f"The {words} of part {number} opens at {number * 7} turns of key {number % 97}."


def tokens(times: int, folder: Path) -> tuple[int, Callable[[], Any]]:
    """Tokenising the training examples, and going through them once."""
    from doctune.inference.base_model import resolve_base_model
    from doctune.training import token_cache
    from doctune.training.network import load_tokenizer

    path = _rows(folder / "train.jsonl", EXAMPLES * times)
    tokenizer = load_tokenizer(resolve_base_model("smollm2-135m-instruct"))

    def work() -> None:
        found = token_cache.tokenized_file(path, tokenizer, 512)
        assert sum(len(example.input_ids) for example in found.examples) == found.tokens

    return EXAMPLES * times, work


def leaks(times: int, folder: Path) -> tuple[int, Callable[[], Any]]:
    """Looking for 200 test examples among the training examples."""
    from doctune.evaluation.leaks import refuse_leaks
    from doctune.evaluation.test_set import load_test_set

    train = _rows(folder / "train.jsonl", EXAMPLES * times)
    test = load_test_set(_rows(folder / "test.jsonl", 200, start=10**9)).examples
    return EXAMPLES * times, lambda: refuse_leaks(test, train)


def cache(times: int, folder: Path) -> tuple[int, Callable[[], Any]]:
    """Answering prompts together: the key-value cache is bounded, whatever waits."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from doctune.inference.base_model import resolve_base_model
    from doctune.inference.generation import TextGenerator
    from doctune.inference.options import GenerationOptions
    from doctune.training.network import load_tokenizer

    torch.manual_seed(0)
    tokenizer = load_tokenizer(resolve_base_model("smollm2-135m-instruct"))
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=8,
        num_attention_heads=4,
        max_position_embeddings=2048,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    generator = TextGenerator(LlamaForCausalLM(shape).eval(), tokenizer)
    generator.cache_bytes = 8 << 20  # of a machine with 16 MiB free
    prompts = [
        [{"role": "user", "content": f"What is part {number}? {_statement(number)}"}]
        for number in range(FILES * times)
    ]
    options = GenerationOptions(max_new_tokens=4)
    generator.generate(prompts[:10], options, batch_size=64)  # what the first one loads
    return FILES * times, lambda: generator.generate(prompts, options, batch_size=64)


_FACTS = 50  # of a document
PARTS = {
    part.__name__: part for part in (plan, shard, group, deduplicate, divide, tokens, leaks, cache)
}
_TIME_LIMIT, _FLAT_LIMIT, _NOISE_SECONDS, _NOISE_MIB = 1.5, 1.5, 1.0, 64.0


def _rows(path: Path, count: int, start: int = 0) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for number in range(start, start + count):
            words = " ".join(_WORDS[number // 13**at % 13] for at in range(12))
            turns = [("user", f"What is part {number}?"), ("assistant", f"{words} of {number}.")]
            row = {"messages": [{"role": role, "content": text} for role, text in turns]}
            file.write(json.dumps(row) + "\n")
    return path


def measure(part: str, times: int) -> Measure:
    """Runs one part in this process."""
    with tempfile.TemporaryDirectory() as scratch:
        import os

        if part in ("tokens", "cache"):
            from doctune.inference.base_model import resolve_base_model

            resolve_base_model("smollm2-135m-instruct")  # before the cache is another one
        items, work = PARTS[part](times, Path(scratch))
        os.environ["DOCTUNE_CACHE"] = str(Path(scratch, "cache"))
        before, start = _begin_memory(), time.process_time()
        work()
        seconds = time.process_time() - start
    return Measure(part, times, items, round(seconds, 3), round(_peak_mib() - before, 1))


def _begin_memory() -> float:
    """Returns what the process holds, and forgets its peak where Linux lets it."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # freed memory, in which the part would otherwise hide
        Path("/proc/self/clear_refs").write_text("5")
        return _status_mib("VmRSS")
    return _peak_mib()


def _peak_mib() -> float:
    with suppress(OSError):
        return _status_mib("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _status_mib(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    """Measures, and prints a table or JSON."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--times", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--limits", action="store_true", help="exit code 1 where they do not hold")
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(asdict(measure(chosen.parts[0], chosen.times[0]))))
        return
    found = []
    for part in chosen.parts:
        for times in chosen.times:
            command = [sys.executable, __file__, "--one", "--parts", part, "--times", str(times)]
            done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=3600)
            found.append(Measure(**json.loads(done.stdout.strip().rsplit("\n", maxsplit=1)[-1])))
            if not chosen.json:
                print(_row(found))
    if chosen.json:
        print(json.dumps([asdict(one) for one in found]))
    broken = [text for one, two in pairwise(found) for text in broken_limits(one, two)]
    if chosen.limits and broken:
        sys.exit("\n".join(broken))


def broken_limits(one: Measure, two: Measure) -> list[str]:
    """Returns what grew too fast between two sizes; little time and memory is noise."""
    if one.part != two.part:
        return []
    larger = two.items / one.items
    found = []
    if two.seconds > _NOISE_SECONDS + _TIME_LIMIT * larger * one.seconds:
        found.append(f"{two.part}: {one.seconds} s became {two.seconds} s at {larger:g} times")
    least = _NOISE_MIB + _FLAT_LIMIT * one.added_mib
    if two.added_mib > least:
        found.append(f"{two.part}: {one.added_mib} MiB became {two.added_mib} at {larger:g} times")
    return found


def _row(found: list[Measure]) -> str:
    one = found[-1]
    growth = ""
    if len(found) > 1 and found[-2].part == one.part:
        growth = (
            f"  time x{one.seconds / max(found[-2].seconds, 1e-3):.1f}"
            f"  memory x{one.added_mib / max(found[-2].added_mib, 1.0):.1f}"
        )
    return (
        f"{one.part:12} {one.times:5} x {one.items:9,} items {one.seconds:9.2f} s "
        f"{one.added_mib:8.1f} MiB{growth}"
    )


if __name__ == "__main__":
    main()
