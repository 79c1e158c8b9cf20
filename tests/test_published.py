"""What others published stands as they printed it, names its source, and is read when a board asks for it."""

import subprocess
import sys
from collections import Counter
from statistics import fmean

import pytest

import jbench
from jbench.published import FAMILIES, cells, plain, read
from jbench.published.sizes import size_of
from jbench.registry import find_board, home, own_tasks
from jbench.types import UsageError

NUMBERS = {(c.origin, c.model, c.task, c.measure): c for c in cells()}


def number(origin, model, task, measure):
    cell = NUMBERS[origin, model, task, measure]
    return f"{cell.value:.{cell.decimals}f}"


def of(origin, task, measure):
    """The cells of one column of a source by model."""
    return {c.model: c for c in cells() if (c.origin, c.task, c.measure) == (origin, task, measure)}


def half(cell):
    """Half a unit of the last decimal that was printed, and what a binary fraction adds."""
    return 0.5 * 10**-cell.decimals + 1e-9


def test_every_source_has_its_cells():
    assert Counter(c.origin for c in cells()) == {
        "simcse": 5 * 84,
        "jacolbert": 13 * 9 + 3 * 3 + 5,
        "jacolbert-card": 9 * 12,
        "dvsb-2024": 14 * (3 + 5),
        "ruri": 9 * 3 + 10 * 7,
        "ruri-card": 12 * 5,
        "jmteb-v1": 29 * 17,
        "jqara": 37 * 2,
        "jacwir": 34 * 2,
        "jee": 36 * 2 + 36 - 4,
        "mteb": 525,
        "bm25": 8,
    }
    assert {c.origin for c in cells()} == set(FAMILIES)


