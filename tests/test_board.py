"""A board is its definition and the results, nothing else; every format says the same."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from jbench import STS, Result, statistics
from jbench.board import draw
from jbench.exposure import Mean
from jbench.metrics import parse
from jbench.published import PublishedCell
from jbench.published.sizes import sizes
from jbench.registry import Average, Board, Column, board_tasks, find_board, home, locked_boards, own_boards
from jbench.render import FORMATS
from jbench.resample import Values
from jbench.types import Unavailable, UsageError

BOARD = Board(
    name="two",
    version=1,
    title="Two tasks",
    status="draft",
    columns=(
        Column(task="a@x", version=1, measure="spearman", title="A"),
        Column(task="b@x", version=1, measure="ndcg@10"),
    ),
    average=Average(name="mean of 2", over=("a@x spearman", "b@x ndcg@10")),
)


def result(model, task, value, **more):
    measure = "spearman" if task == "a@x" else "ndcg@10"
    base = {
        "schema": 1, "task": task, "task_version": 1, "kind": "sts", "model": model, "revision": "r1",
        "adapter": "dense", "main": measure, "scores": {measure: value}, "counts": {},
        "definitions": {m: parse(m).definition for m in (measure, "recall@10")},
        "data": {}, "prompts": {}, "settings": {}, "key": "k",
    }  # fmt: skip
    return Result(**{**base, **more})


RESULTS = [
    result("low", "a@x", 0.5),
    result("low", "b@x", 0.25),
    result("high", "a@x", 0.75),
    result("high", "b@x", 0.5, ties={"ndcg@10": (0.4, 0.65)}),
    result("part", "a@x", 0.99),
]


def line_of(text, label):
    """The cells of a row of the first Markdown table."""
    return [cell.strip() for cell in next(row for row in text.splitlines() if row.startswith(f"| {label} ")).split("|")]


def rows(results, board=BOARD):
    return [(r.label, [c and c.value for c in r.cells], r.average) for r in draw(board, results).rows]


def test_complete_rows_come_first_by_their_mean():
    assert rows(RESULTS) == [
        ("high", [0.75, 0.5], 0.625),
        ("low", [0.5, 0.25], 0.375),
        ("part", [0.99, None], None),
    ]


def test_the_order_of_results_changes_nothing():
    assert rows(RESULTS[::-1]) == rows(RESULTS)


def test_a_result_of_another_version_or_task_has_no_column():
    assert rows([result("m", "a@x", 0.5, task_version=2), result("m", "c@x", 0.5)]) == []


def test_revisions_and_variants_are_rows_of_their_own():
    found = rows(
        [
            result("m", "a@x", 0.1),
            result("m", "a@x", 0.2, revision="r2"),
            result("m", "a@x", 0.3, variant={"pooling": "cls", "prompts": {"query": "q: "}}),
            result("m", "a@x", 0.4, adapter="sparse"),
        ]
    )
    assert sorted(label for label, _, _ in found) == [
        "m @ r1 (adapter=dense)",
        "m @ r1 (adapter=sparse)",
        "m @ r1 (pooling=cls, query prompt='q: ')",
        "m @ r2",
    ]


def test_rows_are_told_apart_by_all_digits_of_the_digest():
    short = "local-0123456789ab"
    digests = [f"0123456789ab{digit * 52}" for digit in "cd"]
    found = [result("m", "a@x", 0.5 + i / 10, revision=short, digest=d) for i, d in enumerate(digests)]
    assert [row.label for row in draw(BOARD, found).rows] == ["m @ local-0123456789abd", "m @ local-0123456789abc"]


def test_a_revision_from_before_digests_is_marked_beside_one_that_has_a_digest():
    older = result("m", "a@x", 0.6, revision="local-ffffffffffff")
    newer = result("m", "a@x", 0.5, revision="local-0123456789ab", digest="0123456789ab" + "c" * 52)
    assert [row.label for row in draw(BOARD, [older, newer]).rows] == [
        "m @ local-ffffffff (older revision)",
        "m @ local-01234567",
    ]
    assert [row.label for row in draw(BOARD, [older]).rows] == ["m"]


def test_markdown_is_aligned_bold_and_explained():
    assert FORMATS["md"](draw(BOARD, RESULTS)) == (
        "# Two tasks (two.v1, draft)\n\n"
        "| model | A spearman | b@x ndcg@10 | mean of 2 |\n"
        "| :---- | ---------: | ----------: | --------: |\n"
        "| high  |      75.00 | **50.00** ≈ |     62.50 |\n"
        "| low   |      50.00 |       25.00 |     37.50 |\n"
        "| part  |  **99.00** |             |           |\n\n"
        "- A spearman: a@x, version 1\n"
        "- Figures are percentages, the best of a column bold; an empty cell was not measured.\n"
        "- mean of 2: the mean of A spearman, b@x ndcg@10; complete rows only.\n"
        "- Rows without it stand below, by the columns that they have; they are in no order of merit.\n"
        "- ≈ documents tie: another order of them moves the figure, by 25.00 at the most.\n"
    )


def test_a_model_that_ran_without_its_prompts_is_marked_in_every_format():
    table = draw(BOARD, [result("e5", "a@x", 0.5, unprompted=["sts"])])
    assert "| e5 †  |" in FORMATS["md"](table)
    assert "† ran without a prompt" in FORMATS["md"](table)
    assert next(csv.DictReader(io.StringIO(FORMATS["csv"](table))))["unprompted"] == "sts"
    assert json.loads(FORMATS["json"](table))["rows"][0]["unprompted"] == ["sts"]


def test_a_model_that_cuts_texts_is_marked():
    table = draw(BOARD, [result("m", "a@x", 0.5, counts={"truncated": 3})])
    assert "| m ‡" in FORMATS["md"](table)
    assert "‡ some texts were longer than the model reads" in FORMATS["md"](table)
    assert next(csv.DictReader(io.StringIO(FORMATS["csv"](table))))["truncated"] == "3"


def test_a_board_without_results_says_so():
    assert "No results yet." in FORMATS["md"](draw(BOARD, []))


@pytest.mark.parametrize(
    "name",
    [
        "_under_",
        "~~x~~",
        "high † ? §",
        "a|b\n| x",
        "<img src=x onerror=1>",
        "[x](javascript:1)",
        "**b**",
        "`c`",
        "a\u202eb",
        "\x1b[31mred",
        "&lt;",
    ],
)
def test_a_hostile_name_stays_in_its_cell(name):
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(FORMATS["md"](draw(BOARD, [result(name, "a@x", 0.5)])))
    cells = [t for t in tokens if t.type == "td_open"]
    inline = [t for t in tokens if t.type == "inline"]
    assert len(cells) == 4
    kinds = {child.type for t in inline[5:6] for child in t.children}
    assert kinds <= {"text", "text_special"}
    assert not {"\u202e", "\x1b"} & set("".join(t.content for t in inline))


def test_csv_gives_fractions_and_intervals_and_runs_nothing():
    text = FORMATS["csv"](draw(BOARD, [*RESULTS, result("=HYPERLINK()", "a@x", 0.1)]))
    first, *_, last = csv.DictReader(io.StringIO(text))
    assert (first["a@x spearman"], first["b@x ndcg@10"], first["b@x ndcg@10 low"]) == ("0.75", "0.5", "0.4")
    assert (first["mean of 2"], last["mean of 2"], last["model"]) == ("0.625", "", "'=HYPERLINK()")


def test_json_holds_definition_and_rows():
    found = json.loads(FORMATS["json"](draw(BOARD, RESULTS)))
    assert found["board"]["columns"][0]["task"] == "a@x"
    assert found["rows"][0]["cells"][1] == {"value": 0.5, "ties": [0.4, 0.65]}
    assert found["rows"][2]["cells"][1] is None


GOOD = """
name = "x"
version = 1
title = "X"
status = "draft"
[[columns]]
task = "a@x"
version = 1
measure = "ndcg@10"
"""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD.replace("ndcg", "ndgc"), "did you mean .*ndcg@10"),
        (GOOD.replace('status = "draft"', 'status = "final"'), "board x.toml: status"),
        (GOOD.replace('name = "x"', 'name = "../x"'), "board x.toml: name"),
        (GOOD + '[average]\nname = "m"\nover = []\n', "board x.toml: average.over"),
        (GOOD + "colour = 1\n", r"board x.toml: columns.0.colour: Extra"),
        (GOOD + '[average]\nname = "m"\nover = ["b@x ndcg@10"]\n', "average 'm' runs over 'b@x ndcg@10', not a column"),
        (GOOD + '[[columns]]\ntask = "a@x"\nversion = 1\nmeasure = "ndcg@10"\n', "stands twice"),
        ("name = ", "board x.toml: Invalid value"),
    ],
)
def test_a_bad_definition_is_one_line(text, says, tmp_path):
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(UsageError, match=says) as caught:
        find_board(str(tmp_path / "x.toml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("version = 1\nmeasure", "version = 2\nmeasure"), "mini-qa@v1 has version 1, not 2"),
        (("mini-qa@v1", "mini-qa"), "column 'mini-qa' must be written name@protocol"),
        (("ndcg@10", "recall@3"), "unknown measure of mini-qa@v1 'recall@3'; did you mean recall@"),
    ],
)
def test_a_column_that_its_task_would_leave_empty_is_refused(change, says, tmp_path):
    (tmp_path / "x.toml").write_text(GOOD.replace("a@x", "mini-qa@v1").replace("ndcg@10", "recall@1"))
    board = find_board(str(tmp_path / "x.toml"))
    assert [task.id for task in board_tasks(board)] == ["mini-qa@v1"]
    text = GOOD.replace("a@x", "mini-qa@v1").replace(*change)
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(UsageError, match=says):
        board_tasks(find_board(str(tmp_path / "x.toml")))


def test_the_order_in_which_a_variant_was_typed_splits_no_row():
    found = rows([result("m", "a@x", 0.1, variant={"a": 1, "b": 2}), result("m", "b@x", 0.3, variant={"b": 2, "a": 1})])
    assert found == [("m (a=1, b=2)", [0.1, 0.3], pytest.approx(0.2))]


def test_results_of_other_settings_never_share_a_row():
    found = rows([result("m", "a@x", 0.1, settings={"a": 1}), result("m", "b@x", 0.2, settings={"a": 2})])
    assert sorted(label for label, _, _ in found) == ["m (a=1)", "m (a=2)"]


def test_boards_are_found_by_name_by_version_and_by_path(tmp_path):
    (tmp_path / "x.toml").write_text(GOOD)
    assert find_board("mini").id == find_board("mini.v1").id == "mini.v1"
    assert find_board(str(tmp_path / "x.toml")).title == "X"
    with pytest.raises(UsageError, match="did you mean mini"):
        find_board("minni")
    with pytest.raises(Unavailable, match=r"nowhere.toml does not exist"):
        find_board("nowhere.toml")


def test_a_mean_runs_over_its_columns_alone_though_one_task_has_two():
    columns = (*BOARD.columns, Column(task="b@x", version=1, measure="recall@10"))
    average = Average(name="m", over=("a@x spearman", "b@x recall@10"))
    board = BOARD.model_copy(update={"columns": columns, "average": average})
    found = rows([result("m", "a@x", 0.2), result("m", "b@x", 0.9, scores={"ndcg@10": 0.9, "recall@10": 0.4})], board)
    assert found == [("m", [0.2, 0.9, 0.4], pytest.approx(0.3))]


def test_results_are_compared_without_their_host():
    assert result("m", "a@x", 0.5) == replace(result("m", "a@x", 0.5), host={"seconds": 9})


SIDE = BOARD.model_copy(update={"published": ("jqara", "jee")})


def quoted(model, task, value, decimals, origin="jee", note="", source="o/jee@1:scores.txt"):
    measure = "spearman" if task == "a@x" else "ndcg@10"
    return PublishedCell(model, task, measure, value, decimals, source, note, origin)


QUOTED = [
    quoted("high", "a@x", 0.8305, 4, note="fp16; called High there"),
    quoted("high", "b@x", 0.61, 2, note="fp16"),
    quoted("far", "a@x", 0.70123, 5, "jqara", source="o/jqara@2:README.md"),
    quoted("unseen", "a@x", 0.9, 4, "mteb"),
    quoted("high", "c@x", 0.9, 4),
]


def test_published_and_measured_rows_stand_in_one_table_and_never_mix():
    table = draw(SIDE, RESULTS, QUOTED)
    assert [(r.label, r.whose, r.average) for r in table.rows] == [
        ("high", "published: JapaneseEmbeddingEval", pytest.approx(0.72025)),
        ("high", "measured here", 0.625),
        ("low", "measured here", 0.375),
        ("part", "measured here", None),
        ("far", "published: JQaRA and JaCWIR", None),
    ]
    assert draw(SIDE, RESULTS[::-1], QUOTED[::-1]) == table


def test_a_published_half_never_completes_a_measured_one():
    found = draw(SIDE, [result("m", "a@x", 0.5)], [quoted("m", "b@x", 0.5, 2), quoted("m", "a@x", 0.1, 2, "jqara")])
    assert [r.average for r in found.rows] == [None, None, None]


def test_two_sources_of_one_family_make_one_row():
    board = SIDE.model_copy(update={"published": ("jqara", "jacwir")})
    (row,) = draw(board, [], [quoted("m", "a@x", 0.5, 2, "jqara"), quoted("m", "b@x", 0.25, 2, "jacwir")]).rows
    assert (row.published, row.average) == ("JQaRA and JaCWIR", 0.375)


def test_a_board_without_sources_shows_no_published_number():
    for form in FORMATS.values():
        assert form(draw(BOARD, RESULTS, QUOTED)) == form(draw(BOARD, RESULTS))
    assert "published" not in FORMATS["json"](draw(BOARD, RESULTS))


def test_a_source_that_is_not_known_is_one_line():
    with pytest.raises(UsageError, match=r"unknown published source of board two\.v1 'jea'; did you mean jee"):
        draw(BOARD.model_copy(update={"published": ("jea",)}), [])


def test_markdown_marks_whose_a_row_is_and_numbers_its_notes():
    assert FORMATS["md"](draw(SIDE, RESULTS, QUOTED)) == (
        "# Two tasks (two.v1, draft)\n\n"
        "| model  | source                           | A spearman | b@x ndcg@10 | mean of 2 |\n"
        "| :----- | :------------------------------- | ---------: | ----------: | --------: |\n"
        "| high ¹ | published: JapaneseEmbeddingEval |    83.05 ² |      **61** |     72.03 |\n"
        "| high   | measured here                    |      75.00 |     50.00 ≈ |     62.50 |\n"
        "| low    | measured here                    |      50.00 |       25.00 |     37.50 |\n"
        "| part   | measured here                    |  **99.00** |             |           |\n"
        "| far    | published: JQaRA and JaCWIR      |     70.123 |             |           |\n\n"
        "- A spearman: a@x, version 1\n"
        "- Figures are percentages, the best of a column bold; an empty cell was not measured, or not published.\n"
        "- source: a row is measured here throughout, or published elsewhere and shown as printed (a float as the CSV "
        "has it, with the source of each figure); a mean is of the figures in its row.\n"
        "- JQaRA and JaCWIR: o/jqara@2:README.md\n"
        "- JapaneseEmbeddingEval: o/jee@1:scores.txt\n"
        "- mean of 2: the mean of A spearman, b@x ndcg@10; complete rows only.\n"
        "- Rows without it stand below, by the columns that they have; they are in no order of merit.\n"
        "- ≈ documents tie: another order of them moves the figure, by 25.00 at the most.\n"
        "- ¹ fp16\n"
        "- ² called High there\n"
    )


def test_several_files_of_one_place_are_named_by_the_place():
    found = [quoted("m", "a@x", 0.5, 2, source=f"o/jee@{i}:scores/{i}.txt") for i in range(2)]
    assert "\n- JapaneseEmbeddingEval: o/jee\n" in FORMATS["md"](
        draw(SIDE, [], [found[0], replace(found[1], model="n")])
    )


def test_csv_marks_whose_a_row_is_and_keeps_the_printed_decimals():
    first, second, *_, last = csv.DictReader(io.StringIO(FORMATS["csv"](draw(SIDE, RESULTS, QUOTED))))
    assert (first["source"], second["source"]) == ("published: JapaneseEmbeddingEval", "measured here")
    assert (first["a@x spearman"], first["b@x ndcg@10"], second["a@x spearman"]) == ("0.8305", "0.61", "0.75")
    assert (first["a@x spearman source"], first["a@x spearman notes"]) == (
        "o/jee@1:scores.txt",
        "fp16; called High there",
    )
    assert (last["a@x spearman"], last["b@x ndcg@10"], last["b@x ndcg@10 source"]) == ("0.70123", "", "")


def test_json_marks_whose_a_row_is():
    found = json.loads(FORMATS["json"](draw(SIDE, RESULTS, QUOTED)))
    assert found["board"]["published"] == ["jqara", "jee"]
    published, measured, *_ = found["rows"]
    assert published["published"] == "JapaneseEmbeddingEval"
    assert published["cells"][1] == {
        "value": 0.61, "ties": None, "decimals": 2, "source": "o/jee@1:scores.txt", "notes": ["fp16"],
    }  # fmt: skip
    assert "published" not in measured
    assert measured["cells"][1] == {"value": 0.5, "ties": [0.4, 0.65]}


def test_a_hostile_note_stays_text():
    from markdown_it import MarkdownIt

    hostile = quoted("m", "a@x", 0.5, 2, note="<img src=x> [x](y) | z", source="<b>[x](y)")
    tokens = MarkdownIt("commonmark").enable("table").parse(FORMATS["md"](draw(SIDE, [], [hostile])))
    kinds = {child.type for t in tokens if t.type == "inline" for child in t.children}
    assert kinds <= {"text", "text_special", "strong_open", "strong_close"}


# What the models have seen


def task_of(task_id, *sources):
    """A task that is only named: nothing is loaded to draw a board."""
    name, protocol = task_id.split("@")
    return STS(name=name, protocol=protocol, version=1, load=lambda: None, license="", sources=sources)


SEEN = {"a@x": task_of("a@x", "JGLUE/JSQuAD:validation"), "b@x": task_of("b@x", "Mr.TyDi-ja:test")}
"""By the ledger, JaColBERT has seen neither, ruri-small MIRACL's training split, and of others nobody knows."""
SHOWN = [result(m, t, 0.5) for m in ("bclavie/JaColBERT", "pkshatech/GLuCoSE-base-ja", "mine") for t in ("a@x", "b@x")]


