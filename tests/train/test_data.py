"""Training data: what the reports read, in their form, the same in every process."""

import gzip
import json
import lzma
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jbench import github
from jbench.train import data
from jbench.train.data import named, nli, open_set, published, retrieval, sentences
from jbench.types import Unavailable, UsageError
from tests import hub


def rows_of(found):
    return found.rows.to_list()


def janli(tmp_path, monkeypatch, rows):
    """A mirror whose JaNLI has these rows: premise, hypothesis, label, split."""
    root = tmp_path / "mirror"
    monkeypatch.setenv("JBENCH_MIRROR", str(root))
    head = "\tsentence_A_Ja\tsentence_B_Ja\tentailment_label_Ja\tsplit\n"
    text = head + "".join("\t".join((str(i), *row)) + "\n" for i, row in enumerate(rows))
    monkeypatch.setattr(nli, "JANLI", hub.write(root, nli.JANLI, text))


PAIRS = [
    ("猫が、寝ている。", "動物が寝ている", "entailment", "train"),
    ("猫が寝ている", "動物が 眠っている", "entailment", "train"),
    ("猫が寝ている", "猫が走る", "non-entailment", "train"),
    ("犬が走る", "動物が走る", "entailment", "train"),
    ("鳥が飛ぶ", "鳥が泳ぐ", "non-entailment", "train"),
    ("魚が泳ぐ", "魚が飛ぶ", "entailment", "test"),
]


def test_premises_that_differ_in_punctuation_and_spaces_are_one_group(tmp_path, monkeypatch):
    janli(tmp_path, monkeypatch, PAIRS)
    assert open_set("janli").held.to_list() == [
        {
            "anchor": ["猫が、寝ている。", "猫が寝ている"],
            "positive": ["動物が寝ている", "動物が眠っている"],
            "negative": ["猫が走る"],
        },
        {"anchor": ["犬が走る"], "positive": ["動物が走る"], "negative": []},
    ]


def test_texts_are_in_nfkc_without_spaces():
    assert nli.preprocess(" ＡＢ Ｃ ｶﾞ 。") == "ABCガ。"
    assert nli.normalize("ＡＢＣ、ガ。") == "ABCガ"


def test_an_epoch_is_a_function_of_seed_and_epoch_alone(tmp_path, monkeypatch):
    janli(tmp_path, monkeypatch, PAIRS)
    found = open_set("janli")
    epochs = [found.epoch(7, n).to_list() for n in range(8)]
    assert epochs == [open_set("janli").epoch(7, n).to_list() for n in range(8)]
    assert {epoch[0]["anchor"] for epoch in epochs} == {"猫が、寝ている。", "猫が寝ている"}
    assert {epoch[0]["positive"] for epoch in epochs} == {"動物が寝ている", "動物が眠っている"}
    assert {epoch[0]["negative"] for epoch in epochs} == {"猫が走る"}


def test_a_missing_negative_is_a_positive_of_another_group(tmp_path, monkeypatch):
    janli(tmp_path, monkeypatch, PAIRS)
    found = {open_set("janli").epoch(7, n)[1]["negative"] for n in range(8)}
    assert found == {"動物が寝ている", "動物が眠っている"}


def test_the_draw_stays_what_it_was():
    """The seeds of runs that were published mean something only while this holds."""
    from datasets import Dataset

    lists = Dataset.from_dict({"anchor": [["a"], ["b"]], "positive": [["c", "d"], ["e"]], "negative": [["f", "g"], []]})
    columns = ("anchor", "positive", "negative")
    drawn = [["".join(row.values()) for row in data.training_set.draw(lists, columns, 42, n, "x")] for n in range(4)]
    assert drawn == [["adf", "bed"], ["acg", "bec"], ["adg", "bed"], ["adg", "bec"]]


def test_a_single_group_without_a_negative_has_nowhere_to_take_one(tmp_path, monkeypatch):
    janli(tmp_path, monkeypatch, [("犬が走る", "動物が走る", "entailment", "train")])
    with pytest.raises(UsageError, match="JaNLI: a row lacks a negative, and no other row"):
        open_set("janli").rows  # noqa: B018


