"""Where a part comes from: environment, cache, official release, build, in this order."""

import hashlib
import io
import tarfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typing_extensions import override

from tasks.lab import parts
from tasks.lab.parts import Needs, Part, Release
from tasks.lab.progress import LabError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def official() -> Iterator[str]:
    """A site that has ``/tool``, and ``/tool.tar.gz`` with the same file in it."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = FILES.get(self.path)
            self.send_response(200 if body else 404)
            self.end_headers()
            self.wfile.write(body or b"")

        @override
        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def tar(name: str, content: bytes) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as out:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        out.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


FILES = {"/tool": b"official", "/tool.tar.gz": tar("tool", b"packed")}


def sha256(path: str) -> str:
    return hashlib.sha256(FILES[path]).hexdigest()


def tool(content: str = "built", **more: object) -> Part:
    """A part that is one file."""

    def make(target: Path, needs: Needs) -> None:
        (target / "tool").write_text(content)

    return Part(name="tool", files=("tool",), make=make, how="building it", **more)  # type: ignore[arg-type]


def content(part: Part) -> str:
    return (parts.find([part])[part.name] / "tool").read_text()


def test_what_the_environment_names_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tool").write_text("given")
    monkeypatch.setenv("ENVOYFLEET_TOOL", str(tmp_path))
    assert content(tool()) == "given"


def test_a_wrong_folder_in_the_environment_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVOYFLEET_TOOL", str(tmp_path))
    with pytest.raises(LabError, match=f"ENVOYFLEET_TOOL={tmp_path} does not hold tool"):
        content(tool())


def test_what_was_built_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert (content(tool("first")), content(tool("second"))) == ("first", "first")
    assert capsys.readouterr().out.count("part tool: not in the cache; building it ...") == 1


def test_other_pins_are_another_part() -> None:
    assert content(tool("one", pins=("1",))) == "one"
    assert content(tool("two", pins=("2",))) == "two"


def test_a_changed_need_makes_a_part_anew() -> None:
    assert content(tool("one", needs=(Part("go", (), lambda *_: None, "", ("1",)),))) == "one"
    assert content(tool("two", needs=(Part("go", (), lambda *_: None, "", ("2",)),))) == "two"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/tool", "official", id="file"),
        pytest.param("/tool.tar.gz", "packed", id="tar"),
    ],
)
def test_an_official_release_comes_before_a_build(official: str, path: str, expected: str) -> None:
    release = Release(f"{official}{path}", sha256(path))
    assert content(tool(releases=(release,))) == expected


@pytest.mark.parametrize(
    ("path", "checksum", "said"),
    [
        pytest.param("/tool", "0" * 64, "not the pinned one, next way", id="wrong checksum"),
        pytest.param("/gone", "0" * 64, "no official release from", id="not there"),
    ],
)
def test_a_release_that_will_not_do_falls_through_to_the_build(
    official: str, path: str, checksum: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert content(tool(releases=(Release(f"{official}{path}", checksum),))) == "built"
    assert said in capsys.readouterr().out


def test_a_failed_build_leaves_nothing_in_the_cache() -> None:
    def fail(target: Path, needs: Needs) -> None:
        (target / "tool").write_text("half")
        raise LabError("no network")

    with pytest.raises(LabError, match="no network"):
        content(Part("tool", ("tool",), fail, "building it"))
    assert [one.name for one in parts.cache().iterdir() if not one.name.endswith(".lock")] == []
    assert content(tool()) == "built"


def test_what_a_killed_build_left_is_cleared_away() -> None:
    left = parts.cache() / f".tool-{parts.key_of(tool(), {})}-killed"
    left.mkdir(parents=True)
    assert content(tool()) == "built"
    assert not left.exists()


def test_two_callers_make_a_part_once(capsys: pytest.CaptureFixture[str]) -> None:
    made = []

    def make(target: Path, needs: Needs) -> None:
        made.append(target)
        time.sleep(0.2)
        (target / "tool").write_text("built")

    part = Part("tool", ("tool",), make, "building it")
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(content, [part, part])) == ["built", "built"]
    assert len(made) == 1
    assert "waiting for another command of the lab" in capsys.readouterr().out
