"""`build_index`: turns parsed documents into one folder that can be searched.

Vectors are the costly part (about 10 ms a unit on one core). Vectors of unchanged documents are
reused from the existing index, so an update costs only what changed. Each document is encoded on
its own, so an updated index has the same bytes as one built from scratch.
"""

from __future__ import annotations

import fnmatch
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from doctune.dataset.records import Document, read_corpus
from doctune.digests import digest_file, digest_folder, digest_value
from doctune.errors import DatasetError, StorageError
from doctune.files import write_json
from doctune.inference.sentence_encoder import Floats, encoder_folder
from doctune.knowledge.aliases import find_aliases
from doctune.knowledge.lexical import tokens, write_bm25
from doctune.knowledge.options import KnowledgeOptions
from doctune.knowledge.passages import Passage, Unit, cut_document
from doctune.knowledge.store import (
    ALIASES,
    BM25_PASSAGES,
    BM25_UNITS,
    INDEX,
    VECTORS,
    VERSION,
    IndexRecord,
    map_units,
    read_passages,
    read_record,
    unit_row,
    write_tables,
)
from doctune.knowledge.vectors import context_text, passage_text, unit_vectors
from doctune.knowledge.vocabulary import write_vocabulary
from doctune.progress import progress
from doctune.publishing import published_folder

EVERYBODY = "everybody"


@dataclass(frozen=True)
class IndexSummary:
    """What `build_index` made."""

    passages: int
    units: int
    documents: int
    reused: int  # documents whose vectors were taken from the index before
    digest: str


@dataclass(frozen=True)
class _Cut:
    document: Document
    title: str
    passages: list[Passage]
    digest: str

    @property
    def units(self) -> list[tuple[int, Unit]]:
        return [(at, unit) for at, one in enumerate(self.passages) for unit in one.units]


def build_index(
    documents_dir: Path,
    index_dir: Path,
    options: KnowledgeOptions | None = None,
    *,
    previous: Path | None = None,
) -> IndexSummary:
    """Writes the index of parsed documents; what is cut off is refused by its readers.

    Args:
        documents_dir: Folder with `blocks.parquet` and `documents.parquet`.
        index_dir: The folder to write; an index that is there is replaced.
        options: Settings; None for the defaults.
        previous: An index whose vectors may be used again; None takes what is at `index_dir`.

    Raises:
        DatasetError: The input is missing, or holds no text.
        ModelError: There is no encoder.
    """
    options = options or KnowledgeOptions()
    encoder = encoder_folder(options.encoder)
    weights = digest_file(encoder / "model.safetensors")
    cuts = [_cut(document, options, weights) for document in read_corpus(documents_dir).documents]
    cuts = [cut for cut in cuts if cut.passages]
    if not cuts:
        raise DatasetError(f"{documents_dir} holds no text to index: add PDFs with text.")
    kept = _kept_vectors(previous or index_dir, {cut.digest for cut in cuts}, weights)
    vectors: list[Floats] = []
    with progress("Indexing", len(cuts), "documents") as bar:
        for cut in cuts:
            known = kept.get(cut.digest)
            made = unit_vectors(cut.title, cut.passages, encoder) if known is None else known
            vectors.append(made)
            bar.advance()
    with published_folder(index_dir) as folder:
        texts = [(one.text, cut.document.language or "en") for cut in cuts for one in cut.passages]
        write_vocabulary(folder, texts, encoder)
        _write(folder, cuts, np.concatenate(vectors), options, weights)
    record = read_record(index_dir)
    return IndexSummary(
        passages=record.passages,
        units=record.units,
        documents=len(cuts),
        reused=len([cut for cut in cuts if cut.digest in kept]),
        digest=record.digest,
    )


def _cut(document: Document, options: KnowledgeOptions, weights: str) -> _Cut:
    title = readable_title(document.title, document.source)
    passages = cut_document(
        document,
        (document.title, document.title.split(":")[0]),
        least=options.least_words,
        most=options.most_words,
    )
    passages = [passage for passage in passages if passage.units]
    made_from = [title, document.language, weights, [asdict(passage) for passage in passages]]
    return _Cut(document, title, passages, digest_value(made_from))