def test_examples_are_whole_batches_of_shuffled_epochs(tmp_path, monkeypatch):
    janli(tmp_path, monkeypatch, [(f"文{i}", f"仮{i}", "entailment", "train") for i in range(5)])
    found = open_set("janli").examples(8, seed=1, batch=2)["anchor"]
    assert len(found) == 8
    assert len(set(found[:4])) == 4  # the fifth of each epoch is left out
    assert len(set(found[4:])) == 4
    assert found[:4] != found[4:]
    with pytest.raises(UsageError, match="JaNLI has 5 examples, fewer than a batch of 6"):
        open_set("janli").examples(8, seed=1, batch=6)


@pytest.mark.parametrize("zipped", [False, True])
def test_jsnli_is_read_from_its_file_or_the_archive_that_holds_it(zipped, tmp_path):
    rows = [("entailment", "男 は 走る 。", "人 が 走る"), ("contradiction", "男 は 走る", "人 が 寝る")]
    rows += [("neutral", "男 は 走る", "人 が いる")]
    text = "".join("\t".join(row) + "\n" for row in rows)
    path = tmp_path / ("jsnli_1.1.zip" if zipped else "train_w_filtering.tsv")
    if zipped:
        with zipfile.ZipFile(path, "w") as held:
            held.writestr("jsnli_1.1/dev.tsv", "never read")
            held.writestr("jsnli_1.1/train_w_filtering.tsv", text)
    else:
        path.write_text(text, encoding="utf-8")
    found = open_set(f"jsnli:{path}")
    assert (found.name, found.split, found.count) == ("JSNLI", "train", 1)
    assert found.held[0] == {
        "anchor": ["男は走る。", "男は走る"],
        "positive": ["人が走る"],
        "negative": ["人が寝る"],
    }


@pytest.mark.parametrize(
    ("content", "told"), [("a\tb\n", "line 1 has 2 fields, not 3"), (b"\xff\xfe", "UnicodeDecodeError")]
)
def test_a_file_that_is_not_jsnli_is_one_line(content, told, tmp_path):
    path = tmp_path / "train_w_filtering.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(Unavailable, match=told):
        open_set(f"jsnli:{path}")


def test_the_mirrors_janli_has_as_many_groups_as_the_report_saw(mirror):
    found = open_set("JaNLI")
    assert found.count == 6772  # the report's results bound it by 6,638 and 6,862
    assert sum(map(len, found.held["positive"])) == 6797  # of 6,840 pairs, which hold 43 twice
    assert {name: found.record()[name] for name in ("name", "split", "sources")} == {
        "name": "JaNLI",
        "split": "train",
        "sources": ["github:verypluming/JaNLI@2bbb636/janli.tsv"],
    }


def test_the_mirrors_jaquad_is_a_question_and_its_paragraph_a_row(mirror):
    found = open_set("JaQuAD")
    assert (found.count, found.rows.column_names) == (31748, ["query", "positive"])
    assert found.rows[0]["query"] == "戦後日本のストーリー漫画の第一人者で、医学博士の一面もある漫画家は誰?"
    assert found.rows[0]["positive"].startswith("手塚治虫(てづかおさむ")
    assert len(found.collection.documents) == 9713


def test_jsquad_of_jglue_is_read_in_its_layout(tmp_path, monkeypatch):
    root = tmp_path / "mirror"
    monkeypatch.setenv("JBENCH_MIRROR", str(root))
    asked = [{"id": "a1p0q0", "question": "どこ？"}, {"id": "a1p0q1", "question": "いつ？"}]
    hub.write(root, retrieval.JSQUAD, {"data": [{"paragraphs": [{"context": "梅雨 [SEP] 北海道。", "qas": asked}]}]})
    found = open_set("jsquad")
    assert found.name == "JGLUE/JSQuAD"
    assert rows_of(found) == [
        {"query": "どこ？", "positive": "梅雨 [SEP] 北海道。"},
        {"query": "いつ？", "positive": "梅雨 [SEP] 北海道。"},
    ]


