"""What is stated is shown with its source; what is not stated is unknown, never unseen."""

import json
from types import SimpleNamespace

import pytest

from jbench import STS, Pairs, exposure, manifest, open_model
from jbench.evaluate import evaluate
from jbench.exposure import Evidence, Exposure, Mean, matrix, means, of_source, strays
from jbench.models.options import Options
from jbench.published import cells
from jbench.registry import own_tasks
from jbench.results import as_dict, read
from jbench.types import Unavailable, UsageError
from tests.test_cli import jbench, line

LEDGER = """
data = [{name = "A", hub = ["org/a"]}, {name = "B"}, {name = "C"}, {name = "A/part"}, {name = "D"}, {name = "E"}]
model = [
    {id = "org/base"},
    {id = "org/tuned", also = ["tuned"], base = ["org/base"]},
    {id = "org/student", teachers = ["org/tuned"]},
    {id = "org/round", base = ["org/again"]},
    {id = "org/again", base = ["org/round"]},
    {id = "* (tuned on *)"},
    {id = "count", revision = "count-", untrained = true, evidence = "it counts"},
]
seen = [
    {models = "org/base", data = "A:train", flag = "train_split_seen", evidence = "paper", confidence = "stated"},
    {models = "org/base", data = "B", flag = "unseen", evidence = "card", confidence = "stated"},
    {models = "org/tuned", data = "B:dev", flag = "dev_used_for_selection", evidence = "code", confidence = "read"},
    {models = "org/tuned", data = "C", flag = "unseen", evidence = "card", confidence = "stated"},
    {models = "org/tuned", data = "D", flag = "unseen", evidence = "no word of it", confidence = "inferred"},
    {models = "org/again", data = "C:x", flag = "test_seen", evidence = "x", confidence = "read", revision = "abc"},
    {models = "* (tuned on E)", data = "E", flag = "train_split_seen", evidence = "its name", confidence = "stated"},
    {models = "* (tuned on *)", data = "C", flag = "unseen", evidence = "paper", confidence = "read"},
]
link = [{seen = "A:train", to = "C:dev", flag = "source_seen", evidence = "12 of 13 questions", confidence = "read"}]
"""  # fmt: skip


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "ledger.toml"
    path.write_text(LEDGER)
    return exposure.read(path)


def task(*sources):
    return STS(name="x", protocol="y", version=1, load=lambda: Pairs([], [], []), license="-", sources=sources)


def flag(book, model, source, revision="", **more):
    return of_source(model, revision, source, book=book, **more).flag


@pytest.mark.parametrize(
    ("model", "source", "expected"),
    [
        ("org/base", "A:train", "test_seen"),  # the very rows that are scored
        ("org/base", "A:test", "train_split_seen"),
        ("org/base", "B:test", "unseen"),
        ("org/base", "C:dev", "source_seen"),  # through the link
        ("org/base", "C:test", "unknown"),  # the task's own split decides
        ("org/base", "A/part:test", "unknown"),  # A is named, not which part of it
        ("org/base", "Z:test", "unknown"),
        ("org/tuned", "A:test", "train_split_seen"),  # of its base
        ("org/tuned", "B:test", "dev_used_for_selection"),
        ("org/tuned", "C:test", "unseen"),
        ("org/tuned", "C:dev", "source_seen"),  # its base has met it, whatever its card says
        ("org/tuned", "D:test", "unknown"),  # an inference makes nothing clean
        ("org/student", "A:test", "teacher_seen"),
        ("org/student", "C:dev", "teacher_seen"),
        ("org/student", "C:test", "unknown"),  # that a teacher has not seen it says nothing of the student
        ("org/nobody", "A:test", "unknown"),
        ("count", "A:test", "unseen"),
        ("tuned", "A:test", "train_split_seen"),
        ("org/tuned (mean)", "A:test", "train_split_seen"),
        ("org/tuned (int8)", "A:test", "unknown"),
        ("org/base (tuned on E)", "A:test", "train_split_seen"),  # of its base
        ("org/base (tuned on E)", "B:test", "unknown"),  # that its base has not seen it says nothing
        ("org/base (tuned on E)", "C:test", "unseen"),
        ("org/base (tuned on E)", "E:test", "train_split_seen"),
        ("org/base (tuned on F)", "E:test", "unknown"),
        ("tuned on E)", "E:test", "unknown"),
    ],
)
def test_a_statement_reaches_what_it_reaches(book, model, source, expected):
    assert flag(book, model, source) == expected


