"""Rows on disk read as lists of strings would, and are never held."""

import gzip
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jbench import Collection, Texts, arrow, hub, local, rows
from jbench.cache import cache_root
from jbench.types import Unavailable, UsageError

DEAD = 2**31 - 1
"""A number that no process has."""

ODD = [
    {"id": "1#0", "title": "2020-01-01", "text": "a\u2028b\u2029c\x85d\x0be\x0cf"},
    {"id": "1#1", "title": "2020-01-02 10:00:00", "text": "行\r\n替え\n\tと\x00 😀"},
    {"id": "1#2", "title": "", "text": "1e5"},
    {"id": "1#3", "title": "true", "text": "  端の空白  ", "more": [1]},
]


def jsonl(path, table, start=""):
    text = start + "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in table)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return local(path)


def held(table, *columns):
    return [{name: table.column(name)[i] for name in columns} for i in range(len(table))]


def numbered(count, start=0):
    return [{"id": f"d{i}", "title": f"題{i}", "text": f"本文{i % 7}"} for i in range(start, start + count)]


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n"])
def test_json_lines_come_back_as_they_were_written(name, start, tmp_path):
    table = rows([jsonl(tmp_path / name, ODD, start)], "id", "title", "text")
    assert held(table, "id", "title", "text") == [{k: row[k] for k in ("id", "title", "text")} for row in ODD]


def test_the_json_reader_of_datasets_would_change_a_title(tmp_path):
    """Why JSON Lines are read here: if this fails, theirs may be used."""
    import datasets

    jsonl(tmp_path / "x.jsonl", ODD[:2])
    features = datasets.Features(dict.fromkeys(("id", "title", "text"), datasets.Value("string")))
    theirs = datasets.load_dataset(
        "json",
        data_files=[str(tmp_path / "x.jsonl")],
        split="train",
        cache_dir=str(tmp_path / "cache"),
        features=features,
    )
    assert theirs["title"][0] != "2020-01-01"


def test_a_null_is_an_empty_text_and_a_whole_number_its_digits(tmp_path):
    table = [{"id": 7, "text": None}, {"id": 8, "text": "a"}]
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "x.parquet")
    for file in (jsonl(tmp_path / "x.jsonl", table), local(tmp_path / "x.parquet")):
        assert held(rows([file], "id", "text"), "id", "text") == [{"id": "7", "text": ""}, {"id": "8", "text": "a"}]


def test_files_of_both_kinds_follow_one_another(tmp_path):
    table = numbered(10000)
    pq.write_table(pa.Table.from_pylist(table[5000:]), tmp_path / "x.parquet")
    found = rows([jsonl(tmp_path / "x.jsonl.gz", table[:5000]), local(tmp_path / "x.parquet")], "id", "text")
    assert list(found.column("id")) == [row["id"] for row in table]
    assert list(found.column("text")) == [row["text"] for row in table]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Ten thousand rows, in three batches, with the list that they equal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        file = jsonl(tmp_path_factory.mktemp("many") / "x.jsonl", numbered(10000))
        yield rows([file], "id", "title", "text"), numbered(10000)


PLACES = [0, 1, 4095, 4096, 8191, 8192, 9999, -1, -10000, np.int64(5000)]
SLICES = [slice(None), slice(4090, 4100), slice(-5, None), slice(10, 2), slice(None, None, -1), slice(0, 9000, 999)]


def same(column, texts):
    assert len(column) == len(texts)
    assert list(column) == texts
    for place in PLACES:
        if -len(texts) <= place < len(texts):
            assert column[place] == texts[place]
    for part in SLICES:
        assert column[part] == texts[part]
    for place in (len(texts), -len(texts) - 1):
        with pytest.raises(IndexError):
            column[place]


def test_a_column_reads_as_a_list_does(many):
    table, expected = many
    same(table.column("text"), [row["text"] for row in expected])
    same(table.column("title", "text"), [f"{row['title']} {row['text']}" for row in expected])
    same(table.column("id", "text", join=":".join), [f"{row['id']}:{row['text']}" for row in expected])