def test_miracl_and_mr_tydi_train_are_judged_passages_of_their_corpora(tmp_path, monkeypatch):
    from jbench.registry import own_tasks

    root = tmp_path / "mirror"
    made = hub.Hub(root, monkeypatch)
    passages = [{"docid": f"1#{i}", "title": "雪", "text": f"段落{i}"} for i in range(3)]
    docs = own_tasks()["miracl-ja@dev-full"].load.__globals__["DOCS"]
    made.put("miracl-ja@dev-full", DOCS=[passages, *[[] for _ in docs[1:]]])
    made.put("mrtydi-ja@test-full", DOCS=passages)
    for name, kind in (("miracl-v1.0-ja-train", "tsv"), ("mrtydi-v1.1-ja.train", "txt")):
        ending = ".gz" if kind == "txt" else ""
        hub.write(root, github(*retrieval.TOOLS, f"topics/topics.{name}.{kind}{ending}"), "7\t雪は？\n")
        hub.write(root, github(*retrieval.TOOLS, f"qrels/qrels.{name}.{kind}"), "7 Q0 1#0 0\n7 Q0 1#2 1\n")
    for name in ("MIRACL-ja", "Mr.TyDi-ja"):
        found = open_set(name)
        assert (found.name, rows_of(found)) == (name, [{"query": "雪は？", "positive": "雪 段落2"}])


# What konoha makes of them with the report's patterns (src/datasets/common.py).
SPLITS = [
    ("今日は晴れ。明日は雨。", ["今日は晴れ。", "明日は雨。"]),
    ("彼は「行く。帰る。」と言った。終わり。", ["彼は「行く。帰る。」と言った。", "終わり。"]),
    ("（注。）本文。『書。』です。", ["(注。)本文。", "『書。』です。"]),
    ("ＡＢＣ。\u200b\x07　あ。い", ["ABC。", "あ。"]),
    ("終わりなし", ["終わりなし"]),
    ("", []),
]


@pytest.mark.parametrize(("text", "found"), SPLITS)
def test_sentences_are_split_as_the_report_splits_them(text, found):
    pytest.importorskip("konoha")
    assert sentences.split(text) == found


def test_an_article_of_wiki40b_loses_its_titles():
    pytest.importorskip("konoha")
    text = (
        "\n_START_ARTICLE_\n題\n_START_PARAGRAPH_\n一つ目。二つ目。_NEWLINE_三つ目。\n_START_SECTION_\n節\n"
        "_START_PARAGRAPH_\n四つ目。"
    )
    assert list(sentences.article(text)) == ["一つ目。", "二つ目。", "三つ目。", "四つ目。"]
    with pytest.raises(ValueError, match="is no article of Wiki-40B"):
        list(sentences.article("題\n本文。"))


def test_a_page_of_wikipedia_loses_templates_notes_and_formulas():
    pytest.importorskip("konoha")
    text = r"雪[1]は白い[要出典]。{{出典}}氷は硬い。式は \displaystyle x である。"
    assert sentences.page("雪", text) == ["雪は白い。", "氷は硬い。"]


def test_corpora_are_read_in_the_layouts_of_their_makers(tmp_path, monkeypatch):
    pytest.importorskip("konoha")
    with lzma.open(tmp_path / "ja.txt.xz", "wt", encoding="utf-8") as out:
        out.write("一つ。二つ。\n\n三つ。\n")
    folder = tmp_path / "VARIABLE" / "LB"
    folder.mkdir(parents=True)
    (folder / "b.xml").write_text("<a><s>五つ。</s>\n<s>六<r>つ</r>。</s></a>", encoding="utf-8")
    (folder / "a.xml").write_text("<a>四つ。</a>", encoding="utf-8")
    pq.write_table(pa.table({"title": ["雪"], "text": ["七つ。八つ。"]}), tmp_path / "train-00000.parquet")
    root = tmp_path / "mirror"
    monkeypatch.setenv("JBENCH_MIRROR", str(root))
    for i, file in enumerate(sentences.WIKI40B):
        hub.write(root, file, [{"text": f"_START_ARTICLE_\n題\n_START_PARAGRAPH_\n{i}番。"}])
    found = {
        "CC100-ja": open_set(f"cc100:{tmp_path / 'ja.txt.xz'}"),
        "BCCWJ": open_set(f"bccwj:{tmp_path / 'VARIABLE'}"),
        "Wikipedia-ja": open_set(f"wikipedia:{tmp_path}"),
        "wiki40b-ja": open_set("wiki40b"),
    }
    assert {name: one.name for name, one in found.items()} == {name: name for name in found}
    assert {name: sorted(one.rows["text"]) for name, one in found.items()} == {
        "CC100-ja": ["一つ。", "三つ。", "二つ。"],
        "BCCWJ": ["五つ。", "六つ。", "四つ。"],
        "Wikipedia-ja": ["七つ。", "八つ。"],
        "wiki40b-ja": sorted(f"{i}番。" for i in range(16)),
    }


