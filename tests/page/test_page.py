"""The page in a real browser: what a reader does, and that it stays quick, quiet and open to everybody."""

import csv
import io
import json
import time
from dataclasses import replace
from statistics import fmean

import pytest

from jbench.board import Cell, Table
from jbench.exposure import Evidence, Exposure, means
from jbench.registry import all_tasks
from jbench.render import html
from tests.page.conftest import HOST
from tests.page.made import HOSTILE, board, made_up

SEEN = Exposure("train_split_seen", "in-domain", (Evidence("A:test", "A", "train_split_seen", "its card", "stated"),))
UNSEEN = Exposure("unseen", "out-of-domain", (Evidence("A:test", "A", "unseen", "table 1", "stated"),))
UNKNOWN = Exposure("unknown", "unknown")
BOARD = board(2)
COLUMNS = [column.id for column in BOARD.columns]


def row(name, *figures, published="", parameters=None, exposures=(UNSEEN, UNSEEN), **more):
    base = made_up(1, 2).rows[0]
    cells = tuple(
        None if value is None else value if isinstance(value, Cell) else Cell(value, exposure=exposure)
        for value, exposure in zip(figures, exposures, strict=True)
    )
    counted = [cell and cell.value for cell in cells]
    marked = means(counted, [cell and cell.exposure for cell in cells])
    return replace(
        base, label=name, model=name, revision="r1", adapter="dense", variant={}, unprompted=(), truncated=0,
        cells=cells, published=published, average=None if None in counted else fmean(counted),
        means={domain: mean for domain, mean in marked.items() if mean.columns},
        cost={} if parameters is None else {"parameters": parameters}, **more,
    )  # fmt: skip


SMALL = Table(
    BOARD,
    (
        row("big/seen", 0.9, 0.7, parameters=7e9, exposures=(SEEN, UNSEEN)),
        row("mid/clean", 0.8, 0.6, parameters=3e8),
        row("low/unknown", 0.5, 0.4, parameters=1e8, published="Ruri report", exposures=(UNKNOWN, UNSEEN)),
        row("part/clean", None, 0.95),
    ),
)


def names(page):
    return page.locator(".board tbody tr:visible th bdi").all_inner_texts()


def head(page, name):
    return page.get_by_role("columnheader", name=name).get_by_role("button").first


def said(page, text):
    page.wait_for_function("text => document.getElementById('state').textContent.includes(text)", arg=text)


def hash_of(page):
    return page.evaluate("location.hash")


@pytest.fixture
def small(visit):
    return visit(html.render(SMALL))


@pytest.fixture(scope="module")
def large():
    return html.render(made_up())


def test_a_heading_sorts_and_says_so(small):
    assert names(small) == ["big/seen", "mid/clean", "low/unknown", "part/clean"]
    head(small, "recall@1").click()
    assert names(small) == ["part/clean", "big/seen", "mid/clean", "low/unknown"]
    column = small.get_by_role("columnheader", name="recall@1")
    assert column.get_attribute("aria-sort") == "descending"
    said(small, "4 of 4 models shown, sorted by Task 1 recall@1, highest first")
    head(small, "recall@1").click()
    assert names(small) == ["low/unknown", "mid/clean", "big/seen", "part/clean"]
    assert column.get_attribute("aria-sort") == "ascending"


def test_what_has_no_figure_stays_last_either_way(small):
    for _ in range(2):
        head(small, "ndcg@10").click()
        assert names(small)[-1] == "part/clean"


def test_a_row_kept_apart_is_shown_after_those_that_count_and_is_not_the_best(visit):
    apart = Cell(0.99, exposure=UNSEEN, apart="measured on other data")
    page = visit(html.render(replace(SMALL, rows=(*SMALL.rows, row("apart/model", apart, None)))))
    head(page, "ndcg@10").click()
    assert names(page) == ["big/seen", "mid/clean", "low/unknown", "apart/model", "part/clean"]
    assert page.locator("td.best b").all_inner_texts() == ["90.00", "95.00"]
    assert "[99.00]" in page.locator(".board tbody").inner_text()