def test_a_selection_reads_as_a_list_does(many):
    table, expected = many
    places = [9999, 0, 4096, 4096, *range(100, 6000)]
    joined = [f"{expected[i]['title']} {expected[i]['text']}" for i in places]
    chosen = table.column("title", "text").select(places)
    same(chosen, joined)
    same(chosen.select([5, 2, 0]), [joined[5], joined[2], joined[0]])
    same(table.column("id").select([]), [])


def test_rows_are_found_by_value_in_the_order_asked_for(many):
    table, _ = many
    assert list(table.find("id", ["d9999", "d0", "d4096", "d0"]).items()) == [
        ("d9999", 9999),
        ("d0", 0),
        ("d4096", 4096),
    ]
    assert table.find("text", ["本文3"]) == {"本文3": 3}
    assert table.find("id", []) == {}
    with pytest.raises(Unavailable, match=r"x\.jsonl has no row whose id is 'd10000'"):
        table.find("id", ["d1", "d10000"])


def test_of_one_text_the_first_row_is_kept(many):
    table, _ = many
    documents, kept = table.distinct("id", "text", [9, 3, 2, 16, 9, 3])
    assert list(documents.ids) == ["d9", "d3"]
    assert list(documents.texts) == ["本文2", "本文3"]
    assert kept == {"d9": "d9", "d3": "d3", "d2": "d9", "d16": "d9"}


def test_a_table_is_made_once_for_the_same_bytes_and_columns(tmp_path, monkeypatch):
    made = []
    write = arrow._write
    monkeypatch.setattr(arrow, "_write", lambda *arguments: made.append(1) or write(*arguments))
    one = jsonl(tmp_path / "x.jsonl", numbered(3))
    for _ in range(2):
        rows([one], "id", "text")
        rows([jsonl(tmp_path / "copy.jsonl", numbered(3))], "id", "text")
    assert len(made) == 1
    rows([one], "text", "id")
    rows([jsonl(tmp_path / "x.jsonl", numbered(4))], "id", "text")
    assert len(made) == 3
    assert {p.suffix for p in (cache_root() / "arrow").iterdir()} == {".arrow", ".lock", ".sha256"}