def test_each_cell_says_what_its_model_has_seen():
    found = {r.label: [c.exposure.domain for c in r.cells] for r in draw(BOARD, SHOWN, tasks=SEEN).rows}
    assert found == {
        "bclavie/JaColBERT": ["out-of-domain", "out-of-domain"],
        "pkshatech/GLuCoSE-base-ja": ["unknown", "in-domain"],
        "mine": ["unknown", "unknown"],
    }


def test_means_by_domain_say_how_many_columns_they_cover_and_rank_nobody():
    found = [result("pkshatech/GLuCoSE-base-ja", "b@x", 0.9), result("mine", "a@x", 0.1), result("mine", "b@x", 0.1)]
    table = draw(BOARD, found, tasks=SEEN)
    assert [(row.label, dict(row.means)) for row in table.rows] == [
        ("mine", {"unknown": Mean(0.1, 2)}),
        ("pkshatech/GLuCoSE-base-ja", {"in-domain": Mean(0.9, 1)}),
    ]


def test_a_declared_training_set_marks_the_whole_row():
    told = {"datasets": [{"name": "Mr.TyDi-ja", "split": "train", "flag": "train_split_seen", "evidence": "card"}]}
    found = draw(BOARD, [result("mine", "a@x", 0.5, training=told), result("mine", "b@x", 0.5)], tasks=SEEN)
    assert [cell.exposure.word for cell in found.rows[0].cells] == ["unknown", "train"]