def test_text_filters_by_every_word_whatever_its_width_and_case(small):
    small.get_by_role("searchbox").fill("ＣＬＥＡＮ mid")
    assert names(small) == ["mid/clean"]
    said(small, "1 of 4 models shown")
    small.get_by_role("searchbox").fill("nothing of the kind")
    assert names(small) == []
    assert small.get_by_text("No model matches.").is_visible()
    small.get_by_role("button", name="Reset", exact=True).click()
    assert len(names(small)) == 4


def test_exposure_filters_by_the_shown_columns_and_unknown_is_a_choice_of_its_own(small):
    small.get_by_role("button", name="Filters").click()
    small.get_by_role("checkbox", name="show models that have seen it").uncheck()
    assert names(small) == ["mid/clean", "low/unknown", "part/clean"]
    small.get_by_role("checkbox", name="show models of which it is unknown").uncheck()
    assert names(small) == ["mid/clean", "part/clean"]
    small.get_by_role("button", name="Columns").click()
    small.get_by_role("checkbox", name="ndcg@10").uncheck()
    assert names(small) == ["big/seen", "mid/clean", "low/unknown", "part/clean"]


def test_size_filters_and_unknown_sizes_have_a_choice_of_their_own(small):
    small.get_by_role("button", name="Filters").click()
    small.get_by_label("at least, millions").fill("200")
    assert names(small) == ["big/seen", "mid/clean", "part/clean"]
    small.get_by_label("at most, millions").fill("300")
    small.get_by_role("checkbox", name="show models of unknown size").uncheck()
    assert names(small) == ["mid/clean"]


def test_source_and_completeness_filter(small):
    small.get_by_role("button", name="Filters").click()
    small.get_by_role("checkbox", name="measured here").uncheck()
    assert names(small) == ["low/unknown"]
    small.get_by_role("checkbox", name="measured here").check()
    small.get_by_role("checkbox", name="only models with a figure in every shown column").check()
    assert names(small) == ["big/seen", "mid/clean", "low/unknown"]


def test_dimming_says_so_on_the_root_and_leaves_every_row(small):
    small.get_by_role("button", name="Filters").click()
    small.get_by_role("checkbox", name="dim the figures on seen data").check()
    assert small.locator("html[data-dim]").count() == 1
    assert len(names(small)) == 4


def test_ranking_by_columns_that_no_shown_model_has_seen_follows_the_filter(small):
    small.get_by_label("Sort by").select_option("unseen")
    assert "One column was seen by no shown model: Task 1 recall@1." in small.locator("#unseen").inner_text()
    assert names(small) == ["part/clean", "big/seen", "mid/clean", "low/unknown"]
    small.get_by_role("searchbox").fill("clean")
    assert "the 2 columns" in small.locator("#unseen").inner_text()
    assert names(small) == ["mid/clean", "part/clean"]
    assert small.locator(".board tbody tr:visible td:nth-child(4)").all_inner_texts() == ["70.00", ""]
    small.get_by_role("searchbox").fill("")
    small.get_by_role("button", name="Columns").click()
    small.get_by_role("checkbox", name="recall@1").uncheck()
    assert "there is no such mean" in small.locator("#unseen").inner_text()


def test_the_best_mark_is_of_the_rows_that_are_shown(small):
    assert small.locator("td.best b").all_inner_texts() == ["90.00", "95.00"]
    small.get_by_role("searchbox").fill("mid")
    assert names(small) == ["mid/clean"]
    assert small.locator("tr:visible td.best").count() == 0