@pytest.mark.parametrize(
    ("name", "raw", "says"),
    [
        ("x.jsonl", b'{"id": "1", "text": "a"}\n{"id": ', "line 2, character 8: unexpected end of data"),
        ("x.jsonl", b'{"id": "1"}\n', "a row has no text, but id"),
        ("x.jsonl", b'{"id": "1", "text": 0.5}\n', "TypeError: '0.5' is a float, not a string"),
        ("x.jsonl", b'{"id": "1", "text": true}\n', "'True' is a bool"),
        ("x.jsonl", b'["id", "text"]\n', "TypeError"),
        ("x.jsonl", b'{"id": "1", "text": "\xff"}\n', "line 1, character 1: str is not valid UTF-8"),
        ("x.jsonl.gz", b"no gzip", "BadGzipFile"),
        ("x.jsonl.gz", gzip.compress(b'{"id": "1", "text": "a"}\n' * 99, mtime=0)[:-9], "EOFError"),
        ("x.parquet", b"no parquet", "ArrowInvalid"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_one_line_and_leaves_nothing(name, raw, says, tmp_path):
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(Unavailable, match=rf"{name} cannot be read as rows of id, text \(.*{says}") as caught:
        rows([local(tmp_path / name)], "id", "text")
    assert "\n" not in str(caught.value)
    assert not list((cache_root() / "arrow").glob("*.arrow"))


NO_TEXTS = {"list": ["x"], "float": 1.5, "bool": True, "bytes": b"x"}


@pytest.mark.parametrize("kind", NO_TEXTS)
def test_both_kinds_of_file_refuse_what_is_no_text(kind, tmp_path):
    row = {"id": "1", "text": NO_TEXTS[kind]}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "x.parquet")
    with pytest.raises(Unavailable, match=r"x\.parquet cannot be read .* \(TypeError: column 'text' is of "):
        rows([local(tmp_path / "x.parquet")], "id", "text")
    if kind != "bytes":
        with pytest.raises(Unavailable, match=r"is a (list|float|bool), not a string"):
            rows([jsonl(tmp_path / "x.jsonl", [row])], "id", "text")


def test_strings_of_any_arrow_type_are_texts(tmp_path):
    ids = pa.array(["a", None, "a"])
    for i, column in enumerate((ids.cast(pa.large_string()), ids.dictionary_encode(), pa.nulls(3))):
        pq.write_table(pa.table({"id": column}), tmp_path / f"{i}.parquet")
        assert list(rows([local(tmp_path / f"{i}.parquet")], "id").column("id")) == (
            ["a", "", "a"] if i < 2 else [""] * 3
        )


def test_a_corrupt_page_is_one_line(tmp_path):
    pq.write_table(pa.table({"id": [str(i) for i in range(50_000)]}), tmp_path / "x.parquet")
    raw = bytearray((tmp_path / "x.parquet").read_bytes())
    raw[200:3000] = b"\xff" * 2800
    (tmp_path / "x.parquet").write_bytes(raw)
    with pytest.raises(Unavailable, match=r"x\.parquet cannot be read as rows of id \("):
        rows([local(tmp_path / "x.parquet")], "id")
    assert not list((cache_root() / "arrow").glob("*.arrow"))


def test_a_parquet_file_without_the_column_is_named(tmp_path):
    pq.write_table(pa.Table.from_pylist([{"id": "1"}]), tmp_path / "x.parquet")
    with pytest.raises(Unavailable, match="cannot be read as rows of id, text"):
        rows([local(tmp_path / "x.parquet")], "id", "text")


def damaged(raw):
    """As a crash, a full disk or a bad one leave a table; the first reads as fewer rows."""
    altered = bytearray(raw)
    place = raw.find("本文3".encode())
    altered[place : place + 3] = "字".encode()
    boundary = raw.rfind(b"\xff\xff\xff\xff", 0, len(raw) - 8)
    return [raw[:boundary], raw[: len(raw) // 2], raw[:4], b"", b"torn", bytes(altered)]


@pytest.mark.parametrize("damage", range(6))
def test_a_table_that_is_not_as_it_was_written_is_made_again(damage, tmp_path):
    file = jsonl(tmp_path / "x.jsonl", numbered(10_000))
    rows([file], "id", "text")
    (table,) = (cache_root() / "arrow").glob("*.arrow")
    raw = table.read_bytes()
    table.unlink()  # it may be mapped
    table.write_bytes(damaged(raw)[damage])
    again = rows([file], "id", "text")
    assert list(again.column("text")) == [row["text"] for row in numbered(10_000)]
    assert table.read_bytes() == raw


def test_a_table_that_was_killed_before_its_checksum_is_made_again(tmp_path, monkeypatch):
    file = jsonl(tmp_path / "x.jsonl", numbered(3))
    rows([file], "id")
    (checksum,) = (cache_root() / "arrow").glob("*.sha256")
    checksum.unlink()
    left = checksum.with_name(f".{checksum.stem}.arrow.{DEAD}.0123abcd.tmp")
    left.write_text("half")
    assert len(rows([file], "id")) == 3
    assert checksum.exists()
    assert not left.exists()


def test_a_home_that_is_prepared_and_read_only_will_do(tmp_path, monkeypatch):
    place = tmp_path / "hub" / "org" / "set" / "main"
    place.mkdir(parents=True)
    monkeypatch.setenv("JBENCH_MIRROR", str(tmp_path))
    jsonl(place / "x.jsonl", numbered(3))
    file = hub("org/set", "main", "x.jsonl")
    rows([file], "id")

    def refuse(*arguments, **named):
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as read_only:
        for name in ("mkdir", "touch", "write_text"):
            read_only.setattr(Path, name, refuse)
        read_only.setattr("filelock.FileLock.acquire", refuse)
        read_only.setattr("jbench.files.os.replace", refuse)
        assert len(rows([file], "id")) == 3
        with pytest.raises(Unavailable, match=r"^cannot write .*\.arrow: Read-only file system$"):
            rows([file], "text")


@pytest.mark.parametrize(("files", "columns"), [(0, ["id"]), (1, []), (1, ["id", "id"])])
def test_rows_of_nothing_are_refused(files, columns, tmp_path):
    with pytest.raises(UsageError, match="give one or more of each, none twice"):
        rows([local(tmp_path / "x.jsonl")] * files, *columns)


def test_a_disk_that_refuses_the_table_is_not_the_files_fault(tmp_path):
    program = """
        import resource, signal, sys
        from jbench import local, rows
        from jbench.types import Unavailable
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            rows([local(sys.argv[1])], "id", "text")
        except Unavailable as error:
            print(error)
    """
    jsonl(tmp_path / "x.jsonl", numbered(9000))
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "x.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cannot write ")
    assert done.stdout.endswith(".arrow: File too large\n")


def test_a_collection_on_disk_is_checked_and_known_as_one_in_memory(many):
    table, expected = many
    qrels = {"q": {"d0": 1, "d9999": 0}}
    asked = Texts(["q"], ["問"])
    documents = Texts(table.column("id"), table.column("title", "text"))
    disk = Collection(asked, documents, qrels)
    memory = Collection(asked, Texts(list(documents.ids), list(documents.texts)), qrels)
    assert (disk.sha256, disk.counts) == (memory.sha256, memory.counts)
    with pytest.raises(UsageError, match="judged on document 'x'"):
        Collection(asked, documents, {"q": {"d0": 1, "x": 1}})
    with pytest.raises(UsageError, match="duplicate document '本文"):
        Collection(asked, Texts(table.column("text"), documents.texts), qrels)
    assert expected[0]["title"] == "題0"


def test_a_table_is_mapped_from_disk_not_read(many):
    from datasets.table import MemoryMappedTable

    table, _ = many
    assert isinstance(table.table, MemoryMappedTable)
    assert table.table.path.endswith(".arrow")


@pytest.mark.long
def test_two_hundred_thousand_passages_are_loaded_without_holding_them(tmp_path):
    """Python's and Arrow's allocations, from the packed file to the checked and hashed collection."""
    text = "日本語の本文です。" * 20
    with gzip.open(tmp_path / "x.jsonl.gz", "wb", compresslevel=1) as file:
        for i in range(200_000):
            file.write(b'{"docid": "%d", "title": "t%d", "text": "%b%d"}\n' % (i, i, text.encode(), i))
    program = """
        import sys, tracemalloc
        import pyarrow as pa, datasets, orjson, filelock, numpy
        from jbench import Collection, Texts, local, rows
        tracemalloc.start()
        table = rows([local(sys.argv[1])], "docid", "title", "text")
        documents = Texts(table.column("docid"), table.column("title", "text"))
        data = Collection(Texts(["q"], ["問"]), documents, {"q": {"199999": 1}})
        data.sha256
        assert data.counts["documents"] == 200_000
        assert table.find("docid", ["123456"]) == {"123456": 123456}
        print(tracemalloc.get_traced_memory()[1] + pa.default_memory_pool().max_memory())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "x.jsonl.gz")],
        capture_output=True,
        text=True,
        check=True,
    )
    whole = 200_000 * len(text.encode())
    print(f"{int(done.stdout) / 1e6:.0f} MB of {whole / 1e6:.0f}")
    assert int(done.stdout) < whole / 3