def test_each_statement_comes_with_its_source_and_its_way(book):
    assert of_source("org/student", "", "C:dev", book=book).evidence == (
        Evidence(
            "C:dev", "A:train", "teacher_seen", "paper", "read",
            "teacher org/tuned; base model org/base; A:train to C:dev: 12 of 13 questions",
        ),
    )  # fmt: skip


def test_contradictions_are_shown_and_the_graver_counts(book):
    found = of_source("org/tuned", "", "C:dev", book=book)
    assert (found.flag, found.domain, found.conflict, found.word) == ("source_seen", "in-domain", True, "source!")
    assert [(one.flag, one.said, one.conflicts) for one in found.evidence] == [
        ("unseen", "card", True),
        ("source_seen", "paper", False),
    ]
    assert not of_source("org/tuned", "", "C:test", book=book).conflict


def test_a_revision_is_that_one(book):
    assert flag(book, "org/again", "C:x", "abcdef") == "test_seen"
    assert flag(book, "org/again", "C:x", "fedcba") == "unknown"


def test_a_circle_of_bases_ends(book):
    assert flag(book, "org/round", "C:x") == "unknown"


def test_a_folder_that_is_called_like_a_run_file_is_not_that_model(book):
    assert flag(book, "tuned", "A:test", "local-0123456789ab") == "unknown"
    assert flag(book, "org/tuned", "A:test", "local-0123456789ab") == "train_split_seen"


@pytest.mark.parametrize("revision", ["local-0123456789ab", "0123456789abcdef"])
def test_a_checkpoint_that_is_called_like_a_published_row_is_not_that_model(book, revision):
    assert flag(book, "org/base (tuned on E)", "C:test", revision) == "unknown"


@pytest.mark.parametrize(
    ("model", "revision", "expected"),
    [
        ("count", "", "unseen"),  # published
        ("count", "count-1", "unseen"),
        ("count", "local-0123456789ab", "unknown"),  # somebody's checkpoint
        ("count", "deadbeef", "unknown"),
        ("rrf(count, count)", "", "unseen"),
        ("rrf(count, count)", "rrf-0123456789ab", "unseen"),
        ("rrf(count, count)", "local-0123456789ab", "unknown"),
    ],
)
def test_a_name_alone_makes_no_checkpoint_clean(book, model, revision, expected):
    assert flag(book, model, "A:test", revision) == expected


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (("B:test",), ("unseen", "out-of-domain")),
        (("B:test", "A:test"), ("train_split_seen", "in-domain")),
        (("B:test", "C:test"), ("unknown", "unknown")),  # unknown is not clean
        ((), ("unknown", "unknown")),
    ],
)
def test_a_task_is_out_of_domain_only_when_all_of_it_is(book, sources, expected):
    found = exposure.exposure("org/base", "", task(*sources), book=book)
    assert (found.flag, found.domain) == expected


def test_a_combination_is_what_its_parts_are(book):
    assert flag(book, "rerank(count, 100, org/base)", "A:test") == "train_split_seen"
    assert flag(book, "rrf(count, org/base)", "B:test") == "unseen"
    assert flag(book, "rrf(count, dense:org/nobody@main)", "B:test") == "unknown"
    parts = {"parts": [{"model": "mine", "revision": "local-1", "training": {"datasets": [{"name": "B"}]}}]}
    assert flag(book, "a name of one's own", "B:test", training=parts) == "train_split_seen"
    assert flag(book, "rerank(", "B:test") == "unknown"
    assert flag(book, "rrf(x, " * 5000 + "y" + ")" * 5000, "B:test") == "unknown"


