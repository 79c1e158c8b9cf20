"""What a checkpoint's own files say, read from folders of JSON alone."""

import json

import pytest

from jbench.models.checkpoint import Checkpoint
from jbench.models.locate import locate
from jbench.models.own_code import check_code, own_code
from jbench.types import Unavailable, UsageError

ST = "sentence_transformers"
BERT = {"architectures": ["BertModel"], "model_type": "bert"}
MASKED = {"architectures": ["BertForMaskedLM"], "model_type": "bert"}
CLASSIFIER = {"architectures": ["BertForSequenceClassification"], "model_type": "bert"}
STANFORD = {"architectures": ["HF_ColBERT"], "model_type": "bert"}
PYLATE = {"query_prefix": "[Q] ", "do_query_expansion": True, "skiplist_words": []}


def folder(path, files):
    """``files`` by name: JSON, or bytes as they are; modules.json may be a list of types."""
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        whole = rows(content) if name == "modules.json" and isinstance(content[0], str) else content
        file.write_bytes(whole if isinstance(whole, bytes) else json.dumps(whole).encode())
    return Checkpoint("x", "r", path)


def rows(types):
    """As the library writes modules: the first in the folder itself, each other in one of its own."""
    return [{"path": f"{i}_{kind.rsplit('.', 1)[-1]}" if i else "", "type": kind} for i, kind in enumerate(types)]


def modules(*names):
    return [f"{ST}.models.{name}" for name in names]


