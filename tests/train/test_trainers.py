"""The trainers on small models of random weights: the loss falls, what is written is whole, what stops goes on."""

import json
import os
import random
import signal
from dataclasses import replace

import pytest

pytest.importorskip("accelerate")

import torch
from datasets import Dataset
from safetensors.numpy import load_file

from jbench import open_model
from jbench.train import contrastive
from jbench.train.base import open_base
from jbench.train.data import TrainingSet
from jbench.train.loop import train
from jbench.train.output import met, teachers_of
from jbench.train.recipes import changed, find_recipe
from jbench.types import InvalidScores, Unavailable, UsageError
from tests import tiny

WORDS = ("雨", "図書館", "味噌", "自転車", "コーヒー", "駅", "大豆", "傘")
TEXTS = [f"{a}と{b}を{c}。{b}は{a}。" for a in WORDS for b in WORDS for c in ("歩いた", "使える", "造る")]

SMALL = {
    "simcse-sup": {"max_length": "16", "evaluations": "0"},
    "simcse-unsup": {"max_length": "16", "evaluations": "0"},
    "ruri-pt-base": {"max_length": "16", "mini_batch": "4"},
    "ruri-base": {"max_length": "16", "mini_batch": "4", "hard_negatives": "2"},
    "jacolbert": {
        "query_length": "12",
        "document_length": "20",
        "dimension": "16",
        "in_batch": "4",
        "decay_steps": "0",
    },
    "jacolbert-v2": {"query_length": "12", "document_length": "20", "dimension": "16", "in_batch": "4", "ways": "3"},
    "jacolbert-v2.5": {"query_length": "12", "document_length": "20", "dimension": "16", "in_batch": "8", "ways": "3"},
    "ruri-reranker-stage1-base": {
        "max_length": "32",
        "hard_negatives": "2",
        "mini_batch": "4",
        "learning_rate": "1e-2",
    },
    "ruri-reranker-stage2-base": {
        "max_length": "32",
        "hard_negatives": "2",
        "mini_batch": "2",
        "learning_rate": "1e-2",
    },
}
SCALE = {
    **{"steps": "16", "batch_size": "8", "warm_up": "0.1", "learning_rate": "2e-3", "checkpoints": "2"},
    "precision": "fp32",  # else what the machine has units for
}


def small(name, base, **settings):
    return changed(find_recipe(name), {"base": str(base), **SCALE, **SMALL[name], **settings})


def examples(*columns, name="JaNLI", scores=False):
    """Each text with its sentences the other way round as the positive, and other texts as negatives."""
    rng = random.Random(name)
    sides = {column: [rng.choice(TEXTS) for _ in TEXTS] for column in columns}
    sides[columns[0]] = TEXTS
    if len(columns) > 1:
        sides["positive"] = [
            f"{second}。{first}とのこと。" for first, second, _ in (text.split("。") for text in TEXTS)
        ]
    if scores:
        sides["scores"] = [[9.0, *(rng.uniform(-3, 3) for _ in columns[2:])] for _ in TEXTS]
    return TrainingSet(name, "train", "0123abc", ("file.tsv",), Dataset.from_dict(sides))