@pytest.mark.parametrize(
    ("origin", "model", "task", "measure", "printed"),
    [
        ("simcse", "cl-nagoya/sup-simcse-ja-large", "jsick@simcse-dev4500", "spearman", "0.8436"),
        ("simcse", "cl-nagoya/sup-simcse-ja-large", "jsick@test4927", "spearman", "0.8305"),
        ("simcse", "cl-nagoya/sup-simcse-ja-base", "jsts@train12451", "spearman", "0.7786"),
        ("simcse", "cl-nagoya/unsup-simcse-ja-large", "jsts@valid1457", "spearman", "0.8140"),
        ("simcse", "cl-nagoya/unsup-simcse-ja-base", "jsts@train12451", "spearman", "0.7448"),
        ("simcse", "cl-tohoku/bert-base-japanese-v3 (sup-simcse JSNLI)", "jsick@test4927", "spearman", "0.8266"),
        ("simcse", "nlp-waseda/roberta-large-japanese (sup-simcse JSNLI)", "simcse-mean@3", "mean", "0.8166"),
        ("simcse", "cl-tohoku/bert-large-japanese-v2 (unsup-simcse Wiki40B)", "jsts@valid1457", "spearman", "0.8100"),
        ("simcse", "cl-tohoku/bert-base-japanese-v3 (CLS)", "jsick@test4927", "spearman", "0.5191"),
        ("jacolbert", "bclavie/JaColBERT", "jsquad@valid1145", "recall@1", "0.90567"),
        ("jacolbert", "bclavie/JaColBERT", "miracl-ja@jacolbert156722", "recall@10", "0.64494"),
        ("jacolbert", "intfloat/multilingual-e5-large", "mrtydi-ja@rand100k-seed42", "recall@3", "0.81273"),
        ("jacolbert", "intfloat/multilingual-e5-small", "mrtydi-ja@rand100k-seed42", "recall@3", "0.76366"),
        ("jacolbert", "sonoisa/sentence-bert-base-ja-mean-tokens-v2", "jsquad@valid1145", "recall@1", "0.65421"),
        ("jacolbert", "openai/text-embedding-ada-002", "jsquad@valid1145", "recall@10", "0.937866"),
        ("jacolbert", "intfloat/multilingual-e5-large", "jacolbert-mean@recall1-3", "mean", "0.730"),
        ("jacolbert-card", "bclavie/JaColBERT", "jsquad@valid1145", "recall@1", "0.906"),
        ("jacolbert-card", "bclavie/JaColBERT", "jacolbert-mean@recall10", "mean", "0.813"),
        ("jacolbert-card", "intfloat/multilingual-e5-small", "mrtydi-ja@rand100k-seed42", "recall@3", "0.767"),
        ("jacolbert-card", "bclavie/fio-base-japanese-v0.1", "jacolbert-mean@recall5", "mean", "0.629"),
        ("dvsb-2024", "bclavie/JaColBERTv2", "jsquad@valid1145", "recall@1", "0.920756"),
        ("dvsb-2024", "bclavie/JaColBERTv2", "miracl-ja@dvsb2024", "recall@3", "0.622286"),
        ("dvsb-2024", "BAAI/bge-m3", "miracl-ja@dvsb2024", "recall@100", "0.980984"),
        ("dvsb-2024", "bclavie/JaColBERT", "miracl-ja@dvsb2024", "recall@10", "0.748628"),
        ("dvsb-2024", "intfloat/multilingual-e5-large", "miracl-ja@dvsb2024", "recall@5", "0.741041"),
        ("ruri", "cl-nagoya/ruri-reranker-large", "jqara@test", "ndcg@10", "0.771"),
        ("ruri", "cl-nagoya/ruri-reranker-small", "jacwir@eval", "map@10", "0.926"),
        ("ruri", "BAAI/bge-reranker-v2-m3", "miracl-ja@jee-pool300", "micro-recall@30", "0.949"),
        ("ruri", "cl-nagoya/ruri-large", "jmteb-mean@v1", "mean", "0.7331"),
        ("ruri", "cl-nagoya/ruri-pt-small", "jmteb-mean@v1-retrieval", "mean", "0.6739"),
        ("ruri", "cl-nagoya/ruri-base (without pre-training)", "jmteb-mean@v1-clustering", "mean", "0.5185"),
        ("ruri", "cl-nagoya/ruri-pt-large (without synthetic retrieval)", "jmteb-mean@v1", "mean", "0.7111"),
        ("ruri-card", "cl-nagoya/sup-simcse-ja-base", "jmteb-mean@v1-macro", "mean", "0.6856"),
        ("ruri-card", "intfloat/multilingual-e5-large", "jmteb-mean@v1-macro", "mean", "0.7165"),
        ("ruri-card", "openai/text-embedding-3-large", "jmteb-mean@v1-clustering", "mean", "0.5332"),
        ("jmteb-v1", "cl-nagoya/ruri-large", "mrtydi-ja@jmteb-v1", "ndcg@10", "0.3803302"),
        ("jmteb-v1", "sbintuitions/sarashina-embedding-v1-1b", "jaqket@jmteb-v1", "ndcg@10", "0.7279486"),
        ("jmteb-v1", "pkshatech/GLuCoSE-base-ja", "paws-x-ja@jmteb-v1", "binary_f1", "0.6638831"),
        ("jmteb-v1", "openai/text-embedding-3-large", "nlp-journal-abs-intro@jmteb-v1", "ndcg@10", "0.9932811"),
        ("jmteb-v1", "colorfulscoop/sbert-base-ja", "mewsc16-ja@jmteb-v1", "v_measure", "0.4664167"),
        ("jqara", "cl-nagoya/ruri-large", "jqara@test", "ndcg@10", "0.6287"),
        ("jqara", "answerdotai/JaColBERTv2.5", "jqara@test", "ndcg@10", "0.6420"),
        ("jqara", "BAAI/bge-m3", "jqara@test", "ndcg@10", "0.5390"),
        ("jqara", "BAAI/bge-m3 (all)", "jqara@test", "mrr@10", "0.8178"),
        ("jqara", "bm25", "jqara@test", "ndcg@10", "0.4580"),
        ("jacwir", "cl-nagoya/ruri-reranker-large", "jacwir@eval", "map@10", "0.9463"),
        ("jacwir", "cl-nagoya/ruri-large", "jacwir@eval", "hit@10", "0.9594"),
        ("jacwir", "bclavie/JaColBERTv2", "jacwir@eval", "map@10", "0.9185"),
        ("jacwir", "BAAI/bge-m3 (sparse)", "jacwir@eval", "map@10", "0.8944"),
        ("jacwir", "bm25", "jacwir@eval", "map@10", "0.8408"),
        ("jee", "cl-nagoya/ruri-large", "jsick@test4927", "spearman", "0.8191"),
        ("jee", "cl-nagoya/ruri-large", "miracl-ja@jee-pool300", "micro-recall@30", "0.8642"),
        ("jee", "bclavie/JaColBERT", "miracl-ja@jee-pool300", "micro-recall@30", "0.8575"),
        ("jee", "bclavie/JaColBERT", "miracl-ja@jee-first100", "micro-recall@30", "0.8718"),
        ("jee", "openai/text-embedding-3-large", "jsts@valid1457", "spearman", "0.8377"),
        ("mteb", "cl-nagoya/ruri-large", "jqara@mteb", "ndcg@10", "0.60645"),
        ("mteb", "cl-nagoya/ruri-large", "jqara@mteb", "map@1000", "0.53725"),
        ("mteb", "cl-nagoya/ruri-large", "jacwir@mteb", "map@1000", "0.82348"),
        ("mteb", "cl-nagoya/ruri-large", "esci-ja@mteb", "map@1000", "0.82829"),
        ("mteb", "cl-nagoya/ruri-large", "jsick@mteb", "spearman", "0.826613"),
        ("mteb", "mteb/baseline-bm25s", "jacwir@mteb", "ndcg@10", "0.21387"),
        ("bm25", "bm25 (Anserini)", "miracl-ja@dev-full", "ndcg@10", "0.3689"),
        ("bm25", "bm25 (Anserini)", "miracl-ja@dev-full", "recall@100", "0.8048"),
        ("bm25", "bm25 (Anserini)", "mrtydi-ja@test-full", "mrr@100", "0.2125"),
        ("bm25", "bm25 (Anserini)", "mrtydi-ja@test-full", "recall@100", "0.6431"),
        ("bm25", "bm25 (Anserini)", "mrtydi-ja@train-full", "mrr@100", "0.2262"),
    ],
)  # fmt: skip
def test_a_number_stands_as_it_was_printed(origin, model, task, measure, printed):
    assert number(origin, model, task, measure) == printed


