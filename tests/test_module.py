"""What the loaded module says decides: longest input, pooling, routes, tasks, classes, positions."""

import json
import shutil

import numpy as np
import pytest

from jbench import open_model
from jbench.models import module
from jbench.models.locate import locate
from jbench.models.options import Options
from jbench.types import Unavailable, UsageError
from tests import tiny

QUERIES, DOCUMENTS = list(tiny.CORPUS[:2]), list(tiny.CORPUS[2:])
PAIRS = [(query, document) for query in QUERIES for document in DOCUMENTS]
OTHER_NAMES = ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")


def rewritten(folder, name, **change):
    """A JSON file of a checkpoint with other fields."""
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


def pooled(folder, bare, *behind, pooling="mean", **named):
    """``bare`` with a pooling and what stands behind it, saved by sentence-transformers."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    parts = [Transformer(str(bare)), Pooling(32, pooling), *behind]
    SentenceTransformer(modules=parts, device="cpu", **named).save(str(folder), create_model_card=False)
    return folder


def by_the_library(folder, **named):
    """Scores of `PAIRS` by sentence-transformers, a text at a time, so that no batch touches another."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", **named)
    asked, held = (
        np.concatenate([encode([text], batch_size=1) for text in texts])
        for encode, texts in ((model.encode_query, QUERIES), (model.encode_document, DOCUMENTS))
    )
    return model.similarity(asked, held).numpy().ravel()


def ours(folder, **options):
    return open_model(str(folder), Options(**options)).score(PAIRS, ("query", "document"))


@pytest.mark.parametrize("name", ["bert", *OTHER_NAMES])
def test_a_length_is_read_from_each_file_that_may_say_it(name, dense_bert, tmp_path):
    folder = shutil.copytree(dense_bert, tmp_path / "older")
    (folder / "sentence_bert_config.json").unlink()
    (folder / f"sentence_{name}_config.json").write_text(json.dumps({"max_seq_length": 9, "do_lower_case": False}))
    assert open_model(str(folder)).card.settings["max_length"] == 9
    assert locate(str(folder), None).max_length == 9
    assert ours(folder) == pytest.approx(by_the_library(folder), abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "named", "length"),
    [
        ("BertModel", {}, 514),
        ("RobertaModel", {"pad_token_id": 0}, 513),
        ("XLMRobertaModel", {"pad_token_id": 1}, 512),
        ("RobertaModel", {"pad_token_id": 3}, 510),
        ("CamembertModel", {"pad_token_id": 1}, 512),
        ("MPNetModel", {"pad_token_id": 1}, 512),
    ],
)
def test_a_table_of_positions_bounds_the_longest_input(kind, named, length, tmp_path):
    tokenizer = tiny.unigram()
    tokenizer.model_max_length = 1 << 40
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(named.get("pad_token_id", 0))
    bare = tiny.transformer(tmp_path / "bare", tokenizer, kind, **{"max_position_embeddings": 514, **named})
    model = open_model(str(bare), Options(settings={"pooling": "mean"}))
    assert model.card.settings["max_length"] == length
    assert np.isfinite(model.score([("雨" * 900, "傘")], ("sts", "sts"))).all()


def test_without_weights_the_module_says_what_the_loaded_one_says(dense_bert, dense_unigram, colbert_native):
    for folder in (dense_bert, dense_unigram):
        model = open_model(str(folder))
        loaded = module._described(model.weights.module, own=False)
        assert loaded == model.told


def test_the_answers_are_kept_for_later_runs(dense_bert, monkeypatch):
    first = open_model(str(dense_bert)).told
    monkeypatch.setattr(module, "_asked", None)
    assert open_model(str(dense_bert)).told == first


@pytest.mark.parametrize(
    ("prompts", "default", "query", "document"),
    [
        ({"query": "問: ", "document": ""}, "query", "問: ", ""),
        ({"query": "問: ", "passage": "文: "}, None, "問: ", "文: "),
        ({"query": "", "document": ""}, None, "", ""),
    ],
)
def test_an_empty_prompt_is_given_before_the_default(prompts, default, query, document, bare_bert, tmp_path):
    folder = pooled(tmp_path / "prompted", bare_bert, prompts=prompts, default_prompt_name=default)
    given = open_model(str(folder)).card.prompts
    assert (given.get("query", ""), given.get("document", "")) == (query, document)
    if "passage" not in prompts:  # which the library's encode_document does not find beside an empty document prompt
        assert ours(folder) == pytest.approx(by_the_library(folder), abs=1e-5)


