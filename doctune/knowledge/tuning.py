"""`tune_retriever`: tunes the sentence encoder on questions about the indexed documents.

Contrastive, as GPL and InPars do it: each question is drawn to the unit that answers it and away
from the units of the other questions of its batch and from one that BM25 and vectors together take
for the answer and that is not. Weights end halfway between the shipped and the tuned ones, which
keeps what the encoder knew of the language (Wortsman et al. 2022, arXiv 2109.01903). A tenth of the
facts is kept out; where their questions are not answered better, the index stays as it was.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from doctune.digests import digest_file, digest_folder, digest_value
from doctune.files import write_json
from doctune.inference.sentence_encoder import load_encoder, one_thread, pool
from doctune.knowledge.index import KnowledgeIndex
from doctune.knowledge.pairs import Pair, read_pairs
from doctune.knowledge.store import ENCODER, INDEX, VECTORS, VERSION, read_record
from doctune.knowledge.vectors import context_text, unit_vectors
from doctune.knowledge.vocabulary import write_vocabulary
from doctune.progress import progress
from doctune.publishing import MANIFEST_FILE, published_folder, write_manifest

_HELD_OUT = 10  # one fact of so many is kept out
_LEAST_PAIRS = 64  # to learn from
_MOST_JUDGED = 200
_BATCH = 16
_TOKENS = 96
_LEARNING_RATE, _TEMPERATURE = 2e-5, 0.05
_NEAR_MISSES = slice(1, 20)  # ranks among which the hard negative is drawn
_LEAST_GAIN = 0.005  # of the mean reciprocal rank


@dataclass(frozen=True)
class TuningSummary:
    """The result of tuning a retriever.

    Attributes:
        rank_before: Mean reciprocal rank of the answering unit over the questions kept out.
        kept: Whether the tuned encoder ranks better and is in the index.
    """

    pairs: int
    held_out: int
    rank_before: float
    rank_after: float
    kept: bool
    digest: str


def tune_retriever(index_dir: Path, train_set: Path, tuned_dir: Path) -> TuningSummary:
    """Writes an index with a tuned encoder, or a copy of the given index if tuning does not help.

    Args:
        index_dir: What `build_index` wrote; its settings say how many steps are made.
        train_set: Chat examples made of the same documents.
        tuned_dir: The folder to write.

    Raises:
        StorageError: There is no index.
        DatasetError: The examples cannot be read.
    """
    index = KnowledgeIndex(index_dir)
    options = index.record.options
    learnt, judged = _parted(read_pairs(train_set, index))
    steps = options.tuning_steps if len(learnt) >= _LEAST_PAIRS and judged else 0
    before = _mean_rank(index, judged)
    with published_folder(tuned_dir) as folder:
        shutil.copytree(index_dir, folder, dirs_exist_ok=True)
        after = before
        if steps:
            _tune(index, learnt, steps, folder)
            write_manifest(folder)
            after = _mean_rank(KnowledgeIndex(folder), judged)
        kept = bool(steps) and after >= before + _LEAST_GAIN
        if steps and not kept:
            shutil.rmtree(folder)
            shutil.copytree(index_dir, folder)
        digest = _record(folder, before, after, kept)
    return TuningSummary(len(learnt), len(judged), before, after, kept, digest)


def _parted(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Splits the pairs into training and held-out pairs; all pairs of a fact stay together."""
    judged = [pair for pair in pairs if int(pair.fact[:8], 16) % _HELD_OUT == 0]
    learnt = [pair for pair in pairs if int(pair.fact[:8], 16) % _HELD_OUT]
    return learnt, judged[:_MOST_JUDGED]


def _mean_rank(index: KnowledgeIndex, pairs: Sequence[Pair]) -> float:
    """Returns the mean reciprocal rank of the answering units."""
    total = 0.0
    for pair in pairs:
        scores, _ = index.scores(pair.question)
        total += 1 / (1 + int((scores > scores[pair.unit]).sum()))
    return round(total / len(pairs), 4) if pairs else 0.0


def _near_misses(
    index: KnowledgeIndex, pairs: Sequence[Pair], chance: np.random.Generator
) -> list[int]:
    """Returns a hard negative for each pair: a high-ranking unit of another passage."""
    found = []
    for pair in pairs:
        scores, _ = index.scores(pair.question)
        order = np.argsort(-scores, kind="stable")[:60]
        own = index.owners[pair.unit]
        others = [int(at) for at in order if index.owners[at] != own][_NEAR_MISSES]
        found.append(int(chance.choice(others)) if others else pair.unit)
    return found


