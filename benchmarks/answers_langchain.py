"""A plain LangChain chain over PDFs: what its tutorial builds, run by an interpreter that has it.

Pages by pypdf, RecursiveCharacterTextSplitter of 1,000 characters with 200 shared, an in-memory
vector store over the same sentence encoder that doctune ships, the tutorial's prompt. The chain
ends at the prompt: the benchmark decodes all prompts with the same base model in the same way, so
that only finding and asking differ.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGES = ("langchain-core==1.7.2", "langchain-text-splitters==1.1.3")
TOP = 3  # as many passages as doctune shows
_CHUNK, _SHARED = 1000, 200
# The prompt of LangChain's own tutorial on retrieval (rlm/rag-prompt).
_PROMPT = (
    "You are an assistant for question-answering tasks. Use the following pieces of retrieved "
    "context to answer the question. If you don't know the answer, just say that you don't know. "
    "Use three sentences maximum and keep the answer concise.\n"
    "Question: {question} \nContext: {context} \nAnswer:"
)


def pages_of(folder: Path) -> Iterator[Any]:
    """Yields a document a page, as PyPDFLoader does; what pypdf cannot read is left out."""
    from langchain_core.documents import Document
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    for path in sorted(folder.rglob("*.pdf")):
        try:
            for number, page in enumerate(PdfReader(path).pages, 1):
                place = {"file": str(path.relative_to(folder)), "page": number}
                yield Document(page_content=page.extract_text(), metadata=place)
        except (PyPdfError, OSError, ValueError, KeyError) as error:
            print(f"{path.name} left out: {error}", file=sys.stderr)


def run_chain(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns for each question its prompt and the passages that the chain found."""
    from langchain_core.embeddings import Embeddings
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import RunnableLambda, RunnablePassthrough
    from langchain_core.vectorstores import InMemoryVectorStore
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    from doctune.inference.sentence_encoder import encode, encoder_folder

    class MiniLm(Embeddings):
        """The encoder that doctune uses, so that the peers differ in nothing else."""

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[float(value) for value in row] for row in encode(texts, encoder_folder())]

        def embed_query(self, text: str) -> list[float]:
            return self.embed_documents([text])[0]

    splitter = RecursiveCharacterTextSplitter(chunk_size=_CHUNK, chunk_overlap=_SHARED)
    store = InMemoryVectorStore(MiniLm())
    store.add_documents(splitter.split_documents(list(pages_of(Path(job["pdfs"])))))
    retriever = store.as_retriever(search_kwargs={"k": job["most"]})
    joined = RunnableLambda(
        lambda found: "\n\n".join(one.page_content for one in found["documents"][:TOP])
    )
    asked = {"documents": retriever, "question": RunnablePassthrough()}
    chain = asked | RunnablePassthrough.assign(context=joined)
    prompt = ChatPromptTemplate.from_template(_PROMPT)
    rows = []
    for found in chain.batch(job["questions"]):
        shown = [{"text": one.page_content, **one.metadata} for one in found["documents"]]
        filled = prompt.invoke({"question": found["question"], "context": found["context"]})
        rows.append({"prompt": filled.to_messages()[0].content, "passages": shown})
    return rows


def main() -> None:
    """Reads the job from standard input, writes the rows where it says."""
    job = json.load(sys.stdin)
    Path(job["out"]).write_text(json.dumps(run_chain(job)), encoding="utf-8")


if __name__ == "__main__":
    main()