@pytest.mark.parametrize(
    ("said", "source", "expected"),
    [
        ({"datasets": [{"name": "A", "split": "train"}]}, "A:train", "test_seen"),
        ({"datasets": [{"name": "org/a"}]}, "A:test", "train_split_seen"),  # a hub id
        ({"datasets": [{"name": "ORG/A"}]}, "A:test", "train_split_seen"),
        ({"datasets": [{"name": "A"}]}, "C:dev", "unknown"),  # it may have been another split of A
        ({"datasets": [{"name": "mine"}]}, "A:test", "unknown"),
        ({"datasets": [{"name": "C", "flag": "unseen"}]}, "C:test", "unseen"),
        ({"datasets": [{"name": "C", "split": "dev", "flag": "unseen"}]}, "C:dev", "unknown"),
        ({"base_model": ["org/tuned"]}, "B:dev", "dev_used_for_selection"),
        ({"base_model": ["org/tuned"]}, "C:test", "unknown"),
        ({"teachers": ["org/base@main"]}, "A:test", "teacher_seen"),
        ({"datasets": 3}, "A:test", "unknown"),  # a stranger's result
    ],
)
def test_what_a_maker_says_counts_too(book, said, source, expected):
    assert flag(book, "mine", source, "local-1", training=said) == expected


FILE = """
base_model = "org/base"
[[datasets]]
name = "MIRACL-ja"
split = "train"
[[datasets]]
name = "JQaRA"
flag = "unseen"
evidence = "our log"
confidence = "read"
"""


def test_a_declared_file_is_toml_or_json(tmp_path):
    (tmp_path / "t.toml").write_text(FILE)
    (tmp_path / "t.json").write_text(json.dumps([{"name": "MIRACL-ja", "split": "train"}]))
    first = {"name": "MIRACL-ja", "split": "train", "evidence": "declared in t.toml"}
    second = {"name": "JQaRA", "flag": "unseen", "evidence": "our log", "confidence": "read"}
    assert manifest.declared(tmp_path / "t.toml") == {"datasets": [first, second], "base_model": ["org/base"]}
    assert manifest.declared(tmp_path / "t.json") == {"datasets": [{**first, "evidence": "declared in t.json"}]}