def test_columns_that_no_shown_model_has_seen_are_named():
    assert draw(BOARD, SHOWN[:2], tasks=SEEN).unseen == ("a@x spearman", "b@x ndcg@10")
    assert draw(BOARD, [SHOWN[0], SHOWN[1], SHOWN[3]], tasks=SEEN).unseen == ("a@x spearman",)
    assert draw(BOARD, SHOWN, tasks=SEEN).unseen == ()


def test_markdown_says_exposure_by_sign_and_in_words():
    text = FORMATS["md"](draw(BOARD, [SHOWN[2], SHOWN[3], result("bclavie/JaColBERT", "b@x", 0.4)], tasks=SEEN))
    assert line_of(text, "pkshatech/GLuCoSE-base-ja")[2:5] == ["50.00 ?", "***50.00***", "50.00"]
    assert line_of(text, "bclavie/JaColBERT")[2:5] == ["", "40.00", ""]
    assert "- Italic: in-domain" in text
    assert "- ? nobody says" in text
    assert "- Columns that no model here has seen, as far as is stated: none." in text
    assert (
        "| model                     |        A |    b@x | in-domain mean | out-of-domain mean |\n"
        "| :------------------------ | -------: | -----: | -------------: | -----------------: |\n"
        "| pkshatech/GLuCoSE-base-ja | unknown! |  train |      50.00 (1) |                    |\n"
        "| bclavie/JaColBERT         |          | unseen |                |          40.00 (1) |\n"
    ) in text
    assert (
        "- ! pkshatech/GLuCoSE-base-ja, JGLUE/JSQuAD:validation: unknown is shown; unseen by italics of table 2" in text
    )


