"""The agent beside the model alone and a plain RAG chain: the same questions, the same model.

    python benchmarks/agent.py [--json] [--index FOLDER] [--most N] [--model-questions N]

The agent answers in the way that its index names. The chain is LangChain's usual one: a document a
page, `RecursiveCharacterTextSplitter` with its defaults, `BM25Retriever` with its defaults, the
passages before the question, the model at temperature 0. Where a model must answer, generation
costs seconds a question on a CPU: `--model-questions` takes every k-th question for those two
alone, and the figures say how many there were and how many of the same ones the agent answers
right. `--most` takes every k-th question for all three. All answers are marked by the same rules
(`doctune.evaluation.answer_accuracy`). Each part says on standard error when it begins.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from doctune.agent import Agent
from doctune.agent.measure import Case, Figures, load_cases, measure
from doctune.agent.support import unsupported
from doctune.documents import ParseOptions, parse_corpus
from doctune.evaluation.answer_accuracy import grade_answer, says_nothing
from doctune.inference.base_model import resolve_base_model
from doctune.inference.generation import TextGenerator
from doctune.inference.options import GenerationOptions
from doctune.knowledge import build_index

ROOT = Path(__file__).parents[1]
_Thing = TypeVar("_Thing")
_ANSWER_TOKENS = 96
_BATCH = 16
_CHAIN_PROMPT = (
    "Use the following pieces of context to answer the question at the end. If you don't know the "
    "answer, just say that you don't know, don't try to make up an answer.\n\n{context}\n\n"
    "Question: {question}\nHelpful Answer:"
)


def main() -> None:
    """Prints the figures; with --json one line of them."""
    given = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        index = given.index or _index(Path(folder))
        every = [case for file in given.questions for case in load_cases(file)]
        cases = _every(every, given.most)
        _say(f"the agent: {len(cases)} questions")
        marked, figures = measure(Agent.open(index), cases)
    chosen = _every(range(len(cases)), given.model_questions)
    asked = [cases[at] for at in chosen]
    beside = sum(marked[at].right for at in chosen) / len(chosen)
    generator = TextGenerator.load(resolve_base_model(given.model))
    chain = _Chain(ROOT / "samples/pdfs")
    found = [chain.passages(case.question.question) for case in asked]
    _say(f"the plain chain: {len(asked)} questions")
    by_chain = _generate(
        generator,
        [
            _CHAIN_PROMPT.format(context="\n\n".join(texts), question=case.question.question)
            for case, texts in zip(asked, found, strict=True)
        ],
    )
    _say(f"the model alone: {len(asked)} questions")
    alone = _generate(generator, [case.question.question for case in asked])
    result = _result(figures, asked, by_chain, found, alone)
    result["right_of_model_questions"] = round(beside, 4)
    if given.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:32} {value}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--index", type=Path, help="an index of samples/pdfs; else one is made")
    parser.add_argument("--model", default="smollm2-135m-instruct", help="name or folder")
    parser.add_argument("--most", type=int, default=0, help="most questions; 0 for all")
    parser.add_argument(
        "--model-questions", type=int, default=0, help="questions to the model; 0 for all"
    )
    parser.add_argument(
        "--questions",
        type=Path,
        nargs="+",
        default=[ROOT / "samples/questions.jsonl", ROOT / "samples/follow_ups.jsonl"],
    )
    return parser.parse_args()


def _index(folder: Path) -> Path:
    options = ParseOptions(max_failure_share=0.5)  # two of the samples are made not to be read
    parse_corpus(ROOT / "samples/pdfs", folder / "documents", options)
    build_index(folder / "documents", folder / "index")
    return folder / "index"


def _every(things: Sequence[_Thing], most: int) -> list[_Thing]:
    """Returns so many of some things, spread over all of them; 0 for all."""
    if not most or most >= len(things):
        return list(things)
    return [things[at * len(things) // most] for at in range(most)]


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


class _Chain:
    """A plain RAG chain's finding, with LangChain's defaults."""

    def __init__(self, pdfs: Path) -> None:
        import pypdfium2
        from langchain_community.retrievers import BM25Retriever
        from langchain_core.documents import Document
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        pages = []
        for path in sorted(pdfs.glob("*.pdf")):
            try:
                with pypdfium2.PdfDocument(path) as document:
                    for page in document:
                        text = page.get_textpage().get_text_bounded()
                        pages.append(Document(page_content=text, metadata={"source": path.name}))
            except pypdfium2.PdfiumError:
                continue  # the damaged and the locked one
        chunks = RecursiveCharacterTextSplitter().split_documents(pages)
        self._retriever = BM25Retriever.from_documents(chunks)

    def passages(self, question: str) -> list[str]:
        """Returns the texts that the chain puts before a question."""
        return [one.page_content for one in self._retriever.invoke(question)]


def _generate(generator: TextGenerator, prompts: Sequence[str]) -> list[str]:
    answers = generator.generate(
        [[{"role": "user", "content": prompt}] for prompt in prompts],
        GenerationOptions(temperature=0.0, max_new_tokens=_ANSWER_TOKENS),
        batch_size=_BATCH,
    )
    return [answer.text.strip() for answer in answers]


def _result(
    figures: Figures,
    asked: Sequence[Case],
    by_chain: Sequence[str],
    found: Sequence[Sequence[str]],
    alone: Sequence[str],
) -> dict[str, Any]:
    silent = [says_nothing(answer) for answer in by_chain]
    answered = [
        bool(unsupported(answer, case.question.question, texts))
        for case, answer, texts, no in zip(asked, by_chain, found, silent, strict=True)
        if not no
    ]
    return {
        **asdict(figures),
        "plain_chain_right": _right(asked, by_chain),
        "plain_chain_unsupported": round(sum(answered) / max(1, len(answered)), 4),
        "model_alone_right": _right(asked, alone),
        "model_questions": len(asked),
    }


def _right(cases: Sequence[Case], answers: Sequence[str]) -> float:
    grades = [
        grade_answer(
            case.question.question,
            answer,
            reference=case.question.answer,
            key_facts=case.question.key_facts,
            expects=case.question.expects,
        )
        for case, answer in zip(cases, answers, strict=True)
    ]
    return round(sum(grade.right for grade in grades) / max(1, len(grades)), 4)


if __name__ == "__main__":
    main()