def test_a_link_brings_all_of_it_back(visit, small):
    small.get_by_role("searchbox").fill("e")
    small.get_by_role("button", name="Filters").click()
    small.get_by_role("checkbox", name="show models of which it is unknown").uncheck()
    small.get_by_role("checkbox", name="show models of unknown size").uncheck()
    small.get_by_role("button", name="Columns").click()
    small.get_by_role("checkbox", name="ndcg@10").uncheck()
    head(small, "Model").click()
    head(small, "Model").click()
    small.get_by_role("button", name="日本語").click()
    small.get_by_label("外観").select_option("dark")
    link, before = hash_of(small), names(small)
    again = visit(html.render(SMALL), at=f"board.html{link}")
    assert names(again) == before
    assert before == ["mid/clean", "low/unknown", "big/seen"]
    assert hash_of(again) == link
    assert again.evaluate("[document.documentElement.lang, document.documentElement.dataset.theme]") == ["ja", "dark"]
    assert again.get_by_role("columnheader", name="ndcg@10").count() == 0


@pytest.mark.parametrize(
    "garbage",
    [
        "%", "%E0%A4%A", "sort=nothing&way=sideways&lang=xx&theme=<b>", "hide=x&hide=" + "a" * 5000,
        "model=__proto__&x=y&y=x", "min=-1&max=abc&min=1e999", "q=" + "(" * 500, "sort=__proto__",
        "&&&===", "seen=2&unknown=yes",
    ],
)  # fmt: skip
def test_a_link_of_garbage_opens_the_page_all_the_same(visit, garbage):
    page = visit(html.render(SMALL), at=f"board.html#{garbage}")
    assert len(names(page)) == (0 if garbage.startswith("q=") else 4)


def test_going_back_in_history_restores_the_view(small):
    small.evaluate("location.hash = 'q=mid'")
    small.wait_for_function("document.querySelectorAll('.board tbody tr:not([hidden])').length === 1")
    small.evaluate("location.hash = ''")
    small.wait_for_function("document.querySelectorAll('.board tbody tr:not([hidden])').length === 4")


@pytest.mark.parametrize("allowed", [True, False])
def test_the_link_is_copied_where_the_browser_allows_it(small, allowed):
    small.evaluate(
        """allowed => Object.defineProperty(navigator, "clipboard", { value: {
          writeText: async (text) => { if (!allowed) throw new Error("no"); window.copied = text; } } })""",
        allowed,
    )
    small.get_by_role("searchbox").fill("mid")
    small.get_by_role("button", name="Copy link").click()
    said(small, "The link to this view is copied." if allowed else "The link to this view is in the address bar.")
    assert small.evaluate("window.copied") == (f"{HOST}board.html#q=mid" if allowed else None)


def test_a_reader_of_japanese_is_met_in_japanese(visit):
    page = visit(html.render(SMALL), locale="ja-JP")
    assert page.locator("html").get_attribute("lang") == "ja"
    assert page.get_by_role("button", name="絞り込み").is_visible()
    page.get_by_role("button", name="English").click()
    assert page.get_by_role("button", name="Filters").is_visible()
    assert hash_of(page) == "#lang=en"


def test_every_word_of_the_page_changes_its_language(visit):
    page = visit(html.render(SMALL), at="board.html#lang=ja")
    left = page.evaluate(
        "[...document.querySelectorAll('[data-t]')].filter(n => n.textContent === "
        "JSON.parse(document.getElementById('strings').textContent)[n.dataset.t].en).map(n => n.dataset.t)"
    )
    assert left == []


def test_appearance_follows_the_system_until_it_is_chosen(visit):
    paper = "getComputedStyle(document.body).backgroundColor"
    light, dark = (visit(html.render(SMALL), color_scheme=scheme) for scheme in ("light", "dark"))
    colours = [page.evaluate(paper) for page in (light, dark)]
    assert colours[0] != colours[1]
    light.get_by_label("Appearance").select_option("dark")
    assert light.evaluate(paper) == colours[1]


def saved(page, name):
    page.get_by_role("button", name="Download", exact=True).click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name).click()
    return waiting.value.path().read_bytes().decode()