def test_a_board_that_no_model_has_seen_says_so_in_a_line():
    text = FORMATS["md"](draw(BOARD, SHOWN[:2], tasks=SEEN))
    assert "- Out-of-domain: no model here has seen the data of any task that it is shown for." in text
    assert "## What the models have seen" not in text


def test_csv_and_json_say_exposure_too():
    table = draw(BOARD, SHOWN[2:4], tasks=SEEN)
    row = next(csv.DictReader(io.StringIO(FORMATS["csv"](table))))
    assert (row["a@x spearman exposure"], row["b@x ndcg@10 exposure"]) == ("unknown!", "train_split_seen")
    assert (row["in-domain mean"], row["in-domain columns"]) == ("0.5", "1")
    cell = json.loads(FORMATS["json"](table))["rows"][0]["cells"][1]
    assert (cell["exposure"]["flag"], cell["exposure"]["domain"]) == ("train_split_seen", "in-domain")
    assert cell["exposure"]["evidence"][0]["data"].startswith("Mr.TyDi-ja")


# Intervals and ranks


def values_of(one, by_query):
    """The per-query values of a result, as if they lay beside it."""
    items = tuple(f"q{i}" for i in range(len(by_query)))
    columns = {one.main: np.array(by_query, float)}
    return Values(one, items, columns, np.arange(len(items)), len(items), clustered=False)


