"""A file appears whole or not at all, under a name that stays inside."""

import errno
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jbench.files import below, locked, ready, safe_name, write, writing, writing_folder
from jbench.types import Unavailable


def test_a_file_is_replaced_in_one_step(tmp_path):
    write(tmp_path / "a" / "x.json", "古い")
    write(tmp_path / "a" / "x.json", "新しい")
    assert (tmp_path / "a" / "x.json").read_text() == "新しい"
    assert os.listdir(tmp_path / "a") == ["x.json"]


def test_a_failure_while_writing_leaves_the_old_file_and_no_other(tmp_path):
    write(tmp_path / "x", "old")
    with pytest.raises(ZeroDivisionError), writing(tmp_path / "x") as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert (tmp_path / "x").read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path):
    program = f"""
        import resource, signal
        from pathlib import Path
        from jbench.files import write
        from jbench.types import Unavailable
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        path = Path({str(tmp_path / "x")!r})
        write(path, "old")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write(path, b"n" * 100000)
        except Unavailable as error:
            print(error)
    """
    out = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert out.stdout.startswith(f"cannot write {tmp_path / 'x'}: ")
    assert (tmp_path / "x").read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    write(tmp_path / "file", "")
    with pytest.raises(Unavailable, match="cannot write"):
        write(tmp_path / "file" / "x", "")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("cl-nagoya/ruri-small", "cl-nagoya%2Fruri-small"),
        ("jsts@valid1457", "jsts@valid1457"),
        ("..", "%2E."),
        ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
        ("NUL", "%4EUL"),
        ("a:b", "a%3Ab"),
        ("日本", "%E6%97%A5%E6%9C%AC"),
    ],
)
def test_names_are_encoded(name, safe):
    assert safe_name(name) == safe


@given(st.text(max_size=400), st.text(max_size=400))
def test_names_are_injective_and_stay_inside(a, b):
    assert (safe_name(a) == safe_name(b)) == (a == b)
    for name in (safe_name(a), safe_name(b)):
        assert 0 < len(name) <= 200
        assert not set(name) & set('/\\:*?"<>|\0')
        assert name[0] != "."


def test_a_link_is_followed_and_a_device_stays_a_device(tmp_path):
    write(tmp_path / "target", "old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write(tmp_path / "pipe", "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_what_a_dead_process_began_is_removed_under_the_lock(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    folder = tmp_path / f".x.{dead.pid}.0123abcd.tmp"
    folder.mkdir()
    (folder / "y").write_text("half")
    (tmp_path / f".x.{os.getpid()}.0123abcd.tmp").write_text("half")  # the number of one that died is given again
    others = {".x.1.0123abcd.tmp", f".x.y.{dead.pid}.0123abcd.tmp", f".x.{dead.pid}.tmp", "x.tmp"}
    for name in others:
        (tmp_path / name).write_text("")
    with locked(tmp_path / "x"):
        assert set(os.listdir(tmp_path)) - {"x.lock"} == others


def test_the_lock_is_one_processes_at_a_time_and_makes_its_folder(tmp_path):
    program = """
        import sys
        from pathlib import Path
        from jbench.files import locked
        with locked(Path(sys.argv[1])):
            print(1)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "a" / "x")]
    with locked(tmp_path / "a" / "x"):
        other = subprocess.Popen(command, stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1)
    assert other.communicate()[0] == b"1\n"


def test_a_name_that_the_disk_refuses_is_one_line(tmp_path):
    path = tmp_path / ("x" * 300) / "y"
    with pytest.raises(Unavailable, match=r"^cannot write .*/y: File name too long$"):
        write(path, "x")
    assert os.listdir(tmp_path) == []


def test_a_place_that_may_not_be_looked_into_is_not_ready(tmp_path, monkeypatch):
    ready(tmp_path / "new" / "x")
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.X_OK)
    with pytest.raises(Unavailable, match=f"^cannot write {tmp_path}/new/x: {tmp_path} is read-only$"):
        ready(tmp_path / "new" / "x")


def test_files_are_found_at_their_depth_in_order_and_what_cannot_be_read_is_named(tmp_path):
    for name in ("b/2.csv", "b/1.csv", "a/3.csv", "a/x.txt", "a/deeper/4.csv", "5.csv"):
        write(tmp_path / name, "")
    (tmp_path / "a" / "missing.csv").symlink_to("nothing")  # its reader says so
    (tmp_path / "c\nd").symlink_to("c\nd")
    os.mkfifo(tmp_path / "a" / "pipe.csv")
    said = []
    found = [str(path.relative_to(tmp_path)) for path in below(tmp_path, 1, ".csv", said.append)]
    assert found == ["a/3.csv", "a/missing.csv", "b/1.csv", "b/2.csv"]
    assert said == [
        f"cannot read {tmp_path}/a/pipe.csv: it is no regular file",
        f"cannot read {tmp_path}/c d: Too many levels of symbolic links",
    ]
    assert list(below(tmp_path / "nowhere", 0, ".csv", said.append)) == []
    assert len(said) == 2


def test_a_folder_is_not_written_to(tmp_path):
    with pytest.raises(Unavailable, match="it is a folder"):
        write(tmp_path, "x")


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with writing_folder(tmp_path / "new" / "made") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "x").write_text("a")
        assert not (tmp_path / "new" / "made").exists()
    assert (tmp_path / "new" / "made" / "deep" / "x").read_text() == "a"
    with pytest.raises(ZeroDivisionError), writing_folder(tmp_path / "new" / "other") as folder:
        (folder / "x").write_text("half")
        raise ZeroDivisionError
    with (
        pytest.raises(Unavailable, match=r"^cannot write .*made: "),
        writing_folder(tmp_path / "new" / "made") as folder,
    ):
        (folder / "y").write_text("b")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["made"]
    assert not (tmp_path / "new" / "made" / "y").exists()


@pytest.mark.parametrize("error", ["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EBADF", "EACCES", "EPERM"])
def test_a_file_system_that_cannot_fsync_a_folder_has_written_the_file(error, tmp_path, monkeypatch):
    _folders_answer(monkeypatch, getattr(errno, error))
    write(tmp_path / "a", "text")
    assert (tmp_path / "a").read_text() == "text"


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_a_disk_that_fails_on_a_folder_is_a_failed_write(error, tmp_path, monkeypatch):
    _folders_answer(monkeypatch, getattr(errno, error))
    with pytest.raises(Unavailable, match="cannot write"):
        write(tmp_path / "a", "text")


def _folders_answer(monkeypatch, code):
    plain = os.fsync

    def fsync(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(code, os.strerror(code))
        plain(handle)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("name", ["あ" * 78 + ".md", "é" * 120, "x" * 250])
def test_a_name_that_the_disk_takes_is_written_whatever_its_letters(name, tmp_path):
    write(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_root_of_the_disk_is_a_folder():
    with pytest.raises(Unavailable, match="cannot write /: it is a folder"):
        write(Path("/"), "text")