def test_a_million_sentences_are_those_of_random_sample():
    import random

    texts = [str(i) for i in range(50)]
    found = sentences.sampled("x", [], lambda: iter(texts), 10)
    random.seed(42)
    assert found.rows["text"][:] == random.sample(texts, 10)


def test_neighbours_are_texts_that_follow_each_other_and_are_long_enough(tmp_path):
    texts = ["あ" * 30, "い" * 40, "短い。", "う" * 30, "え" * 30]
    path = tmp_path / "novel.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    found = open_set(f"neighbours:{path}")
    assert rows_of(found) == [
        {"anchor": "あ" * 30, "positive": "い" * 40},
        {"anchor": "う" * 30, "positive": "え" * 30},
    ]
    assert (found.name, found.split) == ("novel", "train")


def test_the_mirrors_corpora_are_texts_as_they_stand(mirror):
    found = open_set(f"text:{mirror.parent / 'corpora' / 'tanaka-sentences.parquet'}")
    assert (found.count, found.rows.column_names) == (49991, ["text"])
    assert found.rows[0]["text"] == "誰が一番に着くか私には分かりません。"


MMARCO = {"query": "問い", "positives": ["答え", "別の答え"], "negatives": ["違う", "遠い", "外れ"]}


def test_mmarco_is_drawn_from_its_positives_and_negatives(tmp_path, monkeypatch):
    root = tmp_path / "mirror"
    monkeypatch.setenv("JBENCH_MIRROR", str(root))
    for file in published.MMARCO:
        hub.write(root, file, [MMARCO])
    found = open_set("mMARCO-ja", negatives=2)
    assert (found.name, found.count) == ("mMARCO-ja", 14)
    assert found.rows.column_names == ["query", "positive", "negative_1", "negative_2"]
    for row in found.rows:
        assert row["positive"] in MMARCO["positives"]
        assert len({row["negative_1"], row["negative_2"]} & set(MMARCO["negatives"])) == 2


def test_ruris_own_sets_are_the_train_files_of_their_folders(tmp_path, monkeypatch):
    root = tmp_path / "mirror"
    monkeypatch.setenv("JBENCH_MIRROR", str(root))
    row = {"anc": "問い", "pos": "答え", "neg": ["違う"]}
    for kind, folder, file in (
        (published.RURI_FT, "quiz-works", "train-00000-of-00002"),
        (published.RURI_FT, "quiz-works", "train-00001-of-00002"),
        (published.RURI_FT, "nu-snli", "train-00000-of-00001"),
        (published.RURI_RERANKER, "stage2", "train-00000-of-00001"),
        (published.RURI_RERANKER, "stage2", "test-00000-of-00001"),
    ):
        path = root / "hub" / kind[0] / kind[1] / folder / f"{file}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist([row]), path)
    found = {name: open_set(name) for name in ("Quiz Works", "ruri-ft:quiz-works", "NU-SNLI", "ruri-reranker:stage2")}
    assert [(one.name, one.count, one.columns[0]) for one in found.values()] == [
        ("Quiz Works", 2, "query"),
        ("Quiz Works", 2, "query"),
        ("NU-SNLI", 1, "anchor"),
        ("stage2", 1, "query"),
    ]


def test_without_network_a_folder_of_the_hub_says_where_to_put_it(monkeypatch, no_network):
    monkeypatch.setenv("JBENCH_OFFLINE", "1")
    with pytest.raises(
        Unavailable, match=r"put its parquet files at \$JBENCH_MIRROR/hub/cl-nagoya/ruri-dataset-ft/38b"
    ):
        open_set("quiz-no-mori")


MQA = [
    {"id": "a", "domain": "x.jp", "questions": [{"name": "送料は", "text": "", "answers": [{"text": "五百円です"}]}]},
    {
        "domain": "y.jp",
        "pages": [{"questions": [{"name": "題", "text": " 本文 ", "answers": [{"text": "答"}, {"text": ""}]}]}],
    },
    {
        "name": "返品は",
        "answers": [{"text": "七日まで", "is_accepted": True}, {"text": "七日まで"}, {"text": "店に聞く"}],
    },
    {"name": "答えがない", "answers": []},
    {"name": None, "text": None, "answers": [{"text": "問いがない"}]},
]