SHARED = ("miracl-ja@dev-full", "jsick@mteb")
"""Protocols of mteb that are run here too."""


def test_one_data_set_under_several_protocols_is_several_columns():
    found = {c.task for c in cells() if c.task.startswith("jsick@") and c.model == "cl-nagoya/ruri-large"}
    assert found == {"jsick@test4927", "jsick@jmteb-v1", "jsick@mteb"}
    assert not {c.task for c in cells() if c.origin in ("mteb", "jmteb-v1")} & {
        task.id for task in own_tasks().values() if task.group != "published only" and task.id not in SHARED
    }


def test_jmteb_prints_the_micro_mean_of_sixteen_data_sets():
    board = find_board("jmteb-v1")
    columns = [of("jmteb-v1", column.task, column.measure) for column in board.columns]
    assert len(columns) == len(board.average.over) == 16
    for model, printed in of("jmteb-v1", "jmteb-mean@v1", "mean").items():
        mean = fmean(column[model].value for column in columns)
        assert f"{100 * mean:.2f}" == f"{100 * printed.value:.2f}"


def test_ruri_and_jmteb_print_the_same_for_the_same_model():
    for task, measure in (
        ("jmteb-mean@v1", "mean"),
        ("esci-ja@jmteb-v1", "ndcg@10"),
        ("paws-x-ja@jmteb-v1", "binary_f1"),
    ):
        ruri, jmteb = of("ruri", task, measure), of("jmteb-v1", task, measure)
        both = set(ruri) & set(jmteb)
        assert both == {"cl-nagoya/ruri-small", "cl-nagoya/ruri-base", "cl-nagoya/ruri-large"}
        assert all(abs(ruri[m].value - jmteb[m].value) <= half(ruri[m]) for m in both)