def heads(allow=True, names=("query", "document")):
    """Two projections, each for one side."""
    import torch
    from sentence_transformers.base.modules import Dense, Router

    torch.manual_seed(3)
    return Router({name: [Dense(32, 16)] for name in names}, allow_empty_key=allow)


@pytest.mark.parametrize("allow", [True, False])
def test_a_router_behind_the_pooling_is_followed(allow, bare_bert, tmp_path):
    folder = pooled(tmp_path / "routed", bare_bert, heads(allow))
    assert ours(folder) == pytest.approx(by_the_library(folder), abs=1e-5)
    assert open_model(str(folder)).card.settings["tasks"] == "query: query, document: document"


def test_a_role_without_a_way_is_one_line(bare_bert, tmp_path):
    model = open_model(str(pooled(tmp_path / "routed", bare_bert, heads(allow=False))))
    with pytest.raises(UsageError, match=r"^routed has no way for the role sts: its modules read query, document$"):
        model.score([("雨", "傘")], ("sts", "sts"))


def test_a_router_in_front_reads_each_side_by_its_own_transformer(bare_bert, bare_unigram, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    sides = {"query": bare_unigram, "document": bare_bert}
    router = Router({side: [Transformer(str(bare)), Pooling(32, "cls")] for side, bare in sides.items()})
    SentenceTransformer(modules=[router], device="cpu").save(str(tmp_path / "front"))
    assert ours(tmp_path / "front") == pytest.approx(by_the_library(tmp_path / "front"), abs=1e-5)


def test_other_names_of_routes_are_known(bare_bert, tmp_path):
    from sentence_transformers import SentenceTransformer

    folder = pooled(tmp_path / "named", bare_bert, heads(names=("search_query", "doc")))
    library = SentenceTransformer(str(folder), device="cpu")
    asked, held = (library.encode(texts, task=task) for texts, task in ((QUERIES, "search_query"), (DOCUMENTS, "doc")))
    assert ours(folder) == pytest.approx(library.similarity(asked, held).numpy().ravel(), abs=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_text_beside_longer_ones_scores_as_it_does_alone(side, tmp_path):
    tokenizer = tiny.unigram()
    tokenizer.padding_side = side
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "initializer_range": 0.2}
    bare = tiny.transformer(tmp_path / "bare", tokenizer, "GPT2Model", **sizes)
    folder = pooled(tmp_path / "gpt", bare, pooling="lasttoken")
    assert ours(folder) == pytest.approx(by_the_library(folder), abs=1e-5)


BY_TASK = """
import torch
from sentence_transformers.base.modules import Transformer


class ByTask(Transformer):
    forward_kwargs = {"task"}

    def forward(self, features, task=None, **named):
        features = super().forward(features, **named)
        if task is not None:
            seed = SEEDS
            turn = torch.randn(32, 32, generator=torch.Generator().manual_seed(seed))
            features["token_embeddings"] = features["token_embeddings"] @ turn
        return features
"""


@pytest.mark.parametrize(
    ("seeds", "tasks", "given"),
    [
        ('{"query": 1, "document": 2}.get(task, 3)', ("query", "document"), "query: query, document: document"),
        (
            '{"retrieval.query": 1, "retrieval.passage": 2, "text-matching": 3}[task]',
            ("retrieval.query", "retrieval.passage"),
            "query: retrieval.query, document: retrieval.passage, sts: text-matching",
        ),
    ],
)
def test_trusted_code_is_told_the_task(seeds, tasks, given, dense_bert, tmp_path):
    from sentence_transformers import SentenceTransformer

    folder = shutil.copytree(dense_bert, tmp_path / "read")
    (folder / "own_modules.py").write_text(BY_TASK.replace("SEEDS", seeds))
    rows = json.loads((folder / "modules.json").read_text())
    rows[0] |= {"type": "own_modules.ByTask", "kwargs": ["task"]}
    (folder / "modules.json").write_text(json.dumps(rows))
    library = SentenceTransformer(str(folder), device="cpu", trust_remote_code=True)
    asked, held = (library.encode(texts, task=task) for texts, task in zip((QUERIES, DOCUMENTS), tasks, strict=True))
    model = open_model(str(folder), Options(trust_remote_code=True))
    assert model.card.settings["tasks"] == given
    wanted = library.similarity(asked, held).numpy().ravel()
    assert model.score(PAIRS, ("query", "document")) == pytest.approx(wanted, abs=1e-5)


def test_modules_without_a_pooling_are_one_line(dense_bert, tmp_path):
    folder = shutil.copytree(dense_bert, tmp_path / "unpooled")
    (folder / "modules.json").write_text(json.dumps(json.loads((folder / "modules.json").read_text())[:1]))
    with pytest.raises(UsageError, match=r"^unpooled: modules.json names no pooling, so no module makes one vector"):
        open_model(str(folder))


def test_the_last_of_several_poolings_is_the_one_that_is_said(bare_bert, tmp_path):
    from sentence_transformers.sentence_transformer.modules import Pooling

    folder = pooled(tmp_path / "two", bare_bert, Pooling(32, "cls"), pooling="mean")
    assert open_model(str(folder)).card.settings["pooling"] == "cls"
    assert ours(folder) == pytest.approx(by_the_library(folder), abs=1e-5)


@pytest.mark.parametrize(
    ("change", "trusted", "says"),
    [
        ({"auto_map": {"AutoModel": "own.Enc"}}, False, "runs code of its own, own.Enc"),
        ({"auto_map": {"AutoModelForCausalLM": "own.C"}}, False, "runs code of its own, own.C"),
        ({"architectures": ["OwnBidirectionalModel"]}, False, "names the architecture OwnBidirectionalModel, which"),
    ],
)
def test_a_class_that_is_named_and_would_not_be_used_is_refused(change, trusted, says, dense_bert, tmp_path):
    folder = shutil.copytree(dense_bert, tmp_path / "own")
    rewritten(folder, "config.json", **change)
    with pytest.raises((UsageError, Unavailable), match=says):
        open_model(str(folder), Options(trust_remote_code=trusted))


def test_trusted_code_for_another_use_is_refused(dense_bert, tmp_path):
    folder = shutil.copytree(dense_bert, tmp_path / "own")
    rewritten(folder, "config.json", auto_map={"AutoModelForCausalLM": "own.C"})
    with pytest.raises(UsageError, match="code of its own for AutoModelForCausalLM but none for AutoModel, which is"):
        open_model(str(folder), Options(trust_remote_code=True))


def test_settings_of_the_processor_are_the_librarys_to_apply(dense_bert, tmp_path):
    folder = shutil.copytree(dense_bert, tmp_path / "set")
    rewritten(folder, "sentence_bert_config.json", processing_kwargs={"text": {"max_length": 8}})
    model = open_model(str(folder))
    assert model.card.settings["max_length"] == 8
    assert model.score(PAIRS, ("query", "document")) == pytest.approx(by_the_library(folder), abs=1e-5)
    report = model.report()
    assert report["truncated"] == len(tiny.CORPUS)
    whole = sum(len(ids) for ids in model.weights.module.tokenizer(list(tiny.CORPUS), truncation=False)["input_ids"])
    assert report["tokens_lost"] == whole - 8 * len(tiny.CORPUS)


def test_a_chat_template_is_applied_as_the_library_does(dense_unigram, tmp_path):
    folder = shutil.copytree(dense_unigram, tmp_path / "chat")
    (folder / "chat_template.jinja").write_text(
        "{% for message in messages %}{% if message['role'] == 'system' %}指示:{{ message['content'] }}{% else %}"
        "文:{{ message['content'] }}{% endif %}{% endfor %}"
    )
    way = {"method": "forward", "method_output_name": "last_hidden_state", "format": "flat"}
    rewritten(folder, "sentence_bert_config.json", modality_config={"message": way, "text": way})
    own = {"prompts": {"query": "検索", "document": ""}, "default_prompt_name": None}
    rewritten(folder, "config_sentence_transformers.json", **own)
    model = open_model(str(folder))
    assert model.score(PAIRS, ("query", "document")) == pytest.approx(by_the_library(folder), abs=1e-5)
    side = model._encoder.reader().tokenize(["雨が降る"], "検索")
    plain = model.weights.module.tokenizer("指示:検索文:雨が降る", add_special_tokens=False)["input_ids"]
    assert side.items[0]["input_ids"] == plain  # a template writes the special tokens that it wants


def test_a_table_kept_in_half_precision_computes_as_the_record_says(tmp_path):
    import torch
    from safetensors.torch import load_file, save_file
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    torch.manual_seed(0)
    table = StaticEmbedding(tiny.unigram().backend_tokenizer, embedding_dim=16)
    SentenceTransformer(modules=[table], device="cpu").save(str(tmp_path / "half"))
    (path,) = (tmp_path / "half").rglob("*.safetensors")
    weights = {name: weight.half() for name, weight in load_file(path).items()}
    save_file(weights, path)
    model = open_model(str(tmp_path / "half"))
    assert model.card.settings["dtype"] == "float32"
    assert {weight.dtype for weight in model.weights.module.parameters()} == {torch.float32}