@pytest.mark.parametrize(
    ("name", "text", "error", "says"),
    [
        ("t.toml", "datasets = [", UsageError, "t.toml is neither TOML nor JSON"),
        ("t.json", "{", UsageError, "t.json is neither TOML nor JSON"),
        ("t.toml", '[[datasets]]\nname = "A"\nsplitt = "x"', UsageError, r"t.toml: datasets.0.splitt: Extra inputs"),
        ("t.toml", '[[datasets]]\nname = "A"\nflag = "clean"', UsageError, r"t.toml: datasets.0.flag: Input should be"),
        ("t.toml", "", UsageError, "declares nothing"),
        ("t.json", "3", UsageError, "t.json: : Input should be"),
        ("t.toml", None, Unavailable, "cannot read .*: No such file"),
    ],
)
def test_a_declared_file_that_is_wrong_is_one_line(tmp_path, name, text, error, says):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(error, match=says) as caught:
        manifest.declared(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_card_and_a_manifest_are_read(tmp_path):
    (tmp_path / "README.md").write_text("---\ndatasets:\n- miracl/miracl\n- 3\nbase_model: org/base\n---\n# Mine\n")
    rows = [{"name": "JGLUE/JSTS", "split": "train", "count": 12451, "revision": "6f071c0"}]
    (tmp_path / manifest.MANIFEST).write_text(json.dumps({"recipe": "x", "datasets": rows, "base_model": "org/base"}))
    said = []
    assert manifest.of_checkpoint(tmp_path, said.append) == {
        "datasets": [
            {"name": "miracl/miracl", "evidence": "datasets: in the model card", "confidence": "read"},
            {"name": "JGLUE/JSTS", "split": "train", "evidence": "training_manifest.json", "confidence": "read"},
        ],
        "base_model": ["org/base"],
    }
    assert said == []


@pytest.mark.parametrize("text", ["{", "[]", '{"datasets": 3}', '{"datasets": ["A"]}', '{"datasets": [{"name": 3}]}'])
def test_a_manifest_that_cannot_be_read_is_named_and_tells_nothing(tmp_path, text):
    (tmp_path / manifest.MANIFEST).write_text(text)
    said = []
    assert manifest.of_checkpoint(tmp_path, said.append) == {}
    assert [text[:42] for text in said] == ["training_manifest.json tells nothing of tr"]


def test_a_folder_without_either_says_nothing(tmp_path):
    assert manifest.of_checkpoint(tmp_path, pytest.fail) == {}


def test_a_result_keeps_what_was_said_outside_its_key_and_equality(tmp_path, dense_bert):
    said = {"datasets": [{"name": "JSICK", "evidence": "x"}]}
    mini = [own_tasks()["mini-sts@v1"]]

    def run(**more):
        return next(evaluate([str(dense_bert)], mini, tmp_path, Options(name="m", **more)))

    plain, told, after = run(), run(training=said), run()
    assert (plain.training, told.training, after.training) == ({}, said, said)  # a declaration outlives other runs
    assert plain == told
    assert plain.key == told.key
    assert told.host["stored"]  # nothing was computed again
    path = next(tmp_path.rglob("*.json"))
    assert read(path).training == said
    assert "stored" not in read(path).host
    assert "training" not in as_dict(plain)


def test_a_checkpoint_s_own_files_are_recorded(tmp_path, dense_bert):
    import shutil

    folder = shutil.copytree(dense_bert, tmp_path / "model")
    (folder / "README.md").write_text("---\nbase_model: intfloat/multilingual-e5-small\n---\n")
    mini = [own_tasks()["mini-rerank@v1"]]
    options = Options(settings={}, prompts={"query": "", "document": ""})
    one = next(evaluate([f"rerank(bm25:mecab, 5, {folder})"], [own_tasks()["mini-retrieval@v1"]], tmp_path / "r"))
    assert one.training["parts"][0] == {"model": "bm25:mecab", "revision": one.settings["first"]["revision"]}
    assert one.training["parts"][1]["training"] == {"base_model": ["intfloat/multilingual-e5-small"]}
    assert of_source(one.model, one.revision, "MIRACL-ja:dev", one.training).flag == "train_split_seen"
    assert of_source(one.model, one.revision, "JQaRA:test", one.training).flag == "unknown"
    two = next(evaluate([str(folder)], mini, tmp_path / "r", options))
    assert two.training == {"base_model": ["intfloat/multilingual-e5-small"]}


def test_slips_in_names_are_told():
    assert strays({"datasets": [{"name": "MIRACL_ja"}, {"name": "hpprc/jsick"}]}, own_tasks().values()) == [
        "unknown data set 'MIRACL_ja'; did you mean MIRACL-ja, mMARCO-ja, MQA-ja?"
    ]


# The package's own ledger

NINE = {
    "bclavie/JaColBERT": ("unseen", "unseen", "unseen"),
    "intfloat/multilingual-e5-large": ("translated_seen", "train_split_seen", "train_split_seen"),
    "intfloat/multilingual-e5-base": ("translated_seen", "train_split_seen", "train_split_seen"),
    "intfloat/multilingual-e5-small": ("translated_seen", "train_split_seen", "train_split_seen"),
    "pkshatech/GLuCoSE-base-ja": ("unknown", "unknown", "train_split_seen"),
    "sonoisa/sentence-bert-base-ja-mean-tokens-v2": ("unknown", "unseen", "unknown"),
    "cl-nagoya/sup-simcse-ja-base": ("unseen", "unseen", "unseen"),
    "cl-nagoya/sup-simcse-ja-large": ("unseen", "unseen", "unseen"),
    "bclavie/fio-base-japanese-v0.1": ("unseen", "train_split_seen", "train_split_seen"),
}
THREE = ("JGLUE/JSQuAD:validation", "MIRACL-ja:dev", "Mr.TyDi-ja:test")


def test_jacolbert_s_nine_models_are_as_in_table_1():
    assert {model: tuple(of_source(model, "", s).flag for s in THREE) for model in NINE} == NINE


def test_where_the_italics_of_table_2_disagree_both_are_shown():
    found = {(m, s): of_source(m, "", s) for m in NINE for s in THREE}
    e5 = [f"intfloat/multilingual-e5-{size}" for size in ("base", "large", "small")]
    assert sorted(key for key, one in found.items() if one.conflict) == sorted(
        [(m, s) for m in e5 for s in THREE[1:]]
        + [(e5[1], THREE[0])]
        + [(m, THREE[0]) for m in ("pkshatech/GLuCoSE-base-ja", "sonoisa/sentence-bert-base-ja-mean-tokens-v2")]
        + [("sonoisa/sentence-bert-base-ja-mean-tokens-v2", THREE[2])]
    )
    one = found[e5[0], THREE[1]]
    assert [(e.flag, e.said.split(" ")[0], e.conflicts) for e in one.evidence if "table" in e.said] == [
        ("train_split_seen", "table", False),
        ("unseen", "italics", True),
    ]


@pytest.mark.parametrize(
    ("model", "source", "expected"),
    [
        ("answerdotai/JaColBERTv2.5", "MIRACL-ja:dev", "train_split_seen"),
        ("answerdotai/JaColBERTv2.5", "JQaRA:test", "train_split_seen"),
        ("answerdotai/JaColBERTv2.5", "JaGovFaqs-22k:test", "train_split_seen"),
        ("answerdotai/JaColBERTv2.5", "Mr.TyDi-ja:test", "teacher_seen"),
        ("answerdotai/JaColBERTv2.5", "JAQKET:dev2", "unknown"),
        ("bclavie/JaColBERTv2", "JQaRA:test", "unseen"),
        ("bclavie/JaColBERTv2", "MIRACL-ja:dev", "unknown"),
        ("cl-nagoya/sup-simcse-ja-large", "JSICK:test", "dev_used_for_selection"),
        ("cl-nagoya/sup-simcse-ja-large", "JQaRA:test", "unknown"),
        ("pkshatech/GLuCoSE-base-ja", "JGLUE/JSTS:validation", "dev_used_for_selection"),
        ("pkshatech/GLuCoSE-base-ja", "PAWS-X-ja:test", "train_split_seen"),
        ("pkshatech/RoSEtta-base-ja", "MIRACL-ja:dev", "train_split_seen"),
        ("bclavie/fio-base-japanese-v0.1", "JGLUE/JSTS:train", "test_seen"),
        ("bclavie/fio-base-japanese-v0.1", "JSICK:test", "train_split_seen"),
        ("cl-nagoya/ruri-large", "JQaRA:test", "train_split_seen"),
        ("cl-nagoya/ruri-large", "JGLUE/JSQuAD:validation", "teacher_seen"),
        ("cl-nagoya/ruri-reranker-large", "JaQuAD:train", "train_split_seen"),
        ("cl-nagoya/ruri-v3-30m", "MIRACL-ja:dev", "train_split_seen"),
        ("BAAI/bge-m3 (colbert)", "Mr.TyDi-ja:test", "train_split_seen"),
        ("sbintuitions/sarashina-embedding-v1-1b", "MIRACL-ja:dev", "unknown"),
        ("sbintuitions/sarashina-embedding-v1-1b", "Mr.TyDi-ja:test", "train_split_seen"),
        ("hotchpotch/japanese-reranker-cross-encoder-large-v1", "JAQKET:dev2", "source_seen"),
        ("hotchpotch/japanese-splade-base-v1", "MIRACL-ja:dev", "train_split_seen"),
        ("hotchpotch/japanese-splade-v2", "JAQKET:dev2", "unseen"),
        ("bm25:char-bigram", "JaCWIR:eval", "unseen"),
        ("bm25 (Anserini)", "MIRACL-ja:dev", "unseen"),
        ("cl-tohoku/bert-large-japanese-v2 (sup-simcse JaNLI)", "JaNLI:train", "train_split_seen"),
        ("cl-tohoku/bert-large-japanese-v2 (sup-simcse JSNLI)", "JSNLI:train", "test_seen"),
        ("cl-tohoku/bert-large-japanese-v2 (sup-simcse NU-SNLI+MNLI)", "NU-SNLI:train", "train_split_seen"),
        ("cl-tohoku/bert-large-japanese-v2 (sup-simcse NU-SNLI+MNLI)", "NU-MNLI:train", "train_split_seen"),
        ("cl-tohoku/bert-large-japanese-v2 (sup-simcse NU-MNLI)", "NU-SNLI:train", "unknown"),
        ("cl-tohoku/bert-large-japanese-v2 (sup-simcse JSNLI)", "JGLUE/JSTS:validation", "unseen"),
        ("xlm-roberta-base (unsup-simcse Wiki40B)", "JGLUE/JSTS:train", "unseen"),
        ("xlm-roberta-base (unsup-simcse Wiki40B)", "JGLUE/JSQuAD:validation", "unknown"),
        ("pkshatech/GLuCoSE-base-ja (sup-simcse JSNLI)", "JGLUE/JSTS:validation", "dev_used_for_selection"),
        ("cl-tohoku/bert-large-japanese-v2 (mean)", "JSICK:test", "unknown"),  # not fine-tuned
        ("cl-nagoya/ruri-base (without pre-training)", "JQaRA:test", "train_split_seen"),
        ("cl-nagoya/ruri-base (without pre-training)", "JGLUE/JSQuAD:validation", "teacher_seen"),
        ("cl-nagoya/ruri-base (without pre-training)", "MQA-ja", "teacher_seen"),
        ("cl-nagoya/ruri-base", "MQA-ja", "train_split_seen"),
        ("cl-nagoya/ruri-pt-large (without synthetic retrieval)", "AutoWikiQA", "unknown"),
        ("cl-nagoya/ruri-pt-large (without synthetic retrieval)", "JSNLI", "train_split_seen"),
        ("cl-nagoya/ruri-pt-large (without synthetic retrieval)", "JQaRA:test", "unknown"),
    ],
)
def test_rows_of_the_ledger(model, source, expected):
    assert of_source(model, "", source).flag == expected


def test_what_was_chosen_on_jsick_val_has_seen_jsick():
    jsick, jsts = own_tasks()["jsick@test4927"], own_tasks()["jsts@valid1457"]
    chosen = sorted({cell.model for cell in cells() if "best on JSICK val" in cell.note})
    released = [f"cl-nagoya/{way}-simcse-ja-{size}" for way in ("sup", "unsup") for size in ("base", "large")]
    assert len(chosen) == 55
    for model in (*chosen, *released):
        on_jsick, on_jsts = (exposure.exposure(model, "", task) for task in (jsick, jsts))
        assert (on_jsick.flag, on_jsick.domain) == ("dev_used_for_selection", "in-domain")
        assert (on_jsts.flag, on_jsts.domain) == ("unseen", "out-of-domain")
        assert [one.confidence for one in (*on_jsick.evidence, *on_jsts.evidence)] == ["read", "read"]


@pytest.mark.parametrize("model", ["bm25:char-bigram", "bm25:mecab", "ngram"])
def test_the_models_without_weights_are_known_by_their_revision(model):
    card = open_model(model).card
    row = exposure.ledger().find(card.model, card.revision)
    assert row.untrained
    assert row.revision
    assert exposure.ledger().find(card.model, "0123456789abcdef") is None


@pytest.mark.parametrize("string", ["rrf(bm25:mecab, ngram)", "rerank(bm25:mecab, 5, ngram)"])
def test_a_combination_is_known_by_its_revision(string):
    card = open_model(string).card
    assert of_source(card.model, card.revision, "JQaRA:test").flag == "unseen"
    assert of_source(card.model, "0123456789abcdef", "JQaRA:test").flag == "unknown"


def test_every_model_that_was_not_trained_has_a_revision():
    assert all(row.revision for row in exposure.ledger().model if row.untrained)


def test_the_ledger_knows_every_data_set_that_a_task_names():
    known = {row.name for row in exposure.ledger().data}
    named = {exposure.split(source)[0] for one in own_tasks().values() for source in one.sources}
    assert named - known == set()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("data = [", "ledger l.toml: "),
        ("data = []\nmodel = []\nseen = []", r"ledger l.toml: link: Field required"),
        (LEDGER.replace('"source_seen"', '"seen"'), r"ledger l.toml: link.0.flag: Input should be"),
        (LEDGER.replace('evidence = "code", ', ""), r"ledger l.toml: seen.2.evidence: Field required"),
        (
            LEDGER.replace('data = "B:dev"', 'data = "Bb:dev"'),
            "unknown data set in exposure.toml 'Bb'; did you mean B?",
        ),
        (LEDGER.replace('models = "org/again"', 'models = "org/agian"'), "unknown model in .* did you mean org/again"),
        (LEDGER.replace('models = "* (tuned on E)"', 'models = "* (tnued on E)"'), r"unknown model in .* did you mean"),
        (LEDGER.replace('also = ["tuned"]', 'also = ["org/base"]'), "model 'org/base' stands twice"),
    ],
)
def test_a_ledger_that_is_wrong_is_one_line(tmp_path, text, says):
    (tmp_path / "l.toml").write_text(text)
    with pytest.raises(UsageError, match=says) as caught:
        exposure.read(tmp_path / "l.toml")
    assert "\n" not in str(caught.value)