@pytest.mark.parametrize(("task", "relevant"), [("miracl-ja@jee-pool300", 1790), ("miracl-ja@jee-first100", 195)])
def test_micro_recall_is_a_share_of_all_relevant_passages(task, relevant):
    for cell in of("jee", task, "micro-recall@30").values():
        assert abs(round(cell.value * relevant) / relevant - cell.value) <= half(cell)


def test_recall_of_jsquad_is_a_share_of_its_questions():
    for cell in cells():
        if cell.task == "jsquad@valid1145":
            assert abs(round(cell.value * 4442) / 4442 - cell.value) <= half(cell)


def test_two_sources_of_one_protocol_agree_on_released_models():
    for task in ("jsick@test4927", "jsts@valid1457"):
        report, again = of("simcse", task, "spearman"), of("jee", task, "spearman")
        released = [m for m in report if m.startswith("cl-nagoya/")]
        assert len(released) == 4
        assert all(abs(report[m].value - again[m].value) <= 0.00015 for m in released)


def test_every_number_of_the_package_is_one_of_its_task_s_first_version():
    assert {cell.version for cell in cells()} == {1}
    assert {own_tasks()[cell.task].version for cell in cells()} == {1}


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("BAAI/bge-m3 (colbert)", "BAAI/bge-m3"),
        ("a/b (mean)", "a/b"),
        ("a/b (CLS)", "a/b"),
        ("bm25 (Anserini)", "bm25"),
        ("a/b (SentenceTransformer)", "a/b"),
        ("a/b (sup-simcse JSNLI)", "a/b (sup-simcse JSNLI)"),
        ("a/b (without pre-training)", "a/b (without pre-training)"),
        ("a/b (int8)", "a/b (int8)"),
        ("a/b (mean) c", "a/b (mean) c"),
    ],
)
def test_a_bracket_that_means_the_same_weights_is_no_part_of_a_name(name, same):
    assert plain(name) == same


def test_every_bracket_of_a_published_name_is_the_same_weights_or_another_training():
    other = {c.model.partition(" (")[2].split(" ")[0] for c in cells() if " (" in plain(c.model)}
    assert other == {"sup-simcse", "unsup-simcse", "without"}


@pytest.mark.parametrize(
    ("model", "size"),
    [
        ("BAAI/bge-m3", {"parameters": 568e6, "dimension": 1024}),
        ("BAAI/bge-m3 (sparse)", {"parameters": 568e6}),
        ("cl-nagoya/ruri-base (without pre-training)", {"parameters": 111_207_168}),
        ("intfloat/multilingual-e5-small (sup-simcse JSNLI)", {"parameters": 118e6}),
        ("BAAI/bge-m3 (int8)", {}),
        ("openai/text-embedding-3-small", {"dimension": 1536}),
        ("openai/text-embedding-3-small (dense)", {}),
        ("org/nobody", {}),
    ],
)
def test_a_bracket_leaves_a_model_its_parameters_alone(model, size):
    assert size_of(model) == size


def test_every_number_says_where_a_stranger_checks_it():
    for cell in cells():
        place = cell.source.partition(",")[0] if cell.source.startswith("arXiv ") else cell.source.partition(":")[0]
        assert place.startswith("arXiv 2") or "/" in place, cell


