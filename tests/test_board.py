"""A board is its definition and the results, nothing else; every format says the same."""

import csv
import io
import json
from dataclasses import replace

import pytest

from jbench import Result
from jbench.board import draw
from jbench.published import PublishedCell
from jbench.registry import Average, Board, Column, board_tasks, find_board
from jbench.render import FORMATS
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
        "adapter": "dense", "main": measure, "scores": {measure: value}, "definitions": {}, "counts": {},
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
    ["a|b\n| x", "<img src=x onerror=1>", "[x](javascript:1)", "**b**", "`c`", "a\u202eb", "\x1b[31mred", "&lt;"],
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
        "- Figures are percentages, the best of a column bold; an empty cell was not measured.\n"
        "- source: a row is measured here throughout, or published elsewhere and shown as printed; a mean is of the "
        "figures in its row. The CSV has the source of each figure.\n"
        "- JQaRA and JaCWIR: o/jqara@2:README.md\n"
        "- JapaneseEmbeddingEval: o/jee@1:scores.txt\n"
        "- mean of 2: the mean of A spearman, b@x ndcg@10; complete rows only.\n"
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