def readable_title(title: str, source: str) -> str:
    """Returns a document's title; its file's name where the title is a number or none."""
    plain = title.strip()
    letters = sum(map(str.isalpha, plain))
    stem = Path(source).stem.replace("_", " ").replace("-", " ")
    return plain if letters >= 4 and letters * 2 > len(plain) else stem


def _kept_vectors(folder: Path, wanted: set[str], weights: str) -> dict[str, Floats]:
    try:
        record = read_record(folder)
        sources = read_passages(folder).column("source").to_pylist()
        vectors = np.load(folder / VECTORS, mmap_mode="r")
        owners = map_units(folder).column("passage").to_numpy()
    except (StorageError, OSError, ValueError):
        return {}
    if record.encoder != weights:  # a tuned index: its vectors are of another encoder
        return {}
    rows: dict[str, list[int]] = {}
    for at, passage in enumerate(owners):
        rows.setdefault(sources[passage], []).append(at)
    return {
        digest: np.asarray(vectors[rows[source]], dtype=np.float32)
        for source, digest in record.documents.items()
        if digest in wanted and source in rows
    }


def _write(
    folder: Path, cuts: list[_Cut], vectors: Floats, options: KnowledgeOptions, weights: str
) -> None:
    passages: list[dict[str, Any]] = []
    units: list[dict[str, Any]] = []
    unit_words: list[list[str]] = []
    passage_words: list[list[str]] = []
    for cut in cuts:
        language = cut.document.language or "en"
        start = len(passages)
        for at, passage in enumerate(cut.passages):
            passages.append(_passage_row(cut, at, passage, options))
            passage_words.append(tokens(passage_text(cut.title, passage), language))
        for at, unit in cut.units:
            units.append(unit_row(start + at, unit))
            unit_words.append(tokens(context_text(cut.title, cut.passages[at], unit), language))
    write_tables(folder, passages, units)
    np.save(folder / VECTORS, vectors.astype(np.float16))
    write_bm25(folder / BM25_UNITS, unit_words)
    write_bm25(folder / BM25_PASSAGES, passage_words)
    aliases = find_aliases(
        (unit.text for cut in cuts for _, unit in cut.units),
        [row["text"] for row in passages],
        tokens,
    )
    write_json(folder / ALIASES, [alias.model_dump() for alias in aliases])
    # Where the vectors are written besides changes nothing in the index.
    options = options.model_copy(update={"vector_search": ""})
    record = IndexRecord(
        version=VERSION,
        options=options,
        encoder=weights,
        documents={cut.document.source: cut.digest for cut in cuts},
        passages=len(passages),
        units=len(units),
        digest=digest_value([VERSION, options.model_dump(mode="json"), digest_folder(folder)]),
    )
    write_json(folder / INDEX, record.model_dump(mode="json"))


def _passage_row(cut: _Cut, at: int, passage: Passage, options: KnowledgeOptions) -> dict[str, Any]:
    digest = digest_value([cut.document.doc_id, passage.heading, passage.text, passage.pages])
    return {
        "id": f"{cut.document.doc_id[:12]}-{at}",
        "doc_id": cut.document.doc_id,
        "source": cut.document.source,
        "title": cut.title,
        "pages": passage.pages,
        "boxes": passage.boxes,
        "heading": passage.heading,
        "text": passage.text,
        "language": cut.document.language,
        "groups": access_groups(cut.document, options),
        "digest": digest,
        "date": cut.document.date,
    }


def access_groups(document: Document, options: KnowledgeOptions) -> list[str]:
    """Returns the groups that may find a document: by its sidecar, else by the settings' rules."""
    if document.groups:
        return sorted(set(document.groups))
    rules = options.groups.items()
    found = (groups for glob, groups in rules if fnmatch.fnmatch(document.source, glob))
    groups = next(found, EVERYBODY)
    return [groups] if isinstance(groups, str) else sorted(set(groups))