@pytest.mark.parametrize(
    ("files", "kind", "sign"),
    [
        ({"config.json": BERT}, "dense", "a bare transformer"),
        ({"config.json": MASKED}, "dense", "a bare transformer"),
        ({"modules.json": modules("Transformer", "Pooling", "Dense")}, "dense", "modules.json"),
        ({"modules.json": modules("Transformer", "Dense")}, "dense", "modules.json"),
        ({"modules.json": modules("StaticEmbedding")}, "dense", "modules.json"),
        (
            {
                "config.json": BERT,
                "modules.json": [f"{ST}.base.modules.transformer.Transformer", f"{ST}.x.modules.pooling.Pooling"],
                "config_sentence_transformers.json": {"model_type": "SentenceTransformer"},
            },
            "dense",
            "model_type SentenceTransformer",
        ),
        ({"config.json": CLASSIFIER}, "cross-encoder", "architecture BertForSequenceClassification"),
        (
            {
                "config.json": CLASSIFIER,
                "modules.json": modules("Transformer"),
                "sentence_bert_config.json": {"transformer_task": "sequence-classification"},
                "config_sentence_transformers.json": {"model_type": "CrossEncoder"},
            },
            "cross-encoder",
            "model_type CrossEncoder",
        ),
        (
            {
                "config.json": CLASSIFIER,
                "modules.json": modules("Transformer"),
                "config_sentence_transformers.json": {"model_type": "CrossEncoder"},
            },
            "cross-encoder",
            "model_type CrossEncoder",
        ),
        (
            {
                "config.json": {"architectures": ["QwenForCausalLM"]},
                "modules.json": modules("Transformer", "LogitScore"),
            },
            "cross-encoder",
            "LogitScore in modules.json",
        ),
        ({"modules.json": modules("Transformer", "SpladePooling")}, "sparse", "SpladePooling in modules.json"),
        ({"modules.json": modules("MLMTransformer", "SpladePooling")}, "sparse", "MLMTransformer in modules.json"),
        (
            {
                "modules.json": modules("Transformer", "Pooling", "SparseAutoEncoder"),
                "config_sentence_transformers.json": {"model_type": "SparseEncoder"},
            },
            "sparse",
            "model_type SparseEncoder",
        ),
        (
            {
                "modules.json": modules("Router"),
                "config_sentence_transformers.json": {"model_type": "SparseEncoder"},
            },
            "sparse",
            "model_type SparseEncoder",
        ),
        ({"config.json": STANFORD}, "colbert", "architecture HF_ColBERT"),
        ({"config.json": STANFORD, "artifact.metadata": {"dim": 128}}, "colbert", "artifact.metadata"),
        (
            {
                "config.json": STANFORD,
                "artifact.metadata": {"dim": 128},
                "modules.json": [f"{ST}.models.Transformer", "pylate.models.Dense.Dense"],
                "config_sentence_transformers.json": PYLATE,
            },
            "colbert",
            "artifact.metadata",
        ),
        (
            {"config.json": BERT, "modules.json": [f"{ST}.models.Transformer", "pylate.models.Dense.Dense"]},
            "colbert",
            "PyLate in modules.json",
        ),
        (
            {
                "config.json": BERT,
                "modules.json": modules("Transformer", "Dense"),
                "config_sentence_transformers.json": PYLATE,
            },
            "colbert",
            "query expansion in config_sentence_transformers.json",
        ),
        (
            {"modules.json": modules("Transformer", "Dense"), "artifact.metadata": {}, "config.json": BERT},
            "colbert",
            "artifact.metadata",
        ),
        (
            {
                "modules.json": modules("Transformer", "Dense"),
                "config_sentence_transformers.json": {"model_type": "ColBERT"},
            },
            "colbert",
            "model_type ColBERT",
        ),
        (
            {
                "modules.json": modules("Transformer", "Dense", "MultiVectorMask", "Normalize"),
                "config_sentence_transformers.json": {"model_type": "MultiVectorEncoder"},
            },
            "colbert",
            "model_type MultiVectorEncoder",
        ),
        (
            {"modules.json": modules("Transformer", "Dense", "MultiVectorMask")},
            "colbert",
            "MultiVectorMask in modules.json",
        ),
    ],
)
def test_each_layout_is_recognised_by_a_sign(files, kind, sign, tmp_path):
    assert folder(tmp_path, files).kind == (kind, sign)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {"artifact.metadata": {}, "modules.json": modules("Transformer", "Pooling")},
            "x could be colbert (artifact.metadata) or dense (modules.json): write colbert:x or dense:x",
        ),
        (
            {
                "config.json": CLASSIFIER,
                "modules.json": modules("Transformer", "Pooling"),
                "config_sentence_transformers.json": {"model_type": "SentenceTransformer"},
            },
            "x could be cross-encoder (architecture BertForSequenceClassification) or dense (model_type "
            "SentenceTransformer): write cross-encoder:x or dense:x",
        ),
        (
            {"config.json": CLASSIFIER, "modules.json": modules("Transformer")},
            "x could be cross-encoder (architecture BertForSequenceClassification) or dense (modules.json): "
            "write cross-encoder:x or dense:x",
        ),
        (
            {
                "config.json": BERT,
                "modules.json": modules("Transformer", "Pooling"),
                "config_sentence_transformers.json": {"model_type": "CrossEncoder"},
            },
            "x could be cross-encoder (model_type CrossEncoder) or dense (modules.json): "
            "write cross-encoder:x or dense:x",
        ),
        (
            {
                "artifact.metadata": {},
                "config.json": CLASSIFIER,
                "modules.json": modules("Transformer", "SpladePooling"),
            },
            "x could be colbert (artifact.metadata) or cross-encoder (architecture BertForSequenceClassification) or "
            "sparse (SpladePooling in modules.json): write colbert:x or cross-encoder:x or sparse:x",
        ),
    ],
)
def test_files_that_speak_for_two_kinds_ask_for_a_prefix(files, says, tmp_path):
    with pytest.raises(UsageError) as caught:
        _ = folder(tmp_path, files).kind
    assert str(caught.value) == says


def test_the_prefix_asked_for_stands_before_what_was_typed(tmp_path, monkeypatch):
    folder(tmp_path / "both", {"artifact.metadata": {}, "modules.json": modules("Transformer", "Pooling")})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"^both could be .*: write colbert:\./both or dense:\./both$"):
        _ = locate("./both", None).kind


