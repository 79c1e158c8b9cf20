"""Synthesis against a small server on this machine: what is asked, what is kept, what is never asked twice."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from jbench.cli import app
from jbench.train.data import open_set
from jbench.train.data.files import PROVENANCE
from jbench.train.synth.endpoint import Endpoint, Request, ask, journal
from jbench.train.synth.kinds import AUTOWIKINLI, AUTOWIKIQA, RULES, fault, parsed, score
from jbench.train.synth.pipeline import Plan, passages, synthesise, typed
from jbench.types import Unavailable, UsageError, silent

pytest.importorskip("openai")

SNOW, SEA, RICE = "雪は白く、冬に降る。", "海は青く、塩の味がする。", "米は$text円で、水田で育つ。"
TEXTS = [SNOW, SEA, RICE]


def qa(question, answer="白"):
    return json.dumps({"question": question, "answer": answer}, ensure_ascii=False)


def asked_of(prompt):
    """The text that a prompt of AutoWikiQA holds."""
    return prompt.split("文章:\n")[1].split("\n\n質問:")[0]


def about(prompt):
    return qa(f"次のうち「{asked_of(prompt)}」とは何のことですか?")


@contextmanager
def serving(answer):
    """A server of chat completions; ``answer`` makes of a prompt its content, or (status, body, headers)."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers.get("Authorization"), body))
            said = answer(body["messages"][0]["content"])
            status, content, headers = said if isinstance(said, tuple) else (200, reply(said), {})
            kind = {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}
            self.send_response(status)
            for name, value in kind.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads, request_queue_size = True, 64

        def handle_error(self, request, address):
            """A client that was killed is no error."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def reply(text):
    return json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}).encode()


def error(status, message, **headers):
    return status, json.dumps({"error": {"message": message}}).encode(), headers


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "passages.txt"
    path.write_text("".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
    return f"text:{path}"


def run(url, data, output, kind=AUTOWIKIQA, model="m", key="", retries=3, concurrency=4, say=lambda said: None, **plan):
    place = Endpoint(url, key, concurrency, retries)
    return synthesise(kind, open_set(data), Plan(model, **plan), place, output, say, silent)


def rows_of(path):
    return [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]


def prompts(asked):
    return [body["messages"][0]["content"] for _, _, body in asked]


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_questions_are_written_of_passages_and_read_as_training_data_that_tells_its_origin(ending, texts, tmp_path):
    out = tmp_path / f"qa{ending}"
    with serving(about) as (url, asked):
        counts = run(url, texts, out, settings={"temperature": 0.7})
    assert counts == {"texts": 3, **dict.fromkeys(RULES, 0), "kept": 3}
    assert sorted(map(asked_of, prompts(asked))) == sorted(TEXTS)
    path, authorization, body = asked[0]
    assert (path, authorization) == ("/v1/chat/completions", None)
    assert body.keys() == {"model", "messages", "temperature"}
    found = open_set(str(out))
    assert (found.name, found.sources) == ("passages", ("local:passages.txt", f"local:qa{ending}"))
    assert found.revision == open_set(texts).revision
    assert found.rows.to_list() == [
        {"query": f"次のうち「{text}」とは何のことですか?", "positive": text} for text in TEXTS
    ]


def test_of_a_premise_the_contradiction_is_written_first(texts, tmp_path):
    def both(prompt):
        assert prompt.index("矛盾") < prompt.index("含意")
        premise = prompt.split("前提:\n")[1]
        pair = {"contradiction": f"いいえ、{premise}", "entailment": f"はい、{premise}"}
        if premise == SEA:
            pair = dict(reversed(pair.items()))
        return json.dumps(pair)

    out = tmp_path / "nli.jsonl"
    with serving(both) as (url, _):
        counts = run(url, texts, out, AUTOWIKINLI)
    assert (counts["unreadable"], counts["kept"]) == (1, 2)
    assert open_set(str(out)).rows.to_list() == [
        {"anchor": text, "positive": f"はい、{text}", "negative_1": f"いいえ、{text}"} for text in (SNOW, RICE)
    ]


ANSWERS = [
    ('{"question": "問い", "answer": "答え"}', {"question": "問い", "answer": "答え"}),
    (' \n{"question": " 問い ", "answer": "答え"}\n', {"question": "問い", "answer": "答え"}),
    ('```json\n{"question": "問い", "answer": "答え"}\n```', {"question": "問い", "answer": "答え"}),
    ('```\n{"question": "問い", "answer": "答え"}\n```', {"question": "問い", "answer": "答え"}),
    ('はい。{"question": "問い", "answer": "答え"}', None),
    ('{"answer": "答え", "question": "問い"}', None),
    ('{"question": "問い"}', None),
    ('{"question": "問い", "answer": "答え", "note": "注"}', None),
    ('{"question": "問い", "answer": 3}', None),
    ('{"question": "問い", "answer": " "}', None),
    ('{"question": "問い", "ans', None),
    ('{"question": "\\ud800", "answer": "答え"}', None),
    ('["question", "answer"]', None),
    ("[" * 100_000, None),
    ("", None),
]


@pytest.mark.parametrize(("answer", "found"), ANSWERS)
def test_an_answer_is_the_json_that_was_asked_for_or_nothing(answer, found):
    assert parsed(answer, ("question", "answer")) == found


SCORED = [('{"score": 7}', 7), ('```json\n{"score": 10}\n```', 10), ('{"score": 0}', None), ('{"score": 11}', None)]
SCORED += [('{"score": "7"}', None), ('{"score": true}', None), ('{"score": 7.5}', None), ("7", None), ("", None)]


@pytest.mark.parametrize(("answer", "found"), SCORED)
def test_a_score_is_a_whole_number_from_1_to_10(answer, found):
    assert score(answer) == found


FAULTS = [
    (["雪の色は何か"], ""),
    (["雪の色は"], "length"),
    (["雪は" + "何" * 199], "length"),
    (["雪的颜色是什么？"], "no kana"),
    (["What is white?"], "no kana"),
    (["「冬に、降る」。"], "copied"),
    (["海は何色か?"], "duplicate"),
    (["海は、何色か"], "duplicate"),
    (["雪の色は何か", "雪の色は、何か"], "duplicate"),
]


@pytest.mark.parametrize(("made", "broken"), FAULTS)
def test_rules_name_what_is_wrong_with_what_was_written(made, broken):
    seen = set()
    assert fault(SEA, ["海は何色か"], seen) == ""
    assert fault(SNOW, made, seen) == broken
    assert fault(SNOW, ["雪の色は何か"], seen) == ("" if broken else "duplicate")  # what is dropped is not seen


def test_what_is_kept_out_is_counted_by_its_reason_and_makes_no_row(tmp_path):
    said = {
        "一つ目の文。": qa("一つ目はどんな文か"),
        "二つ目の文。": "申し訳ありません。",
        "三つ目の文。": qa("何?"),
        "四つ目の文。": qa("一つ目は、どんな文か?"),
        "五つ目の文。": qa("五つ目の文"),
    }
    path, out = tmp_path / "p.jsonl", tmp_path / "qa.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*said, *said]), encoding="utf-8")
    with serving(lambda prompt: said[asked_of(prompt)]) as (url, asked):
        counts = run(url, str(path), out)
    assert len(asked) == 5  # a text that comes twice is one
    assert {name: count for name, count in counts.items() if count} == {
        **{"texts": 5, "unreadable": 1, "length": 1, "copied": 1, "duplicate": 1, "kept": 1}
    }
    assert rows_of(out) == [{"query": "一つ目はどんな文か", "positive": "一つ目の文。"}]
    assert json.loads((tmp_path / f"qa.jsonl{PROVENANCE}").read_text())["copied"] == 1


def test_rate_limits_and_server_errors_are_tried_again(texts, tmp_path):
    failures = [error(429, "slow down"), error(500, "oops"), error(503, "busy")]

    def flaky(prompt):
        if failures:
            status, body, _ = failures.pop()
            return status, body, {"retry-after-ms": "1"}
        return about(prompt)

    with serving(flaky) as (url, asked):
        assert run(url, texts, tmp_path / "qa.jsonl")["kept"] == 3
    assert len(asked) == 6


def test_a_server_that_stays_broken_ends_the_run_and_the_next_goes_on(texts, tmp_path):
    out, broken = tmp_path / "qa.jsonl", [True]

    def half(prompt):
        return error(500, "oops") if broken and asked_of(prompt) != SNOW else about(prompt)

    with serving(half) as (url, asked):
        with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:\d+/v1: Error code: 500 - .*oops"):
            run(url, texts, out, retries=0, concurrency=1)
        assert (len(asked), out.exists()) == (2, False)
        broken.clear()
        assert run(url, texts, out)["kept"] == 3
        assert [asked_of(prompt) for prompt in prompts(asked)].count(SNOW) == 1
        assert len(asked) == 4
        before = out.read_bytes()
        assert run(url, texts, out)["kept"] == 3
        assert len(asked) == 4
    assert out.read_bytes() == before


def test_a_refused_request_is_no_answer_and_sent_again_the_next_time(texts, tmp_path):
    out, refusing, said = tmp_path / "qa.jsonl", [True], []

    def picky(prompt):
        return error(400, "too long") if refusing and asked_of(prompt) == SEA else about(prompt)

    with serving(picky) as (url, asked):
        counts = run(url, texts, out, say=said.append)
        assert (counts["unanswered"], counts["kept"], len(asked)) == (1, 2, 3)
        assert any("1 refused" in each and "too long" in each for each in said)
        refusing.clear()
        assert run(url, texts, out)["kept"] == 3
        assert len(asked) == 4


def test_an_endpoint_that_refuses_everything_ends_the_run_after_ten(tmp_path):
    path = tmp_path / "p.txt"
    path.write_text("".join(f"{i}番の文。\n" for i in range(40)), encoding="utf-8")
    with serving(lambda prompt: error(400, "unknown field")) as (url, asked):
        with pytest.raises(Unavailable, match="unknown field"):
            run(url, f"text:{path}", tmp_path / "qa.jsonl", concurrency=1)
        assert len(asked) == 10


FOREIGN = [
    (200, b"<html>login</html>", {"Content-Type": "text/html"}),
    (200, b'{"choices": [', {}),
    (200, b'{"error": "no"}', {}),
    (200, b'{"choices": [{}]}', {}),
    (200, b"[1]", {}),
]


@pytest.mark.parametrize("said", FOREIGN)
def test_a_server_of_something_else_is_one_line(said, texts, tmp_path):
    with (
        serving(lambda prompt: said) as (url, _),
        pytest.raises(Unavailable, match="does not answer as chat completions do"),
    ):
        run(url, texts, tmp_path / "qa.jsonl")


def test_a_judge_drops_the_worst_share_and_what_it_does_not_score(tmp_path):
    path, out = tmp_path / "p.txt", tmp_path / "qa.jsonl"
    path.write_text("".join(f"{i}番の文。\n" for i in range(11)), encoding="utf-8")
    scores = {f"{i}番の文。": json.dumps({"score": given}) for i, given in enumerate([5, 9, 2, 9, 9, 8, 1, 9, 3, 9])}

    def judging(prompt):
        if "採点" not in prompt:
            return about(prompt)
        return scores.get(asked_of(prompt), "十点です。")

    with serving(judging) as (url, asked):
        counts = run(url, f"text:{path}", out, judge="j")
        assert [body["model"] for _, _, body in asked] == ["m"] * 11 + ["j"] * 11
        assert {name: count for name, count in counts.items() if count} == {
            **{"texts": 11, "unscored": 1, "worst": 2, "kept": 8}
        }
        assert [row["positive"][0] for row in rows_of(out)] == list("01345789")
        assert run(url, f"text:{path}", out, judge="j", drop=0.0)["kept"] == 10
        assert run(url, f"text:{path}", out)["kept"] == 11
        assert len(asked) == 22
    assert json.loads((tmp_path / f"qa.jsonl{PROVENANCE}").read_text())["judge"] is None


def test_of_equal_scores_the_place_of_the_text_decides_nothing(tmp_path):
    path = tmp_path / "p.txt"
    numbers = range(30)
    kept = []
    for order in (numbers, reversed(numbers)):
        path.write_text("".join(f"{i}番の文。\n" for i in order), encoding="utf-8")
        out = tmp_path / f"{len(kept)}.jsonl"
        with serving(lambda prompt: '{"score": 8}' if "採点" in prompt else about(prompt)) as (url, _):
            assert run(url, f"text:{path}", out, judge="j", concurrency=16)["worst"] == 6
        kept.append({row["positive"] for row in rows_of(out)})
    assert kept[0] == kept[1]
    assert kept[0] != {f"{i}番の文。" for i in range(24)}


def test_rows_stand_in_the_order_of_the_texts_however_answers_come(tmp_path):
    path = tmp_path / "p.txt"
    path.write_text("".join(f"{i}番の文。\n" for i in range(12)), encoding="utf-8")

    def late(prompt):
        time.sleep(0.01 * (3 - int(asked_of(prompt).split("番")[0]) % 4))
        return about(prompt)

    files = []
    for concurrency in (1, 6):
        out = tmp_path / f"{concurrency}.jsonl"
        with serving(late) as (url, _):
            run(url, f"text:{path}", out, concurrency=concurrency)
        files.append(out.read_bytes())
    assert files[0] == files[1]
    assert [row["positive"] for row in rows_of(out)] == [f"{i}番の文。" for i in range(12)]


def test_so_many_requests_are_under_way_and_no_more(tmp_path):
    path = tmp_path / "p.txt"
    path.write_text("".join(f"{i}番の文。\n" for i in range(12)), encoding="utf-8")
    under_way, most, lock = [0], [0], threading.Lock()

    def counting(prompt):
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.05)
        with lock:
            under_way[0] -= 1
        return about(prompt)

    with serving(counting) as (url, _):
        run(url, f"text:{path}", tmp_path / "qa.jsonl", concurrency=3)
    assert most == [3]


def stopping(stop):
    """An answer for texts 0 to 4; those from 5 on have it ``stop`` the run, and wait for the event."""
    go, waiting = threading.Event(), threading.Barrier(2)

    def answer(prompt):
        if int(asked_of(prompt)[0]) >= 5 and not go.is_set():
            if waiting.wait(120) == 0:  # two are under way
                stop()
            go.wait(120)
        return about(prompt)

    return go, answer


@pytest.fixture
def eight(tmp_path):
    path = tmp_path / "eight.txt"
    path.write_text("".join(f"{i}番の文。\n" for i in range(8)), encoding="utf-8")
    return f"text:{path}"


def check_goes_on(url, asked, go, eight, out):
    go.set()
    assert not out.exists()
    assert len(rows_of(out.with_name("qa.jsonl.synth") / "answers.jsonl")) == 5
    assert run(url, eight, out)["kept"] == 8
    times = [asked_of(prompt) for prompt in prompts(asked)]
    assert [times.count(f"{i}番の文。") for i in range(8)] == [1, 1, 1, 1, 1, 2, 2, 1]


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_loses_only_what_is_under_way(number, raised, eight, tmp_path):
    # A job in the background is begun with SIGINT ignored.
    inherited = signal.signal(number, signal.default_int_handler)
    go, answer = stopping(lambda: os.kill(os.getpid(), number))
    try:
        with serving(answer) as (url, asked):
            with pytest.raises(raised) as ended:
                run(url, eight, tmp_path / "qa.jsonl", concurrency=2)
            assert getattr(ended.value, "code", 143) == 143
            assert signal.getsignal(number) == signal.default_int_handler
            check_goes_on(url, asked, go, eight, tmp_path / "qa.jsonl")
    finally:
        signal.signal(number, inherited)


def test_a_crash_loses_only_what_is_under_way(eight, tmp_path):
    begun = []
    go, answer = stopping(lambda: os.kill(begun[0].pid, signal.SIGKILL))
    with serving(answer) as (url, asked):
        words = ["--data", eight, "--output", tmp_path / "qa.jsonl", "--model", "m", "--concurrency", "2"]
        command = [sys.executable, "-m", "jbench", "synth", "autowikiqa", "--endpoint", url, *map(str, words)]
        begun.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        assert begun[0].wait(60) == -signal.SIGKILL
        check_goes_on(url, asked, go, eight, tmp_path / "qa.jsonl")


def test_a_torn_last_line_is_asked_again_and_another_bad_line_is_named(texts, tmp_path):
    out, answers = tmp_path / "qa.jsonl", tmp_path / "qa.jsonl.synth" / "answers.jsonl"
    with serving(about) as (url, asked):
        run(url, texts, out)
        whole = answers.read_bytes()
        answers.write_bytes(whole[:-9])
        assert run(url, texts, out)["kept"] == 3
        assert (len(asked), len(answers.read_bytes())) == (4, len(whole))
        answers.write_bytes(b"\0\0\n" + whole)
        with pytest.raises(Unavailable, match=r"answers\.jsonl: line 1 is no answer"):
            run(url, texts, out)


CHANGES = [
    ({"model": "other"}, "model was 'm' and is 'other'"),
    ({"settings": {"temperature": 1}}, r"settings was \{\} and is \{'temperature': 1\}"),
    ({"kind": AUTOWIKINLI}, "kind was 'autowikiqa' and is 'autowikinli'"),
]


@pytest.mark.parametrize(("change", "told"), CHANGES)
def test_what_was_begun_otherwise_is_refused(change, told, texts, tmp_path):
    out = tmp_path / "qa.jsonl"
    with serving(about) as (url, asked):
        run(url, texts, out)
        with pytest.raises(UsageError, match=f"qa.jsonl.synth was begun otherwise: {told}"):
            run(url, texts, out, **change)
        assert len(asked) == 3


def test_other_texts_or_another_prompt_are_refused_and_more_texts_are_not(texts, tmp_path, monkeypatch):
    out = tmp_path / "qa.jsonl"
    with serving(about) as (url, asked):
        assert run(url, texts, out, limit=1)["texts"] == 1
        assert run(url, texts, out, limit=2)["texts"] == 2
        assert len(asked) == 2
        other = tmp_path / "other.txt"
        other.write_text(f"{SNOW}\n{SEA}\n", encoding="utf-8")
        with pytest.raises(UsageError, match=r"data was 'passages:train@sha256:.* and is 'other:train@sha256:"):
            run(url, f"text:{other}", out)
        path = tmp_path / "qa.jsonl.synth" / "begun.json"
        path.write_text(path.read_text().replace("JSON", "XML"))
        with pytest.raises(UsageError, match="the prompt was another"):
            run(url, texts, out)
        path.write_text("{")
        with pytest.raises(Unavailable, match=r"begun\.json cannot be read"):
            run(url, texts, out)


def test_a_mistyped_model_that_answered_nothing_may_be_corrected(texts, tmp_path):
    out = tmp_path / "qa.jsonl"
    with serving(lambda prompt: error(404, "no such model")) as (url, _), pytest.raises(Unavailable, match="no such"):
        run(url, texts, out, model="typo")
    with serving(about) as (url, _):
        assert run(url, texts, out)["kept"] == 3


def test_the_key_is_sent_and_stands_in_no_file_and_no_message(texts, tmp_path, monkeypatch):
    key, out = "sk-very-secret", tmp_path / "qa.jsonl"
    monkeypatch.setenv("MY_KEY", key)
    heard = []

    def strict(prompt):
        return about(prompt) if heard else error(401, f"bad key {key}")

    words = ["synth", "autowikiqa", "--data", texts, "--output", str(out), "--model", "m", "--key-env", "MY_KEY"]
    with serving(strict) as (url, asked):
        failed = CliRunner().invoke(app, [*words, "--endpoint", url])
        assert "401" in str(failed.exception)
        assert "bad key ***" in str(failed.exception)
        heard.append(True)
        done = CliRunner().invoke(app, [*words, "--endpoint", url, "--json"])
        assert json.loads(done.stdout)["kept"] == 3
    assert {authorization for _, authorization, _ in asked} == {f"Bearer {key}"}
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {out.name, f"{out.name}{PROVENANCE}", "begun.json", "answers.jsonl"} <= {path.name for path in written}
    assert not any(key.encode() in path.read_bytes() for path in written)
    assert key not in done.output + failed.output + repr(Endpoint("http://x/v1", key))


def test_the_usual_variable_has_the_key_where_none_is_named(texts, tmp_path, monkeypatch):
    words = ["synth", "autowikiqa", "--data", texts, "--output", str(tmp_path / "qa.jsonl"), "--model", "m"]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-usual")
    with serving(about) as (url, asked):
        assert CliRunner().invoke(app, [*words, "--endpoint", url]).exit_code == 0
        assert {authorization for _, authorization, _ in asked} == {"Bearer sk-usual"}
        monkeypatch.delenv("MY_KEY", raising=False)
        unset = CliRunner().invoke(app, [*words, "--endpoint", url, "--key-env", "MY_KEY"])
        assert str(unset.exception) == "--key-env names no environment variable that is set"


MISSING = ["give --data, --output, --endpoint URL and --model NAME (--print shows what would be asked)"]
WITHOUT = [
    ([], *MISSING),
    (["--data", "x.jsonl", "--output", "o.jsonl"], *MISSING),
    (["--data", "x.jsonl", "--output", "o.jsonl", "--model", "m"], *MISSING),
]


@pytest.mark.parametrize(("words", "told"), WITHOUT)
def test_without_an_endpoint_and_a_model_nothing_is_called(words, told, no_network):
    failed = CliRunner().invoke(app, ["synth", "autowikiqa", *words])
    assert isinstance(failed.exception, UsageError)
    assert str(failed.exception) == told


def test_another_kind_is_answered_with_the_nearest(no_network):
    failed = CliRunner().invoke(app, ["synth", "autowikiq", "--print"])
    assert str(failed.exception) == "unknown kind of data 'autowikiq'; did you mean autowikiqa, autowikinli?"


def test_print_shows_who_says_what_and_calls_nothing(no_network):
    found = json.loads(CliRunner().invoke(app, ["synth", "autowikinli", "--print", "--json"]).stdout)
    rows = {row["key"]: row for row in found}
    assert rows["prompt"]["source"] == "ours"
    assert rows["prompt"]["value"] == AUTOWIKINLI.prompt
    assert (rows["answer"]["value"], rows["drop"]["value"]) == (["contradiction", "entailment"], 0.2)
    assert "digest" in rows["drop"]["source"]
    assert rows["row"]["source"] == "Ruri table 1; the text itself as premise: ours"
    assert "Nemotron-4 340B" in CliRunner().invoke(app, ["synth", "autowikinli", "--print"]).stdout


def test_with_the_network_off_nothing_is_asked_but_answers_are_read(texts, tmp_path, monkeypatch):
    out = tmp_path / "qa.jsonl"
    with serving(about) as (url, _):
        run(url, texts, out, limit=2)
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    assert run(url, texts, out, limit=2)["kept"] == 2
    with pytest.raises(Unavailable, match="the network is off"):
        run(url, texts, out)


def test_nobody_there_and_nothing_kept_are_one_line(texts, tmp_path):
    with serving(lambda prompt: "いいえ。") as (url, _):
        with pytest.raises(Unavailable, match="no row is left: 3 texts, 3 unreadable, 0 kept"):
            run(url, texts, tmp_path / "a.jsonl")
        assert not (tmp_path / "a.jsonl").exists()
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1.*Connection error"):
        run(url, texts, tmp_path / "b.jsonl", retries=0)


WRONG = [
    (lambda: Endpoint("127.0.0.1:8000/v1"), "--endpoint is http"),
    (lambda: Endpoint("http://user:secret@host/v1"), "--endpoint is http"),
    (lambda: Endpoint("http://host/v1?key=secret"), "--endpoint is http"),
    (lambda: Endpoint("http://[::1/v1"), "--endpoint is http"),
    (lambda: Endpoint("http://host\n/v1"), "--endpoint is http"),
    (lambda: Endpoint("http://host:x/v1"), "--endpoint is http"),
    (lambda: Endpoint("http://host/v1", "sk\nx"), "characters that no key has"),
    (lambda: Endpoint("http://host/v1", concurrency=0), "--concurrency is 1 or more"),
    (lambda: Plan("m", limit=0), "--limit 0"),
    (lambda: Plan("m", drop=1.0), "--drop 1"),
    (lambda: Plan("m", {"model": "n"}), "--set model"),
]


@pytest.mark.parametrize(("made", "told"), WRONG)
def test_what_means_nothing_is_one_line_without_secrets(made, told):
    with pytest.raises(UsageError, match=told) as raised:
        made()
    assert "secret" not in str(raised.value)


def test_another_ending_and_a_share_without_a_judge_are_refused_before_anything_is_asked(texts, tmp_path, no_network):
    with pytest.raises(UsageError, match=r"qa\.csv: rows are written as \.jsonl or \.parquet"):
        run("http://127.0.0.1:9/v1", texts, tmp_path / "qa.csv")
    words = ["synth", "autowikiqa", "--data", texts, "--output", "o.jsonl", "--model", "m", "--endpoint", "http://x"]
    assert "--judge" in str(CliRunner().invoke(app, [*words, "--drop", "0.1"]).exception)


def test_settings_are_json_where_they_are():
    asked = {"temperature": "0.7", "stop": '["。"]', "user": "me", "thinking": "false"}
    assert typed(asked) == {"temperature": 0.7, "stop": ["。"], "user": "me", "thinking": False}


def test_texts_are_the_passages_of_questions_the_positives_of_pairs_and_sentences_as_they_stand(tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    rows = [("a", SNOW), ("b", SNOW), ("c", SEA)]
    pairs.write_text("".join(json.dumps({"query": query, "positive": text}) + "\n" for query, text in rows), "utf-8")
    assert [*passages(open_set(str(pairs)))] == [SNOW, SEA]
    lists = tmp_path / "lists.jsonl"
    lists.write_text(json.dumps({"query": "a", "positives": [SNOW, RICE], "negatives": [SEA]}) + "\n", "utf-8")
    assert [*passages(open_set(str(lists)))] == [SNOW, RICE]


def test_the_passages_of_jaquad_come_once_each(mirror):
    data = open_set("jaquad")
    found = [*passages(data)]
    assert len(found) == len(set(data.collection.documents.texts))
    assert [*passages(data, 5)] == found[:5]


def test_half_a_character_from_a_server_is_kept_and_read_back(tmp_path):
    request = Request("m", "書いてください", {})
    with serving(lambda prompt: "\ud800") as (url, _), journal(tmp_path / "a.jsonl") as kept:
        assert ask(Endpoint(url), [request], kept, lambda done: None) == []
        assert kept.answer(request) == "\ud800"
    with journal(tmp_path / "a.jsonl") as kept:
        assert kept.answer(request) == "\ud800"
        assert kept.answer(Request("m", "別の", {})) is None