def test_the_csv_of_what_is_shown_has_fractions_in_full_and_no_formulas(visit):
    third = row('=1+1,"x"\n', 1 / 3, 0.5, parameters=3e8)
    page = visit(html.render(replace(SMALL, rows=(*SMALL.rows, third))))
    page.get_by_role("searchbox").fill("=1+1")
    text = saved(page, "CSV of what is shown")
    assert text.count("\r\n") == 2
    (line,) = csv.DictReader(io.StringIO(text, newline=""))
    assert line["model"] == '\'=1+1,"x"\n'
    assert line[COLUMNS[0]] == repr(1 / 3)
    assert (line["parameters"], line[f"{COLUMNS[0]} exposure"], line["figures"]) == (
        "300000000",
        "unseen",
        "measured here",
    )


def test_everything_can_be_had_whatever_is_shown(small):
    small.get_by_role("searchbox").fill("mid")
    found = json.loads(saved(small, "JSON of everything"))
    assert [one["model"] for one in found["rows"]] == ["big/seen", "mid/clean", "low/unknown", "part/clean"]
    cell = found["rows"][0]["cells"][COLUMNS[0]]
    assert cell["value"] == 0.9
    assert cell["exposure"]["evidence"][0]["said"] == "its card"
    assert found["rows"][3]["cells"][COLUMNS[0]] is None


def test_the_json_of_what_is_shown_follows_rows_columns_and_order(small):
    small.get_by_role("button", name="Columns").click()
    small.get_by_role("checkbox", name="ndcg@10").uncheck()
    head(small, "recall@1").click()
    found = json.loads(saved(small, "JSON of what is shown"))
    assert [one["model"] for one in found["rows"]] == ["part/clean", "big/seen", "mid/clean", "low/unknown"]
    assert list(found["rows"][0]["cells"]) == [COLUMNS[1]]


def test_all_of_it_works_by_keyboard(small):
    small.keyboard.press("Tab")
    assert small.evaluate("document.activeElement.className") == "skip"
    small.keyboard.press("Enter")
    stops = []
    for _ in range(40):
        small.keyboard.press("Tab")
        stops.append(small.evaluate("document.activeElement.id || document.activeElement.innerText"))
        if small.evaluate("Boolean(document.activeElement.closest('tbody'))"):
            break
    assert {"q", "sort", "turn", "Filters", "Columns", "Download", "link", "Model", "recall@1"} <= set(stops)
    small.keyboard.press("ArrowDown")
    small.keyboard.press("ArrowRight")
    assert small.evaluate("document.activeElement.innerText.split('\\n')[0]") == "80.00"
    small.keyboard.press("End")
    assert small.evaluate("document.activeElement.innerText.split('\\n')[0]") == "60.00"
    assert small.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    small.keyboard.press("Enter")
    dialog = small.get_by_role("dialog", name="Task 1 recall@1")
    assert "out-of-domain" in dialog.inner_text()
    assert small.locator(".board tbody button[aria-expanded=true]").count() == 1
    small.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert small.evaluate("document.activeElement.innerText.split('\\n')[0]") == "60.00"
    small.keyboard.press("Home")
    small.keyboard.press("Enter")
    assert small.get_by_role("dialog", name="mid/clean").is_visible()
    assert hash_of(small) == "#model=mid%2Fclean"
    small.keyboard.press("Escape")
    small.wait_for_function("location.hash === ''")
    assert small.evaluate("document.activeElement.innerText") == "mid/clean"