def measured(model, by_query, **more):
    one = result(
        model, "b@x", sum(by_query) / len(by_query), **{"kind": "retrieval", "host": {"values": model}, **more}
    )
    return one, values_of(one, by_query)


def spread_over(*both):
    beside = {id(one): values for one, values in both}
    return draw(BOARD, [one for one, _ in both], values=lambda one: beside.get(id(one)))


def test_intervals_and_ranks_stand_with_the_values_that_give_them():
    table = spread_over(
        measured("good", [1.0, 0.9] * 20), measured("fair", [0.9, 1.0] * 20), measured("bad", [0.0, 0.1] * 20)
    )
    found = {row.label: row.cells[1] for row in table.rows}
    assert {label: cell.ranks for label, cell in found.items()} == {"good": (1, 2), "fair": (1, 2), "bad": (3, 3)}
    low, high = found["bad"].interval
    assert 0.03 < low < 0.05 < high < 0.07
    assert found["bad"].histogram == (20, 0, 20, *[0] * 17)
    assert "95 % percentile bootstrap over queries" in table.method
    text = FORMATS["md"](table)
    assert line_of(text[text.index("## Intervals") :], "bad")[2] == f"{100 * low:.2f} to {100 * high:.2f}, 3"
    row = next(r for r in csv.DictReader(io.StringIO(FORMATS["csv"](table))) if r["model"] == "bad")
    assert (row["b@x ndcg@10 interval low"], row["b@x ndcg@10 worst rank"]) == (str(low), "3")