def test_mqa_is_read_as_its_makers_pack_it(tmp_path):
    lines = ["".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows) for rows in (MQA[:2], MQA[2:])]
    for name, text in zip(("cqa", "faq"), lines, strict=True):
        (tmp_path / f"data.ja.{name}.json.gz").write_bytes(gzip.compress(text.encode()))
    found = open_set(f"mqa:{tmp_path}")
    assert (found.name, found.held.to_list()) == (
        "MQA-ja",
        [
            {"anchor": ["送料は"], "positive": ["五百円です"]},
            {"anchor": ["題\n本文"], "positive": ["答"]},
            {"anchor": ["返品は"], "positive": ["七日まで", "店に聞く"]},
        ],
    )
    assert rows_of(found)[0] == {"query": "送料は", "positive": "五百円です"}
    assert open_set(f"mqa:{tmp_path / 'data.ja.faq.json.gz'}").count == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it has no question with an answer"),
        ("x", "line 1, character 1: unexpected character"),
        ("[1]", "AttributeError"),
    ],
)
def test_what_is_not_mqa_is_said_in_one_line(text, told, tmp_path):
    path = tmp_path / "data.ja.faq.json.gz"
    path.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(Unavailable, match=f"cannot be read as rows of training data .*{told}"):
        open_set(f"mqa:{path}")
    with pytest.raises(UsageError, match=r"holds no data\.ja"):
        open_set(f"mqa:{tmp_path.parent}")


def test_wiki_atomic_edits_are_a_sentence_before_and_after(tmp_path):
    path = tmp_path / "insertions.tsv"
    path.write_text("base_sentence\tphrase\tedited_sentence\n雪は白い\tとても\t雪はとても白い\n", encoding="utf-8")
    found = open_set(f"wiki-atomic-edits:{path}")
    assert (found.name, rows_of(found)) == (
        "Wiki Atomic Edits",
        [{"anchor": "雪は白い", "positive": "雪はとても白い"}],
    )
    path.write_text("a\tb\n1\t2\n", encoding="utf-8")
    with pytest.raises(UsageError, match="has no columns base_sentence and edited_sentence"):
        open_set(f"wiki-atomic-edits:{path}")


# A file's row; what an example is then called and holds.
LAYOUTS = [
    ({"title": "題", "text": "文"}, {"text": "文"}),
    ({"question": "問い", "positive": "答え"}, {"query": "問い", "positive": "答え"}),
    ({"title": "題", "maintext": "本文", "url": "u"}, {"query": "題", "positive": "本文"}),
    (
        {"sent0": ["文"], "sent1": ["同じ"], "hard_neg": ["違う"]},
        {"anchor": "文", "positive": "同じ", "negative_1": "違う"},
    ),
    (
        {"query": "問い", "positive": "答え", "negative_1": "違う", "negative_2": "外れ"},
        {"query": "問い", "positive": "答え", "negative_1": "違う", "negative_2": "外れ"},
    ),
]


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
@pytest.mark.parametrize(("row", "example"), LAYOUTS)
def test_a_file_is_read_by_the_names_that_people_give_their_columns(row, example, ending, tmp_path):
    path = tmp_path / f"mine{ending}"
    if ending == ".jsonl":
        path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist([row]), path)
    found = open_set(str(path))
    assert (found.name, rows_of(found), [*found.rows.features]) == ("mine", [example], [*example])


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_scores_are_drawn_with_their_texts(tmp_path):
    row = {"query": "q", "positives": ["p"], "negatives": ["a", "b", "c"], "scores": [9.0, 1.0, 2.0, 3.0]}
    found = open_set(jsonl(tmp_path / "x.jsonl", [row]), negatives=2, scores=True)
    of = dict(zip("pabc", row["scores"], strict=True))
    for epoch in range(5):
        drawn = found.epoch(0, epoch)[0]
        texts = (drawn["positive"], drawn["negative_1"], drawn["negative_2"])
        assert drawn["scores"] == [of[text] for text in texts]


