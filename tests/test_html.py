"""The page without a browser: the table stands in it, data is text, nothing is fetched, both languages are whole."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from jbench.board import Cell, Table
from jbench.exposure import WORDS
from jbench.metrics import parse
from jbench.published import IMPORTED
from jbench.registry import all_tasks
from jbench.render import FORMATS, html
from jbench.render.page import notes
from jbench.render.page import table as page_table
from jbench.render.page.notes import definition
from jbench.render.page.table import DOMAINS
from jbench.render.page.words import part, shown, strings
from tests.page.made import HOSTILE, board, made_up


class Reader(HTMLParser):
    """Elements, and the text of table rows, as a browser without scripts would have them."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.rows, self.scripts, self.open = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")
        elif tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "script" in self.open:
            self.scripts[-1] += data
        elif {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data

    def script(self, name):
        scripts = [attrs for tag, attrs in self.elements if tag == "script"]
        return next(text for attrs, text in zip(scripts, self.scripts, strict=True) if attrs.get("id") == name)


PLAIN = Table(board(2), tuple(replace(row, cost={}) for row in made_up(3, 2).rows))


def with_names(*names):
    return replace(PLAIN, rows=tuple(replace(PLAIN.rows[0], label=name, model=name) for name in names))


def body(table, **more):
    return Reader(html.render(table, **more)).rows[2 : 2 + len(table.rows)]


def test_the_page_is_a_format_of_the_board():
    assert FORMATS["html"](PLAIN) == html.render(PLAIN)


def test_the_table_has_the_figures_of_the_board_in_its_order():
    first = replace(
        PLAIN.rows[0],
        label="org/name", published="Ruri report", average=0.75, means={}, unprompted=(), truncated=0,
        cells=(Cell(0.5, ties=(0.4, 0.6)), Cell(0.99999, decimals=5, apart="other data")),
    )  # fmt: skip
    second = replace(first, label="plain", published="", average=None, cells=(Cell(0.25), None))
    found = body(Table(PLAIN.board, (first, second)))
    assert found == [
        ["org/namepublished: Ruri report", "75.00", "", "50.00≈", "[99.999]kept apart"],
        ["plainmeasured here", "", "", "25.00", ""],
    ]


def test_the_highest_figure_of_a_column_is_marked_and_one_kept_apart_is_not():
    rows = [replace(PLAIN.rows[0], cells=(Cell(value, apart=apart), None)) for value, apart in
            ((0.9, "other data"), (0.8, ""), (0.7, ""))]  # fmt: skip
    page = Reader(html.render(Table(PLAIN.board, tuple(rows))))
    cells = [
        attrs.get("class", "") for tag, attrs in page.elements if tag == "td" and "starts" in attrs.get("class", "")
    ]
    assert [("best" in one, "apart" in one) for one in cells if "text" not in one] == [
        (False, True), (True, False), (False, False),
    ]  # fmt: skip


def test_what_was_imported_is_not_called_published():
    (row,) = body(replace(PLAIN, rows=(replace(PLAIN.rows[0], published=IMPORTED, unprompted=(), truncated=0),)))
    assert row[0].endswith("imported, not measured here")


def test_exposure_stands_in_words_and_none_where_the_data_is_not_known():
    table = made_up(40, 4)
    start = 1 + 1 + 1 + 1
    for row, line in zip(table.rows, body(table), strict=True):
        for cell, text in zip(row.cells, line[start : start + 4], strict=True):
            word = re.sub(r"[\d.\[\]≈*]|kept apart", "", text)
            assert word == ("" if cell is None or cell.apart or cell.exposure is None else cell.exposure.word)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text(name):
    page = Reader(html.render(with_names(name)))
    plain = Reader(html.render(with_names("plain")))
    assert [tag for tag, _ in page.elements if tag != "wbr" and tag != "span"] == [
        tag for tag, _ in plain.elements if tag != "wbr" and tag != "span"
    ]
    assert json.loads(page.script("data"))["rows"][0]["label"] == name
    assert page.rows[2][0].startswith(shown(name).replace("&lt;", "<").replace("&gt;", ">").replace(
        "&quot;", '"').replace("&#x27;", "'").replace("&amp;", "&"))  # fmt: skip


def test_characters_that_hide_or_turn_others_are_shown_by_their_number():
    assert shown("a\u202eb\x00\u200d\ud800\u2028") == "a⟨U+202E⟩b⟨U+0000⟩⟨U+200D⟩⟨U+D800⟩⟨U+2028⟩"


def test_hostile_text_of_every_other_kind_is_text():
    bad = "</script><img src=x onerror=1>"
    cell = replace(PLAIN.rows[0].cells[0] or Cell(0.5), source=bad, notes=(bad,), apart=bad)
    row = replace(PLAIN.rows[0], revision=bad, adapter=bad, published=bad, variant={bad: bad}, cells=(cell, None))
    shape = PLAIN.board.model_copy(update={"title": bad, "note": bad, "average": None})
    page = html.render(Table(shape, (row,), method=bad, complaints=(bad,)), index='"><img src=x>')
    assert "<img" not in page
    assert json.loads(Reader(page).script("data"))["rows"][0]["cells"][0]["notes"] == [bad]


def test_a_page_can_be_written_whatever_a_name_is_made_of():
    html.render(with_names("".join(HOSTILE) + "\ud800")).encode("utf-8")


def test_the_data_is_that_of_the_table():
    table = made_up(30, 4)
    data = json.loads(Reader(html.render(table)).script("data"))
    assert [row["label"] for row in data["rows"]] == [row.label for row in table.rows]
    for row, said in zip(table.rows, data["rows"], strict=True):
        for cell, one in zip(row.cells, said["cells"], strict=True):
            assert (cell is None) == (one is None)
            if cell and one:
                assert one["value"] == cell.value
                assert one.get("histogram") == (list(cell.histogram) if cell.histogram else None)
                flag = data["exposures"][one["exposure"]]["flag"] if "exposure" in one else None
                assert flag == (cell.exposure.flag if cell.exposure else None)


def resources(page):
    return [
        (tag, name, value)
        for tag, attrs in Reader(page).elements
        for name, value in attrs.items()
        if name in ("src", "href", "action", "srcset", "poster", "data")
        and not (value or "").startswith(("#", "data:"))
    ]


def test_nothing_is_fetched_and_the_policy_says_so():
    page = html.render(made_up(5, 2), index="index.html")
    assert resources(page) == [("a", "href", "index.html")]
    assert not re.search(r"@import|url\(", page[: page.index("</style>")])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith(
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'sha256-"
    )
    assert "unsafe" not in policy


def test_the_policy_knows_each_script_and_style_by_its_hash():
    page = html.render(made_up(5, 2))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    reader = Reader(page)
    running = [*re.findall(r"<script>(.*?)</script>", page, re.S), *re.findall(r"<style>(.*?)</style>", page, re.S)]
    assert len(running) == 2
    for text in (*running, reader.script("vega")):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy


def test_the_chart_is_there_only_where_something_can_be_drawn():
    without, with_zero = PLAIN, replace(PLAIN, rows=(replace(PLAIN.rows[0], cost={"parameters": 0.0}),))
    for table in (without, with_zero):
        page = html.render(table)
        assert json.loads(Reader(page).script("data"))["chart"] is None
        assert 'id="vega"' not in page
    spec = json.loads(Reader(html.render(made_up(5, 2))).script("data"))["chart"]
    assert spec["encoding"]["x"]["scale"]["type"] == "log"
    assert spec["data"] == {"name": "points"}


def test_the_same_table_gives_the_same_page():
    assert html.render(made_up(9, 3)) == html.render(made_up(9, 3))


def test_two_hundred_models_by_sixteen_weigh_less_than_three_megabytes():
    assert len(html.render(made_up()).encode()) < 3e6


def test_every_word_is_there_in_both_languages_with_the_same_gaps():
    for key, words in strings().items():
        assert set(words) == {"en", "ja"}, key
        gaps = [sorted(re.findall(r"\{\w+\}", text)) for text in words.values()]
        assert gaps[0] == gaps[1], key
        assert all(text.strip() for text in words.values()), key


def test_every_key_that_is_used_exists_and_every_key_is_used():
    known = set(strings())
    made = {f"{kind}_{flag}" for flag in WORDS for kind in ("x", "text")}
    made |= {f"{kind}_{domain}" for domain in DOMAINS for kind in ("domain", "long")}
    made |= {f"confidence_{one}" for one in ("stated", "read", "inferred")}
    made |= {"status_draft", "status_published", "state_draft", "state_published"}
    made |= {key for key in known if key.startswith(("cost_", "measure_"))}
    assert made <= known
    source = "".join(part(name) for name in ("page.html", "board.html", "index.html", "page.js"))
    source += "".join(Path(room.__file__).read_text(encoding="utf-8") for room in (html, notes, page_table))
    unused = [key for key in known - made if not re.search(rf"[\"']{re.escape(key)}[\"']", source)]
    assert unused == []
    asked = set(re.findall(r'data-(?:t|label|hint)="([\w-]+)"', source)) | set(re.findall(r'\bsay\("([\w-]+)"', source))
    assert asked - known == set()


def test_each_measure_that_can_be_measured_is_explained():
    measures = {measure for task in all_tasks().values() for measure in task.measures}
    assert {definition(measure)[1] for measure in measures} <= set(strings())
    assert definition("ndcg@10") == (parse("ndcg@10").definition, "measure_ndcg", 10)
    assert definition("v_measure") == ("", "measure_", 0)


def test_tasks_tell_version_source_and_licence():
    column = PLAIN.board.columns[0].model_copy(update={"task": "jsquad@valid1145", "measure": "recall@1"})
    shape = PLAIN.board.model_copy(update={"columns": (column, PLAIN.board.columns[1]), "average": None})
    page = html.render(replace(PLAIN, board=shape, tasks=all_tasks()))
    assert "Kurihara et al., JGLUE (LREC 2022)" in page
    assert json.loads(Reader(page).script("data"))["tasks"]["jsquad@valid1145"]["kind"] == "qa"


def test_a_board_without_rows_says_so():
    assert "No results yet." in html.render(replace(PLAIN, rows=()))


def test_the_index_lists_the_boards_and_links_to_their_pages():
    pages = html.site([PLAIN, replace(made_up(7, 3), board=board(3, "other"))])
    assert list(pages) == ["index.html", "made-up.v1.html", "other.v1.html"]
    published = sum(bool(row.published) for row in PLAIN.rows)
    _, first, second = Reader(pages["index.html"]).rows
    assert first == [
        "made-up: a board of 2 tasksmade-up.v1", str(3 - published), str(published), "2", "mean of 2", "draft",
    ]  # fmt: skip
    assert second[3] == "3"
    assert resources(pages["index.html"]) == [("a", "href", "made-up.v1.html"), ("a", "href", "other.v1.html")]
    assert resources(pages["other.v1.html"]) == [("a", "href", "index.html")]


def test_a_title_in_the_index_is_text():
    shape = PLAIN.board.model_copy(update={"title": "<b>bold</b>", "average": None})
    assert "&lt;b&gt;bold&lt;/b&gt;" in html.render_index([replace(PLAIN, board=shape)])