def test_a_row_without_values_has_no_interval():
    one, _ = measured("alone", [0.5, 0.6])
    assert draw(BOARD, [one]).rows[0].cells[1].interval is None
    assert "## Intervals" not in FORMATS["md"](draw(BOARD, [one]))


def test_a_score_that_its_values_contradict_is_kept_out():
    one, _ = measured("liar", [0.5, 0.6])
    table = spread_over((one, values_of(one, [0.1, 0.2])), measured("fair", [0.5, 0.7]))
    assert [(row.label, row.cells[1].interval is None) for row in table.rows] == [("fair", False), ("liar", True)]
    why = "the per-query values give ndcg@10 0.150000, the result says 0.550000"
    assert table.complaints == (f"liar on b@x: {why}",)
    assert [row.cells[1].apart for row in table.rows] == ["", why]


def test_values_that_are_not_the_results_own_keep_it_out():
    def torn(one):
        raise Unavailable("the per-query values are not those that were written with the result")

    (row,) = draw(BOARD, [result("m", "a@x", 0.5)], values=torn).rows
    assert (row.average, row.cells[0].apart) == (
        None,
        "the per-query values are not those that were written with the result",
    )


def test_results_of_one_row_that_disagree_are_both_named_and_neither_counts():
    (row,) = draw(BOARD, [result("m", "a@x", 0.5), result("m", "a@x", 0.9)]).rows
    assert (row.cells[0].value, row.cells[0].apart) == (0.5, "results of one row disagree (spearman 0.5000 and 0.9000)")


def test_a_result_on_the_columns_data_counts_whatever_lies_beside_it():
    table = draw(BOARD, [on("b", "m", 0.9), on("a", "m")], data={("a@x", 1): "a" * 64})
    assert [(row.cells[0].value, row.cells[0].apart) for row in table.rows] == [(0.5, "")]


def test_incomplete_rows_are_in_no_order_of_merit():
    found = [result("high", "b@x", 0.9), result("low", "a@x", 0.1), result("mid", "b@x", 0.5)]
    table = draw(BOARD, found)
    assert [row.label for row in table.rows] == ["low", "high", "mid"]
    assert "they are in no order of merit" in FORMATS["md"](table)


