"""Data is pinned, looked for offline first, and checked whichever way it came."""

import gzip
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jbench import Pairs, cache, github, hub, local, source
from jbench.cache import cache_root
from jbench.evaluate import evaluate
from jbench.source import Missing
from jbench.task import STS
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
    assert not [p for p in cache_root().rglob("*") if p.is_file() and p.suffix != ".lock"]


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


LOOSE = hub("org/set", "main", "x.jsonl")
A, B = "a" * 40, "b" * 40


def locked():
    return json.loads((cache_root() / "jbench.lock").read_text())


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """The hub client's own cache, offline: ``publish`` puts a commit there and moves main to it."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    home = tmp_path / "hub" / "datasets--org--set"

    def publish(commit, text, path="x.jsonl"):
        place = home / "snapshots" / commit / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        (home / "refs").mkdir(exist_ok=True)
        (home / "refs" / "main").write_text(commit)
        return place

    return publish


def test_a_branch_is_resolved_once_and_kept(hub_cache, no_network):
    hub_cache(A, TEXT)
    with source.recording() as opened:
        assert LOOSE.text() == TEXT
    assert [file.name for file in opened] == [f"hub:org/set@{A[:7]}/x.jsonl"]
    assert locked() == {"hub:org/set@main/x.jsonl": {"revision": A, "sha256": SHA}}
    hub_cache(B, "{}")
    assert LOOSE.text() == TEXT


def test_a_file_in_a_folder_is_resolved_too(hub_cache, no_network):
    hub_cache(A, TEXT, "data/deep/x.jsonl")
    assert hub("org/set", "main", "data/deep/x.jsonl").open().revision == A


def test_a_result_names_the_commit_and_says_that_nobody_pinned_it(hub_cache, tmp_path):
    hub_cache(A, TEXT)

    def load():
        rows = LOOSE.jsonl()
        return Pairs(["雨", "傘", "駅"], ["雨が降る", "犬", "駅前"], [row["a"] for row in rows] + [0.5])

    task = STS(name="x", protocol="y", version=1, license="CC0-1.0", load=load)
    (result,) = evaluate(["ngram"], [task], tmp_path)
    assert result.data["pinned"] is False
    assert result.data["sources"] == [f"hub:org/set@{A[:7]}/x.jsonl"]


@pytest.fixture
def loose_mirror(tmp_path, monkeypatch, no_network):
    """What a mirror holds of ``LOOSE``; ``put`` writes it."""
    monkeypatch.setenv("JBENCH_MIRROR", str(tmp_path))

    def put(text, revision="main"):
        path = tmp_path / "hub" / "org" / "set" / revision / "x.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return put


def test_what_nobody_pinned_is_held_to_what_it_was_first(loose_mirror):
    path = loose_mirror(TEXT)
    assert LOOSE.jsonl() == [{"a": 1}, {"a": 2}]
    assert locked() == {LOOSE.name: {"revision": "main", "sha256": SHA}}
    path.write_text("{}")
    with pytest.raises(Unavailable, match=rf"{path} has sha256 .* but was {SHA[:12]}… when first read; .*jbench\.lock"):
        LOOSE.jsonl()
    (cache_root() / "jbench.lock").unlink()
    assert LOOSE.jsonl() == [{}]


def test_a_commit_without_a_checksum_is_held_too(loose_mirror):
    loose = hub("org/set", A, "x.jsonl")
    path = loose_mirror(TEXT, A)
    loose.path()
    path.write_text("{}")
    with pytest.raises(Unavailable, match="when first read"):
        loose.path()


def test_a_lock_made_from_a_mirror_learns_the_commit_later(loose_mirror, hub_cache, monkeypatch):
    loose_mirror(TEXT)
    LOOSE.path()
    monkeypatch.delenv("JBENCH_MIRROR")
    hub_cache(B, "{}")
    with pytest.raises(Unavailable, match="when first read"):
        LOOSE.path()
    hub_cache(A, TEXT)
    LOOSE.path()
    assert locked()[LOOSE.name] == {"revision": A, "sha256": SHA}


def test_a_mirror_of_the_branch_serves_a_locked_commit_with_the_same_bytes(loose_mirror, hub_cache):
    hub_cache(A, TEXT)
    LOOSE.path()
    loose_mirror(TEXT)
    with source.recording() as opened:
        assert LOOSE.open().revision == A
    assert "/main/" in str(LOOSE.path())
    assert opened[0].revision == A
    assert opened[0].path() == LOOSE.path()
    assert locked().keys() == {LOOSE.name}


def test_a_checksum_on_a_branch_pins_the_bytes_and_the_lock_the_commit(hub_cache):
    hub_cache(A, TEXT)
    pinned = hub("org/set", "main", "x.jsonl", SHA)
    assert pinned.open().revision == A
    assert locked()[pinned.name]["revision"] == A


def test_two_branches_of_one_beginning_are_two_files(loose_mirror):
    for branch in ("release-1", "release-2"):
        loose_mirror(f'{{"from": "{branch}"}}', branch)
    assert [hub("org/set", branch, "x.jsonl").jsonl() for branch in ("release-1", "release-2")] == [
        [{"from": "release-1"}],
        [{"from": "release-2"}],
    ]
    assert locked().keys() == {"hub:org/set@release-1/x.jsonl", "hub:org/set@release-2/x.jsonl"}
    assert hub("org/set", "release-1", "x.jsonl").name == "hub:org/set@release-1/x.jsonl"
    assert hub("org/set", "a/b", "c").origin != hub("org/set", "a", "b/c").origin
    assert hub("org/set", A, "x").origin != hub("org/set", A[:7] + "b" * 33, "x").origin


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
HTML = "<!doctype html>\n<p>Not found\n"
READERS = {
    "json": ("x.json", lambda file: file.json()),
    "jsonl": ("x.jsonl", lambda file: file.jsonl()),
    "tsv": ("x.tsv", lambda file: file.tsv()),
    "run": ("x.lz4", lambda file: file.run()),
    "qrels": ("x.trec", lambda file: file.qrels()),
    "topics": ("x.tsv", lambda file: file.topics()),
    "parquet": ("x.parquet", lambda file: file.parquet("id")),
    "packed": ("x.jsonl.gz", lambda file: file.text()),
}


@pytest.mark.parametrize("reader", [name for name in READERS if name != "tsv"])
@pytest.mark.parametrize("content", [POINTER, HTML], ids=["pointer", "html"])
def test_a_file_that_is_not_what_it_should_be_is_one_line_that_names_it(reader, content, tmp_path):
    name, read = READERS[reader]
    (tmp_path / name).write_text(content)
    with pytest.raises(Unavailable) as caught:
        read(local(tmp_path / name))
    said = str(caught.value)
    assert said.startswith(f"local:{name} cannot be read as ")
    assert said.endswith(f"; it lies at {tmp_path / name}")
    assert ("it is a Git LFS pointer" in said) == (content == POINTER)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("reader", "content", "says"),
    [
        ("json", "[" * 100_000, "RecursionError"),
        ("jsonl", '{"a": 1}\n[1]\n', r"line 2: \[1\] is no object"),
        ("qrels", "q 0 d 1\nq 0 d\n", "line 2 has 3 fields, not 4"),
        ("qrels", "q 0 d x\n", "invalid literal"),
        ("topics", "q\n", "line 1 has 1 fields, not 2"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(reader, content, says, tmp_path):
    name, read = READERS[reader]
    (tmp_path / name).write_text(content)
    with pytest.raises(Unavailable, match=says):
        read(local(tmp_path / name))


def test_a_corrupt_page_of_parquet_is_one_line(tmp_path):
    table = pa.table({"id": [str(i) for i in range(50_000)]})
    pq.write_table(table, tmp_path / "x.parquet", compression="snappy")
    raw = bytearray((tmp_path / "x.parquet").read_bytes())
    raw[200:3000] = b"\xff" * 2800
    (tmp_path / "x.parquet").write_bytes(raw)
    with pytest.raises(Unavailable, match=r"x\.parquet cannot be read as parquet \((OSError|ArrowInvalid): "):
        local(tmp_path / "x.parquet").parquet()


def test_what_nobody_could_read_is_not_locked(loose_mirror):
    path = loose_mirror(HTML)
    with pytest.raises(Unavailable, match=rf"cannot be read as JSON Lines \(.*; it lies at {path}"):
        LOOSE.jsonl()
    assert path.exists()
    assert not (cache_root() / "jbench.lock").exists()
    path.write_text(TEXT)
    assert len(LOOSE.jsonl()) == 2
    path.write_text(HTML)
    with pytest.raises(Unavailable, match="when first read"):
        LOOSE.jsonl()


def test_a_broken_download_is_removed_unless_somebody_read_it_well(server, monkeypatch):
    answers, asked = server
    answers += [200, 200]
    loose = github("owner/name", FILE.revision, "data/x.jsonl")
    with pytest.raises(Unavailable, match=r"cannot be read as JSON \(JSONDecodeError.*; the download is removed$"):
        loose.json()
    assert not list(cache_root().rglob("x.jsonl"))
    assert len(loose.jsonl()) == 2
    with pytest.raises(Unavailable, match=r"cannot be read as JSON .*; it lies at"):
        loose.json()
    assert (len(loose.jsonl()), len(asked)) == (2, 2)


def test_no_memory_is_not_the_files_fault(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(MemoryError), local(tmp_path / "x").reading("x"):
        raise MemoryError


def test_what_is_pinned_or_ones_own_needs_no_lock(tmp_path, monkeypatch, no_network):
    put(tmp_path)
    monkeypatch.setenv("JBENCH_MIRROR", str(tmp_path))
    FILE.path()
    (tmp_path / "x").write_text("a")
    local(tmp_path / "x").path()
    assert not (cache_root() / "jbench.lock").exists()


@pytest.mark.parametrize(
    "torn", ["", "[]", "5", '{"x": {}}', '{"x": "y"}', '{"x": {"revision": 5, "sha256": null}}', "[" * 100_000]
)
def test_a_torn_lock_is_one_line(torn, loose_mirror):
    loose_mirror(TEXT)
    (cache_root() / "jbench.lock").write_text(torn)
    with pytest.raises(Unavailable, match=r"jbench\.lock is not a lock file of jbench's; remove it"):
        LOOSE.path()


def test_two_at_once_lock_both(loose_mirror, tmp_path):
    loose_mirror(TEXT)
    names = [f"{i}.jsonl" for i in range(8)]
    for name in names:
        (tmp_path / "hub" / "org" / "set" / "main" / name).write_text(name)
    threads = [threading.Thread(target=hub("org/set", "main", name).path) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(locked()) == [f"hub:org/set@main/{name}" for name in names]


def test_a_home_that_keeps_no_lock_is_one_line(loose_mirror, tmp_path, monkeypatch):
    loose_mirror(TEXT)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JBENCH_HOME", str(tmp_path / "file"))
    with pytest.raises(Unavailable, match=r"cannot write .*jbench\.lock"):
        LOOSE.path()


def test_a_large_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    hashed = []
    plain = cache.file_sha256
    monkeypatch.setattr(cache, "_LARGE", 8)
    monkeypatch.setattr(cache, "file_sha256", lambda path: hashed.append(path) or plain(path))
    large, small = tmp_path / "large", tmp_path / "small"
    large.write_text(TEXT)
    small.write_text("a")
    for _ in range(3):
        local(large, SHA).path()
        local(small).path()
    assert (hashed.count(large), hashed.count(small)) == (1, 3)
    large.write_text(TEXT + " ")
    with pytest.raises(Unavailable, match=r"has sha256 .*, expected"):
        local(large, SHA).path()
    assert hashed.count(large) == 2


@pytest.mark.parametrize("torn", ["", "[]", "{}"])
def test_a_torn_memory_of_a_hash_is_made_again(torn, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_LARGE", 8)
    (tmp_path / "large").write_text(TEXT)
    assert local(tmp_path / "large").open().sha256 == SHA
    (memory,) = (cache_root() / "fingerprints").iterdir()
    memory.write_text(torn)
    assert local(tmp_path / "large").open().sha256 == SHA
    assert json.loads(memory.read_text())["sha256"] == SHA


def test_a_packed_file_is_unpacked(tmp_path):
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress('{"a": "一\u2028二"}\n'.encode()))
    assert local(tmp_path / "x.jsonl.gz").jsonl() == [{"a": "一\u2028二"}]


def test_parquet_is_read_whole_or_by_columns(tmp_path):
    rows = [{"id": "1", "text": "一", "list": ["a", "b"]}, {"id": "2", "text": "二", "list": []}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    assert local(tmp_path / "x.parquet").parquet() == rows
    assert local(tmp_path / "x.parquet").parquet("text") == [{"text": "一"}, {"text": "二"}]


def test_judgements_and_topics_are_read_as_trec_writes_them(tmp_path):
    (tmp_path / "q").write_text("q1 Q0 d1 1\nq1\tQ0\td2\t0\nq2 Q0 d1 2\n")
    (tmp_path / "t").write_text("q1\t雨は いつ\u2028止むか\n")
    assert local(tmp_path / "q").qrels() == {"q1": {"d1": 1, "d2": 0}, "q2": {"d1": 2}}
    assert local(tmp_path / "t").topics() == {"q1": "雨は いつ\u2028止むか"}


def test_what_is_nowhere_is_told_apart_from_what_is_wrong(tmp_path, monkeypatch, no_network):
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    with pytest.raises(Missing, match=r"hub:org/set@main/x\.jsonl is not at hand and the network is off; put it at"):
        LOOSE.path()
    with pytest.raises(Missing):
        FILE.path()
    put(tmp_path, "tampered")
    monkeypatch.setenv("JBENCH_MIRROR", str(tmp_path))
    with pytest.raises(Unavailable) as caught:
        FILE.path()
    assert not isinstance(caught.value, Missing)


@pytest.mark.parametrize(
    ("text", "read", "says"),
    [
        ("q1 0 d1 1\nq1 0 d2 1\nq1 0 d1 0\n", "qrels", "document 'd1' for query 'q1' is given twice, in lines 1 and 3"),
        ("q1\ta\n\nq1\tb\n", "topics", "query 'q1' is given twice, in lines 1 and 3"),
        ('{"d1": "a", "d1": "b"}', "json", "'d1' is given twice in one object"),
        ('{"q1": {"d1": 1, "d1": 0}}', "json", "'d1' is given twice in one object"),
    ],
)
def test_what_is_given_twice_is_an_error_that_says_where(text, read, says, tmp_path):
    (tmp_path / "f").write_text(text)
    with pytest.raises(Unavailable, match=re.escape(says)):
        getattr(local(tmp_path / "f"), read)()


def test_equal_texts_under_two_ids_are_two_queries(tmp_path):
    (tmp_path / "t").write_text("q1\ta\nq2\ta\n")
    assert local(tmp_path / "t").topics() == {"q1": "a", "q2": "a"}


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_that_are_not_there_are_one_line(name, tmp_path, monkeypatch):
    monkeypatch.setenv("JBENCH_HOME", str(tmp_path))
    monkeypatch.delenv("JBENCH_MIRROR", raising=False)
    for other in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "/nowhere.pem")
    with pytest.raises(Missing, match=r"could not be downloaded \(.*invalid path: /nowhere\.pem\)"):
        github("o/n", "a" * 40, "x.txt").path()
