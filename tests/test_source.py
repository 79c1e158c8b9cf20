"""Data is pinned, looked for offline first, and checked whichever way it came."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from jbench import github, hub, local, source
from jbench.types import Unavailable

TEXT = '{"a": 1}\n\n{"a": 2}\n'
SHA = hashlib.sha256(TEXT.encode()).hexdigest()
FILE = github("owner/name", "0123456789abcdef" * 2 + "01234567", "data/x.jsonl", SHA)
PLACE = "github/owner/name/0123456789abcdef0123456789abcdef01234567/data/x.jsonl"


def put(root, text=TEXT):
    path = root / PLACE
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


@pytest.fixture
def server(monkeypatch):
    """A server on this machine in the place of the public one; ``answers`` are its status codes."""
    answers, asked = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            status = answers.pop(0)
            self.send_response(abs(status))
            self.send_header("Content-Length", str(len(TEXT)))
            self.end_headers()
            # A negative status breaks off in the middle of the body.
            self.wfile.write(
                TEXT.encode()[:5] if status < 0 else TEXT.encode() if status == 200 else b"busy".ljust(len(TEXT))
            )

        def log_message(self, *args):
            pass

    running = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    monkeypatch.setattr(source, "_RAW", f"http://127.0.0.1:{running.server_port}/{{repo}}/{{revision}}/{{path}}")
    monkeypatch.setattr(source.time, "sleep", lambda seconds: None)
    yield answers, asked
    running.shutdown()
    running.server_close()


def test_the_mirror_is_looked_in_first(tmp_path, monkeypatch, no_network):
    put(tmp_path)
    monkeypatch.setenv("JBENCH_MIRROR", str(tmp_path))
    assert FILE.jsonl() == [{"a": 1}, {"a": 2}]
    assert FILE.name == "github:owner/name@0123456/data/x.jsonl"


def test_a_checksum_that_differs_names_the_file_and_both_sums(tmp_path, monkeypatch, no_network):
    path = put(tmp_path, "tampered")
    monkeypatch.setenv("JBENCH_MIRROR", str(tmp_path))
    with pytest.raises(Unavailable, match=rf"{path} has sha256 .*, expected {SHA[:12]}"):
        FILE.path()


def test_offline_opens_no_socket_and_says_how_to_get_the_file(monkeypatch, no_network):
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    with pytest.raises(Unavailable, match=rf"get https://.*x\.jsonl and put it at \$JBENCH_MIRROR/{PLACE}"):
        FILE.path()


def test_a_download_is_retried_checked_and_kept(server):
    answers, asked = server
    answers += [504, 504, 200]
    assert FILE.text() == TEXT
    assert FILE.text() == TEXT
    assert len(asked) == 3


def test_a_download_that_breaks_off_is_begun_again(server):
    answers, asked = server
    answers += [-200, 200]
    assert FILE.text() == TEXT
    assert len(asked) == 2


def test_a_missing_file_is_not_asked_for_again(server):
    answers, asked = server
    answers += [404]
    with pytest.raises(Unavailable, match=r"could not be downloaded \(HTTPError\)"):
        FILE.path()
    assert len(asked) == 1


def test_a_download_with_another_checksum_leaves_nothing(server, tmp_path):
    answers, _ = server
    answers += [200]
    other = github("owner/name", FILE.revision, "data/y.jsonl", "0" * 64)
    with pytest.raises(Unavailable, match="the download has sha256"):
        other.path()
    assert not [p for p in source.cache_root().rglob("*") if p.is_file() and p.suffix != ".lock"]


def test_a_hub_file_is_found_in_the_mirror(tmp_path, monkeypatch, no_network):
    path = tmp_path / "hub/org/set/abc/q.tsv"
    path.parent.mkdir(parents=True)
    path.write_text('id\ttext\n1\tsay "hi\n')
    monkeypatch.setenv("JBENCH_MIRROR", str(tmp_path))
    assert hub("org/set", "abc", "q.tsv").tsv() == [{"id": "1", "text": 'say "hi'}]


def test_a_hub_file_that_is_nowhere_is_one_line(no_network):
    with pytest.raises(Unavailable, match=r"hub:org/set@abc/q\.tsv could not be had .*put it at \$JBENCH_MIRROR/hub/"):
        hub("org/set", "abc", "q.tsv").path()


def test_a_local_file_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(Unavailable, match=r"x\.json does not exist"):
        local(tmp_path / "x.json").path()


def test_a_line_break_of_unicode_is_no_new_row(tmp_path):
    (tmp_path / "x.tsv").write_text("id\ttext\n1\ta\u2028b\x85c\x0bd\n2\te\n", encoding="utf-8")
    assert [row["text"] for row in local(tmp_path / "x.tsv").tsv()] == ["a\u2028b\x85c\x0bd", "e"]


@pytest.mark.parametrize("row", ["2", "2\tb\tc"])
def test_a_ragged_row_is_named(row, tmp_path):
    (tmp_path / "x.tsv").write_text(f"id\ttext\n1\ta\n{row}\n")
    with pytest.raises(Unavailable, match="row 3 has not the 2 fields of its head"):
        local(tmp_path / "x.tsv").tsv()


def test_a_hub_file_in_the_hubs_own_cache_is_found_offline(tmp_path, monkeypatch, no_network):
    import huggingface_hub.constants

    place = tmp_path / "datasets--org--set" / "snapshots" / ("a" * 40)
    place.mkdir(parents=True)
    (place / "q.jsonl").write_text(TEXT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    assert hub("org/set", "a" * 40, "q.jsonl", SHA).text() == TEXT


def test_a_home_that_cannot_be_used_is_one_line(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JBENCH_HOME", str(tmp_path / "file"))
    with pytest.raises(Unavailable, match="cannot write"):
        FILE.path()


def test_a_connection_that_fails_is_tried_again(monkeypatch):
    import requests

    tries = []

    def refuse(*args, **kwargs):
        tries.append(1)
        raise requests.ConnectionError("refused")

    monkeypatch.setattr(requests, "get", refuse)
    monkeypatch.setattr(source.time, "sleep", lambda seconds: None)
    with pytest.raises(Unavailable, match=r"could not be downloaded \(ConnectionError\); get https"):
        FILE.path()
    assert len(tries) == 3


def test_what_is_opened_is_recorded_once(tmp_path):
    (tmp_path / "x").write_text("a")
    file = local(tmp_path / "x")
    with source.recording() as opened:
        file.text()
        file.path()
    file.path()
    assert opened == [file]