def test_rows_that_differ_in_settings_alone_are_told_apart_in_csv():
    table = draw(BOARD, [result("m", "a@x", 0.1, settings={"a": 1}), result("m", "a@x", 0.2, settings={"a": 2})])
    assert sorted(r["label"] for r in csv.DictReader(io.StringIO(FORMATS["csv"](table)))) == ["m (a=1)", "m (a=2)"]


def test_revisions_are_told_apart_by_as_much_as_it_takes():
    found = rows([result("m", "a@x", 0.1, revision=f"local-12345678{end}") for end in ("aaaa", "aabb")])
    assert sorted(label for label, *_ in found) == ["m @ local-12345678aaa", "m @ local-12345678aab"]


def test_a_model_that_has_seen_a_column_outside_the_average_is_in_the_table_of_what_models_have_seen():
    board = BOARD.model_copy(update={"average": Average(name="m", over=("a@x spearman",))})
    text = FORMATS["md"](draw(board, SHOWN[2:4], tasks=SEEN))
    assert line_of(text[text.index("## What") :], "pkshatech/GLuCoSE-base-ja")[2:4] == ["unknown!", "train"]


def test_nothing_is_called_out_of_domain_while_a_task_is_not_known():
    known = {"a@x": SEEN["a@x"]}
    text = FORMATS["md"](draw(BOARD, SHOWN[:2], tasks=known))
    assert "Out-of-domain: no model here" not in text
    assert "Columns that no model here has seen, as far as is stated: A spearman." in text


def test_intervals_are_computed_once(monkeypatch):
    both = [measured("good", [1.0, 0.9] * 20), measured("fair", [0.9, 1.0] * 20)]
    first = spread_over(*both)
    for name in ("score_interval", "rank_intervals"):
        monkeypatch.setattr(statistics, name, lambda *args: pytest.fail("computed again"))
    again = spread_over(*both)
    assert again == first
    assert again.rows[0].cells[1].interval


# Results that do not belong together


def on(data, model, value=0.5):
    return result(model, "a@x", value, data={"sha256": data * 64})


def test_a_result_on_other_data_is_named_and_kept_out_of_means_and_best_figures():
    board = BOARD.model_copy(update={"average": Average(name="m", over=("a@x spearman",))})
    table = draw(board, [on("a", "one"), on("a", "two", 0.4), on("b", "other", 0.9)])
    assert [(row.label, row.average) for row in table.rows] == [("one", 0.5), ("two", 0.4), ("other", None)]
    why = "measured on other data (sha256 bbbbbbbbbbbb; the column's is aaaaaaaaaaaa)"
    assert table.complaints == (f"other on a@x: {why}",)
    text = FORMATS["md"](table)
    assert (line_of(text, "other")[2], line_of(text, "one")[2]) == ("90.00 §", "**50.00**")
    assert "- § kept out of means" in text
    assert [r["a@x spearman apart"] for r in csv.DictReader(io.StringIO(FORMATS["csv"](table)))] == ["", "", why]
    assert json.loads(FORMATS["json"](table))["rows"][2]["cells"][0]["apart"] == why


def test_a_result_by_another_definition_is_kept_out_too():
    (row,) = draw(BOARD, [result("m", "a@x", 0.5, definitions={"spearman": "spearman/first-come-ranks"})]).rows
    assert row.cells[0].apart.startswith("spearman by another definition ('spearman/first-come-ranks', not spearman/")


def test_a_measure_that_jbench_cannot_take_is_never_counted_as_measured():
    board = BOARD.model_copy(update={"columns": (Column(task="p@x", version=1, measure="binary_f1"),), "average": None})
    one = result("m", "p@x", 0.5, scores={"binary_f1": 0.5}, definitions={"binary_f1": ""})
    assert draw(board, [one]).rows[0].cells[0].apart == "binary_f1 by another definition ('', not known here)"


def test_the_data_of_the_projects_own_baselines_decides():
    table = draw(BOARD, [on("a", "one"), on("a", "two"), on("b", "own")], data={("a@x", 1): "b" * 64})
    assert {row.label for row in table.rows if row.cells[0].apart} == {"one", "two"}


def test_where_no_data_is_the_more_usual_none_is_counted():
    table = draw(BOARD, [on("a", "one"), on("b", "two")])
    assert [row.cells[0].apart for row in table.rows] == [
        "measured on other data (sha256 aaaaaaaaaaaa; others' differs, and neither is the more usual)",
        "measured on other data (sha256 bbbbbbbbbbbb; others' differs, and neither is the more usual)",
    ]


# Cost