def test_a_figure_tells_where_it_comes_from(visit):
    notes = Cell(
        0.61237, decimals=5, source="a/b@1234567:README.md", notes=("512 tokens", "printed with a slip"),
        ties=(0.6, 0.62), interval=(0.59, 0.63), ranks=(1, 3), exposure=SEEN, histogram=(1,) * 19 + (81,),
    )  # fmt: skip
    page = visit(html.render(replace(SMALL, rows=(row("m", notes, None, published="Ruri report"),))))
    page.locator(".board tbody td button").click()
    text = page.get_by_role("dialog").inner_text()
    for part in ("61.237", "published: Ruri report", "a/b@1234567:README.md", "printed with a slip", "59.00 – 63.00",
                 "1 to 3, as far as tests tell", "from 60.00 to 62.00", "in-domain", "its card"):  # fmt: skip
        assert part in text
    label = page.get_by_role("dialog").get_by_role("img").get_attribute("aria-label")
    assert label == "Histogram of 100 values of Task 0 ndcg@10: 1 in the lowest step, 81 in the highest, 18 between."


def test_a_task_tells_its_definitions(visit):
    column = replace_column(SMALL, "jsquad@valid1145", "recall@1")
    page = visit(html.render(replace(column, tasks=all_tasks())))
    page.get_by_role("columnheader", name="jsquad").get_by_role("button").click()
    text = page.get_by_role("dialog").inner_text()
    assert "recall@1/macro" in text
    assert "Kurihara et al., JGLUE" in text
    assert "JGLUE/JSQuAD:validation" in text


def replace_column(table, task, measure):
    column = table.board.columns[0].model_copy(update={"task": task, "measure": measure, "title": ""})
    columns = (column, *table.board.columns[1:])
    return replace(table, board=table.board.model_copy(update={"columns": columns, "average": None}))


def test_a_profile_sets_a_model_against_those_that_are_shown(small):
    small.get_by_role("button", name="mid/clean").click()
    dialog = small.get_by_role("dialog", name="mid/clean")
    lines = [line.split() for line in dialog.locator(".strips tbody tr").all_inner_texts()]
    assert [[word for word in line if word[0].isdigit() and "." in word] for line in lines] == [
        ["80.00", "80.00", "90.00"],
        ["60.00", "65.00", "95.00"],
    ]
    dialog.get_by_label("Choose a model").select_option("big/seen")
    assert small.get_by_role("dialog", name="big/seen").is_visible()


def test_the_chart_draws_what_is_shown_and_leads_to_a_model(small):
    small.locator("#chart").scroll_into_view_if_needed()
    small.locator("#plot svg").wait_for()
    assert "3 of the 4 shown models have both" in small.locator("#chart-said").inner_text()
    small.get_by_role("searchbox").fill("mid")
    small.wait_for_function("document.querySelectorAll('#plot .mark-symbol path').length === 1")
    small.locator("#plot .mark-symbol path").click()
    assert small.get_by_role("dialog", name="mid/clean").is_visible()


def test_hostile_names_are_text_everywhere(visit):
    table = made_up(len(HOSTILE) + 3, 3, names=HOSTILE)
    page = visit(html.render(table))
    assert page.title() == "made-up: a board of 3 tasks"
    assert page.locator("script").count() == 4
    assert page.locator("img, main b[onmouseover], iframe").count() == 0
    shown = names(page)
    for name in HOSTILE[:4]:
        assert name in shown
    assert "evil⟨U+202E⟩gpj.exe" in shown
    assert "zero⟨U+200B⟩width⟨U+0007⟩bell" in shown
    for i in range(len(HOSTILE)):
        page.locator(".board tbody th button").nth(i).click()
        page.keyboard.press("Escape")
    page.locator("#chart").scroll_into_view_if_needed()
    page.locator("#plot svg").wait_for()
    for mark in page.locator("#plot .mark-symbol path").all():
        mark.hover(force=True)
    assert page.locator("img, iframe").count() == 0


def test_the_index_leads_to_each_board_in_the_same_language(visit):
    page = visit(html.site([SMALL, made_up(0, 1)]), at="index.html#lang=ja")
    assert page.get_by_role("table").get_by_role("row").count() == 3
    page.get_by_role("link", name="made-up: a board of 2 tasks").click()
    page.wait_for_url("**/made-up.v1.html#lang=ja")