WRONG = [
    ({"foo": "x"}, {}, "columns foo; training data has text, or anchor"),
    ({"query": "", "positive": ["p"]}, {}, "row 1 has an empty text"),
    ({"query": "q", "positive": []}, {}, "row 1 has an empty text"),
    ({"query": 5, "positive": "p"}, {}, "row 1 has an empty text"),
    ({"query": "q", "positive": [{"text": "p"}]}, {}, "row 1 has an empty text"),
    ({"query": "q", "positive": "p"}, {"scores": True}, "has no scores; mine with --filter"),
    ({"query": "q", "positive": ["p"], "negatives": ["a"], "scores": [1.0]}, {"scores": True}, "a score for each text"),
]


@pytest.mark.parametrize(("row", "asked", "told"), WRONG)
def test_what_is_no_training_data_is_one_line(row, asked, told, tmp_path):
    with pytest.raises(UsageError, match=told):
        open_set(jsonl(tmp_path / "x.jsonl", [row]), **asked).rows  # noqa: B018


MIXED = [
    ("query", "q", 5, "row 2 has a number as query, and the rows before it a text"),
    ("positive", "p", ["p"], r"row 2 has a list \(a text\) as positive, and the rows before it a text"),
    ("negatives", ["n"], [5], r"row 2 has a list \(a number\) as negatives, and the rows before it a list \(a text\)"),
    ("negatives", [], ["n", 5], r"row 2 has a list \(a number, a text\) as negatives: all are to be of one kind"),
]


@pytest.mark.parametrize(("column", "first", "second", "told"), MIXED)
def test_a_row_of_another_kind_than_those_before_it_is_named(column, first, second, told, tmp_path):
    rows = [{"query": "q", "positive": "p", column: value} for value in (first, second)]
    with pytest.raises(UsageError, match=f"local:x.jsonl: {told}"):
        open_set(jsonl(tmp_path / "x.jsonl", rows)).rows  # noqa: B018


def test_more_negatives_than_any_row_has_are_not_made_up(tmp_path):
    rows = [{"query": q, "positive": q + "p", "negatives": [q + "n", q + "m"][:n]} for q, n in (("a", 2), ("b", 1))]
    path = jsonl(tmp_path / "x.jsonl", rows)
    assert open_set(path, negatives=31).columns == ("query", "positive", "negative_1", "negative_2")
    assert open_set(path).columns == ("query", "positive", "negative_1")
    assert open_set(path, negatives=0).columns == ("query", "positive")


def test_an_empty_file_and_one_that_is_missing_are_said(tmp_path):
    (tmp_path / "x.jsonl").write_text("")
    with pytest.raises(UsageError, match="x has"):
        open_set(str(tmp_path / "x.jsonl"))
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "w.parquet")
    with pytest.raises(UsageError, match="w has no examples"):
        open_set(str(tmp_path / "w.parquet"))
    with pytest.raises(Unavailable, match=r"y\.parquet does not exist"):
        open_set(str(tmp_path / "y.parquet"))
    (tmp_path / "z.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(Unavailable, match="cannot be read as rows of training data"):
        open_set(str(tmp_path / "z.parquet"))


NAMES = [
    ("janlii", "unknown training data 'janlii'; did you mean janli"),
    ("jsnli", "jsnli is read from a place of yours: write jsnli:PATH"),
    ("jsnli:", "names no path"),
    ("MQA-ja", "MQA-ja is read from a place of yours: write mqa:PATH"),
    ("JRC", "JRC cannot be fetched: no public release is known"),
]


@pytest.mark.parametrize(("name", "told"), NAMES)
def test_a_name_that_cannot_be_opened_is_answered_in_one_line(name, told):
    with pytest.raises((UsageError, Unavailable), match=told):
        open_set(name)


def test_the_ledgers_names_are_known():
    assert [named(name) for name in ("JGLUE/JSQuAD", "Quiz No Mori", "Mr.TyDi-ja", "wiki40b-ja", "NU-SNLI")] == [
        "jsquad",
        "quiz-no-mori",
        "mrtydi",
        "wiki40b",
        "nu-snli",
    ]


def test_every_data_set_of_every_recipe_is_served_or_said():
    from jbench.train.recipes import RECIPES

    asked = {named(name) for recipe in RECIPES.values() for name in recipe().data}
    served = {*data.BY_NAME, *data.BY_PATH, *data.NOT_SERVED}
    assert asked - served == set()