def test_cost_is_shown_where_a_board_asks_for_it():
    cost = {"parameters": 111207168, "dimension": 768, "bytes_per_document": 1536.0, "ms_per_query": 2.5}
    found = [
        result("m", "a@x", 0.5, host={"cost": cost}),
        result("m", "b@x", 0.5, host={"cost": {**cost, "ms_per_query": 3.5}}),
    ]
    assert "parameters" not in FORMATS["md"](draw(BOARD, found))
    assert "111207168" not in FORMATS["json"](draw(BOARD, found))
    asked = draw(BOARD.model_copy(update={"cost": True}), found)
    assert "|      111 M |       768 |              1,536 |          3.0 |" in FORMATS["md"](asked)
    assert next(csv.DictReader(io.StringIO(FORMATS["csv"](asked))))["ms_per_query"] == "3.0"
    assert json.loads(FORMATS["json"](asked))["rows"][0]["cost"]["dimension"] == 768


@pytest.mark.parametrize(
    "cost", ["big", None, {"parameters": "<b>"}, {"parameters": True}, {"parameters": float("inf")}]
)
def test_a_strangers_cost_that_is_no_number_is_no_cost(cost):
    assert draw(BOARD, [result("m", "a@x", 0.5, host={"cost": cost})]).rows[0].cost == {}


def test_the_sizes_of_published_models_are_those_of_their_source():
    import mteb

    known = sizes()
    assert known["cl-nagoya/ruri-small"] == {"parameters": 68_087_808, "dimension": 768}
    for model in ("BAAI/bge-m3", "intfloat/multilingual-e5-large", "sbintuitions/sarashina-embedding-v1-1b"):
        meta = mteb.get_model_meta(model, fetch_from_hf=False)
        assert known[model] == {"parameters": meta.n_parameters, "dimension": meta.embed_dim}
    found = draw(SIDE, [], [quoted(name, "a@x", 0.5, 2) for name in ("BAAI/bge-m3", "BAAI/bge-m3 (sparse)")])
    assert {row.label: set(row.cost) for row in found.rows} == {
        "BAAI/bge-m3": {"parameters", "dimension"}, "BAAI/bge-m3 (sparse)": {"parameters"},
    }  # fmt: skip


def test_a_number_of_another_version_of_a_task_has_no_column():
    assert draw(SIDE, [], [replace(quoted("m", "a@x", 0.5, 2), version=2)]).rows == ()


# Published versions


def sealed(board):
    return f"{board.id} = {board.sealed}\n"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("ndcg@10", "ndcg@20"), "x.v1 differs from what was published"),
        (("a@x", "b@x"), "x.v1 differs from what was published"),
        (('task = "a@x"\nversion = 1', 'task = "a@x"\nversion = 2'), "x.v1 differs from what was published"),
        (('status = "published"', 'status = "draft"'), "cannot be a draft again"),
    ],
)
def test_a_published_board_never_changes(change, says, tmp_path):
    path, text = tmp_path / "x.toml", GOOD.replace('"draft"', '"published"')
    path.write_text(GOOD)
    (tmp_path / "versions.lock").write_text(sealed(find_board(str(path))).replace("x.v1", "y.v1"))
    path.write_text(text)
    with pytest.raises(UsageError, match=r"published: versions\.lock beside it must say: x\.v1 = [0-9a-f]{64}"):
        find_board(str(path))
    (tmp_path / "versions.lock").unlink()
    path.write_text(GOOD)
    (tmp_path / "versions.lock").write_text("")
    locked = sealed(find_board(str(path)))
    path.write_text(text)
    (tmp_path / "versions.lock").write_text(locked)
    assert find_board(str(path)).status == "published"
    path.write_text(text.replace('title = "X"', 'title = "Y"\npublished = ["mteb"]\ncost = true\nmodels = ["ngram"]'))
    assert find_board(str(path)).title == "Y"  # rows may grow
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(UsageError, match=says):
        find_board(str(path))


@pytest.mark.parametrize("line", ["x.v1", "x.v1 = abc", "x.v1 = " + "0" * 64 + "\nx.v1 = " + "0" * 64])
def test_a_lock_that_cannot_be_read_is_one_line(line, tmp_path):
    (tmp_path / "versions.lock").write_text(line)
    with pytest.raises(UsageError, match=r"versions\.lock, line \d: expected a board and its sha256"):
        locked_boards(tmp_path / "versions.lock")


def test_every_board_that_was_published_is_still_there():
    assert set(locked_boards(home("leaderboards") / "versions.lock")) == {
        board.id for board in own_boards() if board.status == "published"
    }