def _tune(index: KnowledgeIndex, pairs: list[Pair], steps: int, folder: Path) -> None:
    """Tunes the encoder, then writes it and all vectors that depend on it."""
    import torch
    from safetensors.torch import save_file

    chance = np.random.default_rng(0)
    misses = dict(zip(pairs, _near_misses(index, pairs, chance), strict=True))
    tokenizer, shipped = load_encoder(index.encoder)
    start = {name: value.detach().clone() for name, value in shipped.state_dict().items()}
    with one_thread():
        torch.manual_seed(0)
        model = _trained(index, pairs, misses, steps, chance)
    halfway = {
        name: ((value + start[name]) / 2 if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    encoder = folder / ENCODER
    encoder.mkdir(exist_ok=True)
    save_file(halfway, encoder / "model.safetensors", {"format": "pt"})
    shipped.config.save_pretrained(encoder)
    tokenizer.save_pretrained(encoder)
    _encode_again(index, folder, encoder)


def _trained(
    index: KnowledgeIndex,
    pairs: list[Pair],
    misses: dict[Pair, int],
    steps: int,
    chance: np.random.Generator,
) -> Any:
    import torch

    tokenizer, model = load_encoder(index.encoder, fresh=True)
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # the same input gives the same weights, and little is seen twice
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE, weight_decay=0.01)
    queue: list[Pair] = []
    with progress("Tuning the retriever", steps, "steps") as bar:
        for step in range(steps):
            if len(queue) < _BATCH:
                queue += [pairs[at] for at in chance.permutation(len(pairs))]
            batch, queue = _batch(queue)
            texts = [_text(index, pair.unit, step) for pair in batch]
            texts += [_text(index, misses[pair], step) for pair in batch]
            questions = pool(model, tokenizer, [pair.question for pair in batch], _TOKENS)
            units = pool(model, tokenizer, texts, _TOKENS)
            wanted = torch.arange(len(batch))
            loss = torch.nn.functional.cross_entropy(questions @ units.T / _TEMPERATURE, wanted)
            optimizer.zero_grad()
            loss.backward()
            rate = _LEARNING_RATE * min((step + 1) / (0.1 * steps), 1.0) * (1 - step / steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            bar.advance(note=f"loss {float(loss.detach()):.3f}")
    return model.eval()


def _batch(queue: list[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Returns pairs with different units, so that no in-batch negative is a true answer."""
    batch: list[Pair] = []
    left: list[Pair] = []
    for pair in queue:
        known = any(pair.unit == other.unit for other in batch)
        (left if known or len(batch) == _BATCH else batch).append(pair)
    return batch, left


def _text(index: KnowledgeIndex, unit: int, step: int) -> str:
    """Returns a unit alternately alone and in context, since an index encodes both."""
    found = index.unit(unit)
    if step % 2:
        return found.text
    passage = int(index.owners[unit])
    return context_text(index.titles[passage], index.passage(passage), found)


def _encode_again(index: KnowledgeIndex, folder: Path, encoder: Path) -> None:
    passages = [index.passage(at) for at in range(len(index.sources))]
    parts, start = [], 0
    for at in range(1, len(passages) + 1):
        if at == len(passages) or index.sources[at] != index.sources[start]:
            parts.append(unit_vectors(index.titles[start], passages[start:at], encoder))
            start = at
    np.save(folder / VECTORS, np.concatenate(parts).astype(np.float16))
    texts = zip((one.text for one in passages), index.language_of_passages, strict=True)
    write_vocabulary(folder, texts, encoder)


def _record(folder: Path, before: float, after: float, kept: bool) -> str:
    record = read_record(folder)
    (folder / INDEX).unlink()
    (folder / MANIFEST_FILE).unlink()
    options = record.options.model_dump(mode="json")
    weights = digest_file(folder / ENCODER / "model.safetensors") if kept else record.encoder
    digest = digest_value([VERSION, options, digest_folder(folder)])
    measured = {
        **record.measured,
        "held_out_rank_untuned": before,
        "held_out_rank_tuned": after,
        "tuned": float(kept),
    }
    changed = record.model_copy(update={"encoder": weights, "digest": digest, "measured": measured})
    write_json(folder / INDEX, changed.model_dump(mode="json"))
    return digest