# For boards


def shown(model, **more):
    return SimpleNamespace(model=model, revision="", training=more)


def test_means_say_how_many_columns_they_cover():
    inside, outside, nobody = (Exposure(f, d) for f, d in (
        ("train_split_seen", "in-domain"), ("unseen", "out-of-domain"), ("unknown", "unknown")
    ))  # fmt: skip
    assert means([0.5, 0.7, 0.2, None, 0.9], [inside, inside, outside, outside, None]) == {
        "in-domain": Mean(pytest.approx(0.6), 2),
        "out-of-domain": Mean(0.2, 1),
        "unknown": Mean(None, 0),
    }
    assert means([0.1], [nobody])["unknown"] == Mean(0.1, 1)


def test_the_matrix_has_the_ledger_and_whatever_was_measured():
    rows = matrix([shown("mine", datasets=[{"name": "JaQuAD"}]), shown("bclavie/JaColBERT")], own_tasks().values())
    assert [row.model for row in rows].count("bclavie/JaColBERT") == 1
    assert rows[-1].model == "mine"
    assert rows[-1].sources["JaQuAD:train"].flag == "train_split_seen"


def test_two_folders_are_told_apart():
    one, other = (exposure.Row("m", f"local-12345678{end}", {}).name for end in ("aaaa", "bbbb"))
    assert (one, other) == ("m @ local-12345678aaaa", "m @ local-12345678bbbb")