@pytest.mark.parametrize(
    ("config", "labels"),
    [
        ({}, 2),
        ({"num_labels": 1}, 1),
        ({"id2label": {"0": "LABEL_0"}}, 1),
        ({"id2label": {"0": "a", "1": "b", "2": "c"}}, 3),
        ({"id2label": {"0": "a", "1": "b", "2": "c"}, "num_labels": 3}, 3),
        ({"id2label": None, "num_labels": 4}, 4),
    ],
)
def test_labels_are_counted_as_transformers_counts_them(config, labels, tmp_path):
    from transformers import BertConfig

    assert folder(tmp_path, {"config.json": {**CLASSIFIER, **config}}).labels == labels
    assert BertConfig.from_pretrained(tmp_path).num_labels == labels


WHOLE = {"config.json": BERT, "tokenizer.json": {}, "model.safetensors": b"x"}
POOLED = {**WHOLE, "modules.json": modules("Transformer", "Pooling"), "1_Pooling/config.json": {}}


def without(files, *names):
    return {name: content for name, content in files.items() if name not in names}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (without(WHOLE, "config.json"), "x: config.json is not there"),
        (without(WHOLE, "tokenizer.json"), "x: no tokenizer in it; save it beside the weights"),
        (without(POOLED, "config.json"), "x: config.json is not there"),
        (without(POOLED, "1_Pooling/config.json"), "x: modules.json names 1_Pooling, which is not there"),
        (
            {**POOLED, "modules.json": [{"type": f"{ST}.models.Transformer", "path": "0_Transformer"}]},
            "x: modules.json names 0_Transformer, which is not there",
        ),
        (
            {
                **POOLED,
                "modules.json": [{"type": f"{ST}.models.Transformer", "path": "0_Transformer"}],
                "0_Transformer/vocab.txt": b"",
            },
            "x/0_Transformer: config.json is not there",
        ),
        (
            {
                **without(WHOLE, "model.safetensors"),
                "model-00001-of-00002.safetensors": b"x",
                "model.safetensors.index.json": {
                    "weight_map": {
                        "a": "model-00001-of-00002.safetensors",
                        "b": "model-00002-of-00002.safetensors",
                    }
                },
            },
            "x: model.safetensors.index.json names model-00002-of-00002.safetensors, which is not there",
        ),
        (without(WHOLE, "model.safetensors"), "x has no weights: neither model.safetensors nor pytorch_model.bin"),
        (
            {**without(WHOLE, "model.safetensors"), "pytorch_model.bin": b""},
            "x has no safetensors (pickled weights are not read); `jbench fetch --convert x` writes them",
        ),
        (
            {**POOLED, "modules.json": modules("Transformer", "Pooling", "Dense"), "2_Dense/pytorch_model.bin": b""},
            "x/2_Dense has no safetensors (pickled weights are not read); `jbench fetch --convert x` writes them",
        ),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_one_line_that_names_the_file(files, says, tmp_path):
    with pytest.raises(Unavailable) as caught:
        folder(tmp_path, files).check_weights()
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


ELSEWHERE = ["../outside", "/outside", "0_Transformer/../../outside", "..", "..\\outside"]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_what_lies_outside_is_no_part_of_a_checkpoint(path, tmp_path):
    (tmp_path / "outside").mkdir()
    where = path if path != "/outside" else str(tmp_path / "outside")
    (tmp_path / "outside" / "w.safetensors").write_bytes(b"x")
    moved = folder(tmp_path / "a", {**POOLED, "modules.json": [{"type": f"{ST}.models.Transformer", "path": where}]})
    for ask in (lambda: moved.modules, lambda: moved.kind, moved.check_weights, moved.pickled):
        with pytest.raises(Unavailable) as caught:
            ask()
        assert str(caught.value) == f"x: modules.json names {where}, which lies outside the checkpoint"
    index = {"weight_map": {"a": f"{where}/w.safetensors"}}
    sharded = folder(tmp_path / "b", {**WHOLE, "model.safetensors.index.json": index})
    with pytest.raises(
        Unavailable, match=r"^x: model\.safetensors\.index\.json names .*, which lies outside the checkpoint$"
    ):
        sharded.check_weights()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"5", "x: modules.json is no list of modules"),
        (b"null", "x: modules.json is no list of modules"),
        (b'{"a": 1}', "x: modules.json is no list of modules"),
        (b"[5]", "x: modules.json has a row without type and path"),
        (b'[{"type": "a", "path": 3}]', "x: modules.json has a row without type and path"),
        (b'[{"type": null, "path": ""}]', "x: modules.json has a row without type and path"),
        (b"\xff", "x: modules.json is not JSON ('utf-8' codec"),
        (b"[" * 100_000, "x: modules.json is not JSON (maximum recursion"),
    ],
)
def test_modules_that_are_none_are_one_line(content, says, tmp_path):
    with pytest.raises(Unavailable) as caught:
        folder(tmp_path, {"modules.json": content}).check_weights()
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("named", [[], {}, "model.safetensors", {"a": 5}])
def test_an_index_of_another_shape_is_one_line(named, tmp_path):
    files = {**WHOLE, "model.safetensors.index.json": {"weight_map": named}}
    with pytest.raises(Unavailable, match=r"^x: model\.safetensors\.index\.json names no file for each weight$"):
        folder(tmp_path, files).check_weights()


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"id2label": 1}, "x: id2label in config.json is 1, not a table of labels"),
        ({"id2label": ["a"]}, "x: id2label in config.json is ['a'], not a table of labels"),
        ({"num_labels": "one"}, "x: num_labels in config.json is 'one', not a number"),
        ({"num_labels": [1]}, "x: num_labels in config.json is [1], not a number"),
    ],
)
def test_labels_of_another_type_are_one_line(config, says, tmp_path):
    with pytest.raises(Unavailable) as caught:
        _ = folder(tmp_path, {"config.json": config}).labels
    assert str(caught.value) == says