NLI = ("anchor", "positive", "negative_1")
QUESTIONS = ("query", "positive", "negative_1", "negative_2")
FAMILIES = {
    "simcse-sup": [examples(*NLI)],
    "simcse-unsup": [examples("text", name="wiki40b-ja")],
    "ruri-pt-base": [examples(*NLI), examples(*QUESTIONS, name="AutoWikiQA")],
    "ruri-base": [examples(*QUESTIONS, name="JQaRA", scores=True)],
    "jacolbert": [examples(*QUESTIONS[:3], name="mMARCO-ja")],
    "jacolbert-v2": [examples(*QUESTIONS, name="mMARCO-ja", scores=True)],
    "jacolbert-v2.5": [examples(*QUESTIONS, name="mMARCO-ja", scores=True)],
    "ruri-reranker-stage1-base": [examples(*QUESTIONS, name="JQaRA"), examples(*QUESTIONS, name="JaQuAD")],
    "ruri-reranker-stage2-base": [examples(*QUESTIONS, name="JQaRA")],
}
KINDS = {"simcse": "dense", "jacolbert": "colbert", "ruri": "dense", "ruri-reranker": "cross-encoder"}


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return tiny.bert_folder(tmp_path_factory.mktemp("base") / "bert", corpus=TEXTS)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Threads cost more than they save on tensors this small."""
    kept = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(kept)


def losses(history):
    return [row["loss"] for row in history if "loss" in row]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_loss_falls_and_the_checkpoint_loads_and_tells_what_it_was_trained_on(name, bert, tmp_path):
    if name == "jacolbert-v2.5":
        pytest.importorskip("schedulefree")
    out = tmp_path / "out"
    found = losses(train(small(name, bert), FAMILIES[name], out, command=f"jbench train {name}"))
    assert sum(found[-4:]) < sum(found[:4])
    assert not (tmp_path / "out.training").exists()

    model = open_model(str(out))
    kind = max((prefix for prefix in KINDS if name.startswith(prefix)), key=len)
    assert model.card.adapter == KINDS[kind]
    assert [seen["name"] for seen in model.card.training["datasets"] if "split" in seen] == [
        one.name for one in FAMILIES[name]
    ]
    scores = model.score([(TEXTS[0], TEXTS[0]), (TEXTS[0], TEXTS[50])], ("query", "document"))
    assert len(set(scores.tolist())) == 2

    manifest = json.loads((out / "training_manifest.json").read_text("utf-8"))
    assert (manifest["recipe"], manifest["steps"], manifest["base"]["model"]) == (name, 16, "bert")
    teachers = {"ruri-base": ["cl-nagoya/ruri-reranker-large"], "jacolbert-v2": ["colbert-ir/colbertv2.0"]}
    teachers["jacolbert-v2.5"] = ["BAAI/bge-reranker-v2-m3"]
    assert manifest["teachers"] == teachers.get(name, [])
    assert f"jbench train {name}" in (out / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_the_encoder_computes_in_the_precision_that_the_manifest_tells(
    name, precision, dtype, layers_in, bert, tmp_path
):
    settings = {"steps": "1", "warm_up": "0", "precision": precision}
    settings |= {"optimizer": "adamw"} if name == "jacolbert-v2.5" else {}
    train(small(name, bert, **settings), FAMILIES[name][-1:], tmp_path / "out")
    assert layers_in == {dtype}
    assert json.loads((tmp_path / "out" / "training_manifest.json").read_text("utf-8"))["precision"] == precision


def test_of_ruris_data_rows_with_scores_are_distilled_and_others_contrasted(bert):
    sets = [examples(*NLI), *FAMILIES["ruri-base"]]
    prepared = contrastive.prepare(small("ruri-base", bert), open_base(str(bert)), sets)
    kinds = [type(loss).__name__ for loss in prepared.loss.values()]
    assert kinds == ["CachedMultipleNegativesRankingLoss", "MinMaxKD"]
    assert list(prepared.prompts.values()) == [
        {"anchor": "文章: ", "positive": "文章: ", "negative_1": "文章: "},
        {"query": "クエリ: ", "positive": "文章: ", "negative_1": "文章: ", "negative_2": "文章: "},
    ]


def test_what_is_saved_of_simcse_has_no_head(bert, tmp_path):
    train(small("simcse-sup", bert, steps="2", warm_up="0"), FAMILIES["simcse-sup"], tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "modules.json").read_text())
    assert [row["type"].rpartition(".")[2] for row in rows] == ["Transformer", "Pooling"]


def stopping(step, how):
    """Says nothing, and at a step does ``how``."""

    def say(message):
        if message.startswith(f"step {step} of"):
            how()

    return say


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def crash():
    raise ZeroDivisionError


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "how", "error"),
    [
        ("simcse-sup", crash, ZeroDivisionError),
        ("simcse-sup", interrupt, KeyboardInterrupt),
        ("ruri-base", interrupt, KeyboardInterrupt),
        ("jacolbert", interrupt, KeyboardInterrupt),
        ("jacolbert-v2.5", interrupt, KeyboardInterrupt),
        ("ruri-reranker-stage2-base", interrupt, KeyboardInterrupt),
    ],
)
def test_stopped_and_resumed_training_gives_the_weights_of_uninterrupted_training(name, how, error, bert, tmp_path):
    settings = {"steps": "8", "checkpoints": "2"}
    if name.startswith("simcse"):
        settings |= {"evaluations": "4", "dev": "mini-sts@v1"}
    recipe, sets = small(name, bert, **settings), FAMILIES[name]
    train(recipe, sets, tmp_path / "whole")
    with pytest.raises(error):
        train(recipe, sets, tmp_path / "parts", say=stopping(5, how))
    assert not (tmp_path / "parts").exists()
    messages = []
    train(recipe, sets, tmp_path / "parts", resume=True, say=messages.append)
    assert f"going on from checkpoint-{6 if how is interrupt else 4}" in messages
    for path in (tmp_path / "whole").rglob("*.safetensors"):
        one, other = load_file(path), load_file(tmp_path / "parts" / path.relative_to(tmp_path / "whole"))
        assert all((one[key] == other[key]).all() for key in one)
    said = [json.loads((tmp_path / n / "training_manifest.json").read_text("utf-8")) for n in ("whole", "parts")]
    assert said[0]["selection"] == said[1]["selection"]


def test_simcse_keeps_the_best_evaluation_and_a_later_one_only_if_it_is_better(bert, tmp_path):
    """A learning rate that breaks the model: nothing is better than the untrained one."""
    recipe = small("simcse-sup", bert, steps="4", evaluations="4", dev="mini-sts@v1", learning_rate="1", warm_up="0")
    train(recipe, FAMILIES["simcse-sup"], tmp_path / "out")
    selection = json.loads((tmp_path / "out" / "training_manifest.json").read_text("utf-8"))["selection"]
    assert [each["step"] for each in selection["evaluations"]] == [0, 1, 2, 3, 4]
    scores = [each["spearman"] or -1 for each in selection["evaluations"]]
    assert selection["step"] == scores.index(max(scores))


def test_the_dev_set_counts_as_used_for_selection():
    assert list(met(find_recipe("simcse-sup"), [])) == [
        {"name": "JSICK", "split": "train", "flag": "dev_used_for_selection"}
    ]
    assert list(met(changed(find_recipe("simcse-sup"), {"evaluations": "0"}), [])) == []


def test_a_distilled_model_tells_its_teacher_and_what_that_was_trained_on():
    taught = {
        "datasets": [
            {"name": "MIRACL-ja", "split": "train", "evidence": "declared"},
            {"name": "JSQuAD", "split": "train", "flag": "unseen"},
        ],
        "base_model": ["BAAI/bge-reranker-v2-m3"],
    }
    of = replace(examples(*QUESTIONS, scores=True), teacher={"model": "./reranker", "training": taught})
    assert list(met(find_recipe("ruri-base"), [of]))[1:] == [
        {
            "name": "MIRACL-ja",
            "split": "train",
            "flag": "teacher_seen",
            "evidence": "declared of the teacher ./reranker",
        }
    ]
    assert teachers_of(find_recipe("ruri-base"), [of, *FAMILIES["ruri-base"]]) == [
        "./reranker",
        "BAAI/bge-reranker-v2-m3",
        "cl-nagoya/ruri-reranker-large",
    ]
    undistilled = changed(find_recipe("ruri-base"), {"distil": "false"})
    assert (len(list(met(undistilled, [of]))), teachers_of(undistilled, [of])) == (1, [])


def test_a_model_from_a_trained_base_tells_also_what_the_base_was_trained_on(bert, tmp_path):
    train(small("ruri-pt-base", bert, steps="2", warm_up="0"), FAMILIES["ruri-pt-base"][1:], tmp_path / "pt")
    again = small("ruri-reranker-stage2-base", tmp_path / "pt", steps="2", warm_up="0")
    train(again, FAMILIES["ruri-reranker-stage2-base"], tmp_path / "out")
    seen = {
        (row["name"], row.get("evidence", "")) for row in open_model(str(tmp_path / "out")).card.training["datasets"]
    }
    assert ("AutoWikiQA", "training_manifest.json of the base model pt") in seen
    manifest = json.loads((tmp_path / "out" / "training_manifest.json").read_text("utf-8"))
    assert manifest["base"]["manifest"]["recipe"] == "ruri-pt-base"
    assert manifest["base_model"] == ["bert"]


def test_a_colbert_goes_on_from_another_with_its_projection(colbert_native, tmp_path):
    recipe = small("jacolbert-v2", colbert_native, steps="1", warm_up="0", learning_rate="1e-12")
    train(recipe, FAMILIES["jacolbert-v2"], tmp_path / "out")
    names = ("1_Dense/model.safetensors", "model.safetensors")
    before, after = ([load_file(folder / name) for name in names] for folder in (colbert_native, tmp_path / "out"))
    assert all(abs(one[key] - two[key]).max() < 1e-6 for one, two in zip(before, after, strict=True) for key in one)


def test_ruri_leaves_position_embeddings_as_they_are(bert, tmp_path):
    train(small("ruri-pt-base", bert, steps="2", warm_up="0"), FAMILIES["ruri-pt-base"][1:], tmp_path / "out")
    before, after = (load_file(folder / "model.safetensors") for folder in (bert, tmp_path / "out"))
    key = "embeddings.position_embeddings.weight"
    assert (before[key] == after[key]).all()
    assert not (before["embeddings.word_embeddings.weight"] == after["embeddings.word_embeddings.weight"]).all()


@pytest.mark.parametrize(
    ("name", "settings", "sets", "message"),
    [
        ("simcse-sup", {}, [], "simcse-sup needs data; the report's is JSNLI"),
        ("simcse-sup", {"max_length": "4096"}, None, "max_length=4096: bert has 512 positions"),
        ("simcse-sup", {"batch_size": "512"}, None, "has 192 examples, fewer than a batch of 512"),
        ("ruri-base", {"batch_size": "512"}, None, "has 192 rows, less than one batch of 512: set batch_size"),
        (
            "jacolbert-v2",
            {},
            FAMILIES["jacolbert"],
            "mMARCO-ja has 1 negative a row, and the recipe needs 2: jbench mine",
        ),
        ("jacolbert-v2.5", {}, [examples(*QUESTIONS)], "is distilled, and JaNLI has no scores of a teacher"),
        ("ruri-reranker-stage2-base", {}, [examples("query", "positive")], "JaNLI has no negatives"),
        ("ruri-reranker-stage2-base", {"mini_batch": "3"}, None, "batch_size=8 is no multiple of mini_batch=3"),
    ],
)
def test_what_does_not_fit_is_one_line(name, settings, sets, message, bert, tmp_path):
    with pytest.raises(UsageError, match=message):
        train(small(name, bert, **settings), FAMILIES[name] if sets is None else sets, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_text_is_named_with_its_column_and_row(bert, tmp_path):
    rows = {"anchor": TEXTS[:9], "positive": [*TEXTS[:8], " "]}
    empty = TrainingSet("JaNLI", "train", "", (), Dataset.from_dict(rows))
    with pytest.raises(UsageError, match=r"JaNLI: column positive has no text in row 9$"):
        train(small("simcse-sup", bert), [empty], tmp_path / "out")


def test_a_base_without_the_markers_cannot_become_a_colbert(bare_unigram, tmp_path):
    with pytest.raises(UsageError, match=r"bare-unigram has no token \[unused0\] in its vocabulary"):
        train(small("jacolbert", bare_unigram), FAMILIES["jacolbert"], tmp_path / "out")


def test_a_base_that_is_not_there_is_unavailable(tmp_path):
    with pytest.raises(Unavailable, match="nowhere does not exist"):
        train(small("jacolbert", tmp_path / "nowhere"), FAMILIES["jacolbert"], tmp_path / "out")


def test_a_place_in_use_is_refused_and_a_begun_training_asks_for_resume(bert, tmp_path):
    recipe, sets = small("simcse-sup", bert), FAMILIES["simcse-sup"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("")
    with pytest.raises(UsageError, match="full is there already; give another name"):
        train(recipe, sets, tmp_path / "full")
    with pytest.raises(UsageError, match="nothing was begun at"):
        train(recipe, sets, tmp_path / "out", resume=True)
    with pytest.raises(ZeroDivisionError):
        train(recipe, sets, tmp_path / "out", say=stopping(1, crash))
    with pytest.raises(
        UsageError, match=r"was begun; go on with --resume, or delete .*out\.training, or give another name"
    ):
        train(recipe, sets, tmp_path / "out")
    with pytest.raises(UsageError, match=r"--resume: learning_rate was 0\.002 and is 0\.1"):
        train(changed(recipe, {"learning_rate": "0.1"}), sets, tmp_path / "out", resume=True)
    with pytest.raises(UsageError, match="--resume: recipe was 'simcse-sup' and is 'simcse-unsup'"):
        train(small("simcse-unsup", bert), FAMILIES["simcse-unsup"], tmp_path / "out", resume=True)
    other = tiny.bert_folder(tmp_path / "bert", corpus=TEXTS, vocabulary=500)
    with pytest.raises(UsageError, match=r"--resume: base was 'bert@local-.* and is 'bert@local-"):
        train(small("simcse-sup", other), sets, tmp_path / "out", resume=True)
    (tmp_path / "out.training" / "begun.json").write_text("{")
    with pytest.raises(Unavailable, match=r"begun\.json is broken; delete .*out\.training and begin anew"):
        train(recipe, sets, tmp_path / "out", resume=True)
    (tmp_path / "out.training" / "begun.json").unlink()
    with pytest.raises(UsageError, match=r"was begun; delete .*out\.training, or give another name"):
        train(recipe, sets, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "sets", "message"),
    [
        (
            "simcse-sup",
            "simcse-unsup",
            "wiki40b-ja has sentences alone, and simcse-sup learns from pairs: simcse-unsup",
        ),
        ("simcse-unsup", "simcse-sup", "JaNLI has pairs, and simcse-unsup learns from sentences alone: simcse-sup"),
    ],
)
def test_each_simcse_wants_the_data_that_it_is_for(name, sets, message, bert, tmp_path):
    with pytest.raises(UsageError, match=message):
        train(small(name, bert), FAMILIES[sets], tmp_path / "out")


def test_a_loss_that_is_no_number_ends_the_training(bert, tmp_path):
    with pytest.raises(InvalidScores, match="the loss is nan at step"):
        train(
            small("ruri-pt-base", bert, learning_rate="1e30", warm_up="0"), FAMILIES["ruri-pt-base"], tmp_path / "out"
        )


def test_too_little_memory_says_what_would_fit_and_goes_on_with_it(bert, tmp_path):
    def exhausted():
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")

    recipe, sets = (
        small("ruri-reranker-stage2-base", bert, steps="4", mini_batch="4"),
        FAMILIES["ruri-reranker-stage2-base"],
    )
    with pytest.raises(Unavailable, match="out of memory with 4 rows at once: --resume --set mini_batch=2 goes on"):
        train(recipe, sets, tmp_path / "out", say=stopping(3, exhausted))
    messages = []
    train(changed(recipe, {"mini_batch": "2"}), sets, tmp_path / "out", resume=True, say=messages.append)
    assert "going on from checkpoint-2" in messages


def test_the_base_of_a_second_stage_is_to_be_named(tmp_path):
    recipe = find_recipe("ruri-reranker-stage2-base")
    with pytest.raises(UsageError, match="what ruri-reranker-stage1-base gives, which nobody published: train it"):
        train(recipe, FAMILIES["ruri-reranker-stage2-base"], tmp_path / "out")