HEAD = "model,task,measure,value,decimals,source,note\n"
EIGHT = HEAD.replace("note", "note,task_version")
ROW = "a/b,jsts@valid1457,spearman,0.8305,4,x/y@c:README.md,\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + ROW.replace("jsts@valid1457", "jsts@valid1475"), "line 2: unknown task 'jsts@valid1475'; did you mean"),
        (HEAD + ROW + ROW.replace("spearman", "ndcg@10"), "line 3: unknown measure of jsts@valid1457 'ndcg@10'"),
        (HEAD + ROW.replace("0.8305", "83.05"), "line 2: value '83.05' is no fraction between -1 and 1"),
        (HEAD + ROW.replace("0.8305", "1.0001"), "line 2: value '1.0001' is no fraction"),
        (HEAD + ROW.replace("0.8305", "nan"), "line 2: value 'nan' is no fraction"),
        (HEAD + ROW.replace(",4,", ",5,"), "line 2: value 0.8305 has not 5 decimals"),
        (HEAD + ROW + ROW.replace("0.8305", "0.8306"), "line 3: a/b has spearman of jsts@valid1457 twice"),
        (HEAD + ROW.replace("a/b", ""), "line 2: model and source must not be empty"),
        (HEAD + ROW.replace(",\n", "\n"), "line 2: 6 fields, not 7"),
        (EIGHT + ROW.replace(",\n", ",,\n"), "line 2: task_version '' is no whole number of 1 or more"),
        (EIGHT + ROW.replace(",\n", ",,2.0\n"), "line 2: task_version '2.0' is no whole number"),
        (EIGHT + ROW, "line 2: 7 fields, not 8"),
        (HEAD + ROW.replace(",\n", ",,1\n"), "line 2: 8 fields, not 7"),
        (HEAD + '"a/b', "line 2: unexpected end of data"),
        (ROW, "line 1: the columns must be model,task,"),
        ("", "line 1: the columns must be model,task,"),
    ],
)
def test_a_bad_cell_is_one_line(text, says, tmp_path):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(UsageError, match=rf"^x\.csv, {says}") as caught:
        read(tmp_path / "x.csv")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_one_line(tmp_path):
    (tmp_path / "x.csv").write_bytes(HEAD.encode() + b"\xff\xfe\n")
    with pytest.raises(UsageError, match=r"^x\.csv, line 1: "):
        read(tmp_path / "x.csv")


def test_a_cell_of_a_file_knows_whose_it_is(tmp_path):
    (tmp_path / "jee.csv").write_text(HEAD + ROW.replace(",\n", ",fp16; no prefix\n"))
    (cell,) = read(tmp_path / "jee.csv")
    assert (cell.family, cell.value, cell.decimals) == ("JapaneseEmbeddingEval", 0.8305, 4)
    assert cell.notes == ("fp16", "no prefix")


@pytest.mark.parametrize("words", [("--help",), ("tasks",), ("board", "mini", "--results", ".")])
def test_what_shows_no_published_number_reads_none(words, tmp_path):
    code = (
        "import sys, pathlib\n"
        "sys.argv = ['jbench', *sys.argv[1:]]\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        "from jbench.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "numbers = [n for n in opened if pathlib.Path(n).parent.name == 'published' and n.endswith('.csv')]\n"
        "assert not numbers, numbers\n"
    )
    subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, check=True, capture_output=True)


def test_the_boards_of_published_numbers_draw_without_network(no_network):
    from jbench.board import draw

    for path in sorted(home("leaderboards").glob("*.toml")):
        board = find_board(str(path))
        rows = draw(board, [], cells()).rows
        assert bool(rows) == bool(board.published)
        assert {row.published for row in rows} == {FAMILIES[origin] for origin in board.published}
        assert any(row.average is not None for row in rows) == bool(board.published)


def test_the_numbers_are_part_of_the_package():
    from pathlib import Path

    assert len(list((Path(jbench.__file__).parent / "published").glob("*.csv"))) == 12