@pytest.mark.parametrize("prompts", [["query: "], "query: ", {"query": 5}, {"query": ["a"]}])
def test_prompts_of_another_type_are_one_line(prompts, tmp_path):
    checkpoint = folder(tmp_path, {"config_sentence_transformers.json": {"prompts": prompts}})
    with pytest.raises(Unavailable, match=r"^x: prompts in config_sentence_transformers\.json are no texts by name$"):
        _ = checkpoint.own_prompts


def test_a_prompt_may_be_left_out(tmp_path):
    files = {"config_sentence_transformers.json": {"prompts": {"query": None, "document": "d: "}}}
    assert folder(tmp_path, files).own_prompts == {"default": "", "query": "", "document": "d: "}


NO_LENGTHS = ["512", -1, 0, True, [512], None, float("nan")]


@pytest.mark.parametrize("value", NO_LENGTHS)
def test_a_length_that_is_none_says_nothing(value, tmp_path):
    files = {
        "sentence_bert_config.json": {"max_seq_length": value},
        "tokenizer_config.json": {"model_max_length": value},
        "config.json": {**BERT, "max_position_embeddings": value},
    }
    assert folder(tmp_path / "a", files).max_length is None
    assert folder(tmp_path / "b", {**files, "config.json": {"max_position_embeddings": 64}}).max_length == 64
    assert folder(tmp_path / "c", {**files, "tokenizer_config.json": {"model_max_length": 32}}).max_length == 32
    roberta = {"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": value}
    assert folder(tmp_path / "d", {"config.json": roberta}).positions == 513
    assert folder(tmp_path / "e", {"config.json": {**roberta, "pad_token_id": 1}}).positions == 512


def test_a_similarity_that_is_no_name_is_cosine(tmp_path):
    assert (
        folder(tmp_path, {"config_sentence_transformers.json": {"similarity_fn_name": ["dot"]}}).similarity == "cosine"
    )


