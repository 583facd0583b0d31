"""The worker process that parses PDFs: `python -m doctune.documents.worker`.

It reads requests from standard input, one JSON object per line, and answers on the original
standard output. First it limits itself: memory, no core dumps, no file writes.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

from doctune.documents.errors import PdfError
from doctune.documents.options import ParseOptions

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Answers requests until standard input ends."""
    memory_limit_mb = int(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Answers use a duplicate of stdout, so that no library can print into them.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    from doctune.documents import ocr, wire

    ocr.listeners.append(lambda: _send(answers, wire.encode({"alive": True})))
    _limit_resources(memory_limit_mb)
    _send(answers, wire.encode({"ready": True}))
    for line in sys.stdin.buffer:
        request = json.loads(line)
        options = ParseOptions.model_validate(request["options"])
        reply = _answer(request, options)
        frame = wire.encode(reply)
        if len(frame) > options.output_limit_mb << 20:
            frame = wire.encode(_error("too large", "its text is over `output_limit_mb`."))
        _send(answers, frame)


def _answer(request: dict[str, Any], options: ParseOptions) -> dict[str, Any]:
    from doctune.documents import parser, wire
    from doctune.documents.attachments import pack_attached
    from doctune.documents.pdfium import PdfFile

    path = Path(request["path"])
    start = time.perf_counter()
    try:
        if request.get("pictures"):
            from doctune.documents.pictures import render_pages

            reply: dict[str, Any] = {
                "pictures": render_pages(path, request["pictures"], options.password)
            }
        elif request.get("attached"):
            with PdfFile(path, options.password) as file:
                attached = file.read_attached(options.output_limit_mb << 19)
            reply = {"attached": pack_attached(attached)}
        elif request["first"] is None:
            reply = {"facts": wire.pack_facts(parser.read_facts(path, options))}
        else:
            pages = parser.read_part(path, request["first"], request["stop"], options)
            reply = {"pages": [wire.pack_page(page) for page in pages]}
    except PdfError as error:
        return _error(error.reason, str(error))
    except MemoryError:
        return _error("out of memory", f"{path.name} needs more than `memory_limit_mb`.")
    except RecursionError:
        return _error("damaged", f"{path.name} is damaged: its nesting is too deep.")
    except Exception as error:
        # A bug in the parser must cost only the file that triggers it.
        return _error("crashed", f"{path.name} triggered a bug in the parser: {error!r}.")
    return {**reply, "seconds": time.perf_counter() - start, "peak_mb": _peak_mb()}


def _error(reason: str, message: str) -> dict[str, Any]:
    return {"error": {"reason": reason, "message": message}, "peak_mb": _peak_mb()}


def _send(answers: BinaryIO, frame: bytes) -> None:
    answers.write(frame)
    answers.flush()


def _peak_mb() -> float:
    # On Linux ru_maxrss includes the parent's size at the fork; VmHWM does not.
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:  # not on this system
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


def _limit_resources(memory_limit_mb: int) -> None:
    with contextlib.suppress(ImportError):
        import resource

        memory = memory_limit_mb << 20
        for name, limit in (("RLIMIT_DATA", memory), ("RLIMIT_CORE", 0), ("RLIMIT_FSIZE", 0)):
            with contextlib.suppress(ValueError, OSError, AttributeError):
                resource.setrlimit(getattr(resource, name), (limit, limit))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