def test_a_board_without_rows_says_so(visit):
    page = visit(html.render(made_up(0, 2)))
    assert page.get_by_text("No results yet.").is_visible()


def test_without_script_the_table_is_there(browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(html.render(SMALL))
    assert page.get_by_role("row").count() == 6
    assert page.get_by_role("rowheader", name="mid/clean measured here").is_visible()
    assert not page.get_by_role("searchbox").is_visible()
    context.close()


def test_a_screen_reader_meets_a_table(small):
    tree = small.locator("table.board").aria_snapshot()
    assert 'rowheader "mid/clean measured here"' in tree
    assert 'columnheader "Task 0"' in tree
    assert 'cell "80.00 unseen"' in tree


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing(visit, lang, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = visit(
        html.render(made_up(12, 4, names=HOSTILE), index="index.html"),
        at=f"board.html#lang={lang}&dim=1", color_scheme=scheme, viewport={"width": width, "height": 844},
        reduced_motion="reduce",
    )  # fmt: skip
    found = axe.run(page).response["violations"]
    for button in page.locator(".tools [aria-controls]").all():
        button.click()
        found += axe.run(page).response["violations"]
    for details in page.locator("main details > summary:visible").all():
        details.click()
    page.locator("#plot").scroll_into_view_if_needed()
    page.locator("#plot svg").wait_for()
    found += axe.run(page).response["violations"]
    page.locator(".board tbody td button").first.click()
    found += axe.run(page).response["violations"]
    page.keyboard.press("Escape")
    page.locator(".board tbody th button").first.click()
    found += axe.run(page).response["violations"]
    assert [(one["id"], [node["html"][:160] for node in one["nodes"]][:3]) for one in found] == []


def test_axe_finds_nothing_in_the_index(visit):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = visit(html.site([SMALL]), at="index.html")
    assert axe.run(page).response["violations"] == []


def test_two_hundred_models_by_sixteen_open_and_sort_at_once(browser, large, tmp_path):
    path = tmp_path / "board.html"
    path.write_text(large, encoding="utf-8")
    opened, took = [], []
    for _ in range(5):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(path.as_uri())
        page.wait_for_function("performance.getEntriesByName('ready').length")
        opened.append(
            page.evaluate(
                "Math.max(performance.getEntriesByName('ready')[0].startTime,"
                " performance.getEntriesByType('navigation')[0].loadEventEnd)"
            )
        )
        time.sleep(0.3)
        took += page.evaluate(
            """async () => {
              const took = [];
              const heads = [...document.querySelectorAll("th[data-sort^='column:'] button")];
              for (const button of heads.slice(0, 6)) {
                const began = performance.now();
                button.click();
                document.querySelector("table").getBoundingClientRect();
                const sorted = performance.now() - began;
                await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
                took.push([sorted, performance.now() - began]);
              }
              return took;
            }"""
        )
        page.close()
    weight = path.stat().st_size
    opened.sort()
    painted = sorted(shown for _, shown in took)
    took = sorted(laid_out for laid_out, _ in took)
    print(
        f"\n200 models x 16 tasks: opens in {opened[0]:.0f} to {opened[-1]:.0f} ms (median {opened[2]:.0f}), "
        f"sorts in {took[0]:.0f} to {took[-1]:.0f} ms (median {took[15]:.0f}; {painted[15]:.0f} with the frame drawn), "
        f"weighs {weight / 1e6:.2f} MB"
    )
    assert opened[2] < 1000
    assert took[15] < 100
    assert weight < 3e6


def test_screenshots_of_the_real_board(request, browser, tmp_path):
    """Written where --screenshots says; the names tell what they show."""
    folder = request.config.getoption("--screenshots")
    if folder is None:
        pytest.skip("--screenshots FOLDER writes them")
    from tests.page.shots import take

    take(browser, folder, tmp_path)
    assert sorted(path.name for path in folder.glob("page-*.png"))