@pytest.mark.parametrize(
    "files",
    [
        WHOLE,
        POOLED,
        {**POOLED, "modules.json": modules("Transformer", "Pooling", "Normalize")},  # the hub keeps no empty folder
        {**without(WHOLE, "config.json"), "adapter_config.json": {}},
        {**without(WHOLE, "tokenizer.json"), "tokenizer_config.json": {"tokenizer_class": "CanineTokenizer"}},
        {**without(WHOLE, "tokenizer.json"), "spiece.model": b""},
        {"modules.json": modules("StaticEmbedding"), "model.safetensors": b""},
    ],
)
def test_a_whole_checkpoint_passes(files, tmp_path):
    folder(tmp_path, files).check_weights()


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (WHOLE, None),
        ({**WHOLE, "modules.json": modules("Transformer")}, None),
        ({"modules.json": ["pylate.models.Dense.Dense"]}, None),
        (
            {"modules.json": [f"{ST}.models.Transformer", "custom_pooling.Pooling"]},
            "custom_pooling.Pooling (modules.json)",
        ),
        (
            {"modules.json": ["sentence_transformers_extra.Transformer"]},
            "sentence_transformers_extra.Transformer (modules.json)",
        ),
        (
            {
                "config.json": {
                    "model_type": "own_x",
                    "auto_map": {"AutoConfig": "conf_x.Conf", "AutoModel": "mod_x.Enc"},
                }
            },
            "mod_x.Enc (config.json)",
        ),
        ({"config.json": {"auto_map": {"AutoConfig": "conf_x.Conf"}}}, "conf_x.Conf (config.json)"),
        (
            {"config.json": {"model_type": "own_x", "auto_map": {"AutoModel": "org/repo--m.E"}}},
            "org/repo--m.E (config.json)",
        ),
        (
            {"config.json": {"model_type": "modernbert", "auto_map": {"AutoModel": "mod_x.Enc"}}},
            "mod_x.Enc (config.json)",
        ),
        ({"config.json": {**BERT, "auto_map": {"AutoConfig": "conf_x.Conf"}}}, "conf_x.Conf (config.json)"),
        ({"config.json": {**BERT, "auto_map": {}}}, None),
        (
            {"config.json": BERT, "processor_config.json": {"auto_map": {"AutoProcessor": "p.P"}}},
            "p.P (processor_config.json)",
        ),
        (
            {
                "modules.json": modules("Router"),
                "router_config.json": {
                    "types": {"query_0_Own": "own.Encoder", "query_1_Pooling": f"{ST}.models.Pooling"}
                },
            },
            "own.Encoder (router_config.json)",
        ),
        (
            {
                "modules.json": modules("Asym"),
                "config.json": {"types": {"a_0_Transformer": f"{ST}.models.Transformer"}},
                "a_0_Transformer/config.json": {**BERT, "auto_map": {"AutoModel": "org/repo--m.E"}},
            },
            "org/repo--m.E (config.json)",
        ),
        (
            {
                "config.json": BERT,
                "tokenizer_config.json": {
                    "tokenizer_class": "OwnTokenizer",
                    "auto_map": {"AutoTokenizer": ["tok.OwnTokenizer", None]},
                },
            },
            "tok.OwnTokenizer (tokenizer_config.json)",
        ),
        (
            {
                "config.json": BERT,
                "tokenizer_config.json": {
                    "tokenizer_class": "BertTokenizer",
                    "auto_map": {"AutoTokenizer": ["tok.T", None]},
                },
            },
            "tok.T (tokenizer_config.json)",
        ),
        ({"config.json": BERT, "tokenizer_config.json": {"auto_map": {"AutoTokenizer": [None, None]}}}, None),
    ],
)
def test_code_of_its_own_is_refused_wherever_a_file_names_it(files, code, tmp_path):
    checkpoint = folder(tmp_path, files)
    assert own_code(checkpoint) == code
    check_code(checkpoint, trusted=True)
    if code is None:
        check_code(checkpoint, trusted=False)
        return
    with pytest.raises(UsageError) as caught:
        check_code(checkpoint, trusted=False)
    assert str(caught.value) == f"x runs code of its own, {code}; add --trust-remote-code if you trust it"


def test_what_the_library_saves_is_recognised_and_whole(
    dense_bert, colbert_native, colbert_pylate, colbert_stanford, cross_bert, sparse_bert, bare_bert
):
    kinds = {
        dense_bert: "dense",
        colbert_native: "colbert",
        colbert_pylate: "colbert",
        colbert_stanford: "colbert",
        cross_bert: "cross-encoder",
        sparse_bert: "sparse",
        bare_bert: "dense",
    }
    for saved, kind in kinds.items():
        checkpoint = locate(str(saved), None)
        assert (checkpoint.kind[0], own_code(checkpoint)) == (kind, None)
        checkpoint.check_weights()
    assert locate(str(cross_bert), None).labels == 1