def test_the_verb_shows_it_to_people_and_as_json(tmp_path):
    text = jbench("models", "--exposure", cwd=tmp_path).stdout
    row = next(row for row in text.splitlines() if row.startswith("intfloat/multilingual-e5-large "))
    assert "translated!" in row
    assert "! intfloat/multilingual-e5-large, JGLUE/JSQuAD:validation: translated_seen is shown; unseen by ital" in text
    rows = json.loads(jbench("models", "--exposure", "--json", cwd=tmp_path).stdout)
    found = {row["model"]: row["exposure"] for row in rows}
    assert {m: tuple(found[m][source]["flag"] for source in THREE) for m in NINE} == NINE
    cell = found["intfloat/multilingual-e5-large"][THREE[0]]
    assert (cell["domain"], cell["conflict"]) == ("in-domain", True)
    assert cell["evidence"][0].keys() == {"source", "data", "flag", "said", "confidence", "way", "conflicts"}


def test_a_user_declares_what_a_model_was_trained_on(tmp_path):
    (tmp_path / "t.toml").write_text(FILE.replace("JQaRA", "JQaAR"))
    done = jbench(
        "run", "ngram", "--name", "mine", "--task", "mini-sts@v1", "--trained-on", "t.toml", "--json", cwd=tmp_path
    )
    assert json.loads(done.stdout)[0]["training"]["base_model"] == ["org/base"]
    assert "t.toml: unknown data set 'JQaAR'; did you mean" in done.stderr
    rows = json.loads(jbench("models", "--exposure", "--json", cwd=tmp_path).stdout)
    assert rows[-1]["exposure"]["MIRACL-ja:dev"]["flag"] == "train_split_seen"
    two = ("run", "ngram", "bm25:mecab", "--trained-on", "t.toml")
    assert "--trained-on goes with one model" in line(jbench(*two, cwd=tmp_path, code=2))
