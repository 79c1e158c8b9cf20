"""Texts are read as the checkpoint's own files say, whatever class they declare."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from jbench.models import reading
from jbench.models.vocabulary import default_dictionary, vocabulary
from tests import tiny
from tests import vocabularies as v

TEXT = "図書館で本を三冊、ＡＢＣ ｶﾞｷﾞ Crème！"


class Lone(NamedTuple):
    """A sentencepiece model alone: its class, and the ids that a text has by the alignment of the class."""

    family: str
    name: str
    trained: dict[str, Any]
    said: dict[str, Any]
    model_type: str
    wanted: Callable[[list[int]], list[int]]


def fairseq(ids):
    """One further on than the pieces, ``<unk>`` at 3, between ``<s>`` and ``</s>``."""
    return [0, *(place + 1 if place else 3 for place in ids), 2]


def between(first, last):
    return lambda ids: [first, *ids, last]


PLAIN = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False, "byte_fallback": True}
LONE = [
    Lone("XLMRoberta", "sentencepiece.bpe.model", {}, v.XLMR, "xlm-roberta", fairseq),
    Lone("XLMRoberta", "sentencepiece.bpe.model", {}, v.XLMR, "bert", fairseq),
    Lone("", "sentencepiece.bpe.model", {}, {}, "xlm-roberta", fairseq),
    Lone("MLuke", "sentencepiece.bpe.model", {}, v.XLMR, "luke", fairseq),
    Lone(
        "Albert",
        "spiece.model",
        {**v.BRACKET_PIECES, "pad_piece": "[PAD]", "unk_piece": "[UNK]"},
        {**v.BRACKETS, "do_lower_case": False, "keep_accents": True},
        "roberta",
        between(2, 3),
    ),
    Lone(
        "DebertaV2",
        "spm.model",
        v.BRACKET_PIECES,
        {**v.BRACKETS, "unk_token": "<unk>", "pad_token": "<pad>", "do_lower_case": False},
        "deberta-v2",
        between(2, 3),
    ),
    Lone("T5", "spiece.model", {"pad_id": 3}, {**v.S, "extra_ids": 0}, "roberta", lambda ids: [*ids, 2]),
    Lone("Llama", "tokenizer.model", {"model_type": "bpe", **PLAIN}, v.S, "llama", lambda ids: [1, *ids]),
    Lone("Llama", "tokenizer.model", PLAIN, {**v.S, "add_eos_token": True}, "mistral", between(1, 2)),
    Lone("Llama", "tokenizer.model", PLAIN, {**v.S, "add_bos_token": False}, "llama", list),
    Lone(
        "Llama",
        "tokenizer.model",
        {"add_dummy_prefix": False, **PLAIN},
        {**v.S, "add_eos_token": True, "add_prefix_space": False, "legacy": False},
        "llama",
        between(1, 2),
    ),
]


@pytest.mark.parametrize("row", LONE, ids=lambda row: f"{row.family} {row.model_type} {sorted(row.said)[:2]}")
def test_a_sentencepiece_model_alone_is_read_by_sentencepiece(row, tmp_path):
    model = v.sentencepiece(**row.trained)
    said = {**row.said, **({"tokenizer_class": f"{row.family}Tokenizer"} if row.family else {})}
    made = v.checkpoint(tmp_path, {row.name: model}, said, {"model_type": row.model_type})
    own = vocabulary(made)
    for text in (TEXT, *reading.PROBES):
        plain = text.replace("``", '"').replace("''", '"') if row.family == "Albert" else text
        assert own.ids(text, True) == row.wanted(v.piece_ids(model, plain)), text
    loaded = used(made)
    for text in (TEXT, *reading.PROBES):
        assert loaded(text)["input_ids"] == own.ids(text, True)
    assert reading.compare(made, loaded, reading.PROBES) == []


def used(made):
    """The tokenizer that jbench would use: the library's where it reads as the files do, else one of the files'."""
    from transformers import AutoTokenizer

    library = AutoTokenizer.from_pretrained(made.folder)
    own = vocabulary(made)
    same = not reading.compare(made, library, reading.probes(own)) and not own.other(library)
    return library if same else own.make(library)


def test_entity_tokens_of_a_luke_stand_behind_its_mask(tmp_path):
    model = v.sentencepiece()
    size = v.piece_count(model)
    entities = {"<ent>": size + 2, "<ent2>": size + 3}
    files = {"sentencepiece.bpe.model": model, "added_tokens.json": entities, "entity_vocab.json": {"[UNK]": 0}}
    files["entity_vocab.json"] = {"[MASK]": 0, "[UNK]": 1, "[PAD]": 2, "[MASK2]": 3}
    made = v.checkpoint(tmp_path, files, {**v.XLMR, "tokenizer_class": "MLukeTokenizer"}, {"model_type": "luke"})
    tokenizer = used(made)
    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<ent>", "<ent2>"]
    assert tokenizer.convert_tokens_to_ids(names) == [0, 1, 2, 3, size + 1, size + 2, size + 3]
    assert (tokenizer.pad_token_id, len(tokenizer)) == (1, size + 4)
    assert tokenizer("図書館", "本")["input_ids"].count(2) == 3  # <s> A </s></s> B </s>


class Json(NamedTuple):
    """A ``tokenizer.json`` under a declaration, and what stands around a text's own ids."""

    name: str
    build: Callable[[], Any]
    said: dict[str, Any] | None
    model_type: str
    framed: Callable[[list[int]], list[int]] = list
    changed: Callable[[Any], Any] = lambda made: made


def cased(made):
    from tokenizers import normalizers

    made.normalizer = normalizers.BertNormalizer(lowercase=False)
    return made


def with_blank(made):
    from tokenizers import pre_tokenizers

    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return made


LLAMA = {**v.S, "tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": True}
GPT2 = {"bos_token": v.END, "eos_token": v.END, "unk_token": v.END}
QWEN = {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": v.END}
S_S = between(1, 2)
JSON = [
    Json("Sarashina", v.unigram, {**LLAMA, "add_prefix_space": False}, "llama", S_S),
    Json("Sarashina without a frame", lambda: v.unigram(framed=False), LLAMA, "llama", S_S),
    Json("Japanese ModernBERT", v.unigram, LLAMA, "modernbert", S_S),
    Json("e5-mistral", v.bpe, LLAMA, "mistral", S_S),
    Json("Llama without <s>", v.bpe, {**LLAMA, "add_bos_token": False, "add_eos_token": False}, "llama"),
    Json("silent Llama", v.bpe, {**v.S, "tokenizer_class": "LlamaTokenizerFast"}, "llama", lambda ids: [1, *ids]),
    Json("Gemma", v.unigram, {**LLAMA, "tokenizer_class": "GemmaTokenizer"}, "gemma3_text", S_S),
    Json("T5 on a RoBERTa", lambda: v.unigram("always"), {**v.S, "tokenizer_class": "T5Tokenizer"}, "roberta", S_S),
    Json("T5", lambda: v.unigram("always"), {**v.S, "tokenizer_class": "T5Tokenizer"}, "t5", S_S),
    Json("Albert", lambda: v.unigram("always"), {**v.XLMR, "tokenizer_class": "AlbertTokenizer"}, "roberta", S_S),
    Json("LUKE", lambda: v.unigram("always"), {**v.XLMR, "tokenizer_class": "MLukeTokenizer"}, "luke", S_S),
    Json("BERT, no class", v.unigram, {**v.XLMR, "do_lower_case": True}, "bert", S_S),
    Json("DistilBERT, no class", v.unigram, v.XLMR, "distilbert", S_S),
    Json("BERT, no tokenizer_config.json", v.unigram, None, "bert", S_S),
    Json(
        "multilingual cased BERT",
        lambda: v.wordpiece(True),
        {"do_lower_case": False, "model_max_length": 64},
        "bert",
        between(2, 3),
        cased,
    ),
    Json(
        "BERT that says nothing of case",
        lambda: v.wordpiece(False),
        {**v.BRACKETS, "tokenizer_class": "BertTokenizer"},
        "bert",
        between(2, 3),
    ),
    Json("GPT-NeoX", v.byte_level, {**GPT2, "tokenizer_class": "GPTNeoXTokenizer"}, "gpt_neox"),
    Json(
        "GPT-2 with a blank in front",
        v.byte_level,
        {**GPT2, "tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True},
        "gpt2",
        changed=with_blank,
    ),
    Json(
        "Qwen3-Embedding",
        lambda: v.byte_level(end=True),
        {**QWEN, "add_bos_token": False},
        "qwen3",
        lambda ids: [*ids, 0],
    ),
    Json(
        "Qwen2 with an end that only its configuration has",
        v.byte_level,
        {**QWEN, "eos_token": v.END, "add_eos_token": True},
        "qwen2",
        lambda ids: [*ids, 0],
    ),
]


@pytest.mark.parametrize("row", JSON, ids=lambda row: row.name)
def test_tokenizer_json_outranks_the_declared_class_and_its_configuration_outranks_it(row, tmp_path):
    made = v.checkpoint(tmp_path, {"tokenizer.json": row.build()}, row.said, {"model_type": row.model_type})
    from tokenizers import Tokenizer

    file = row.changed(Tokenizer.from_file(str(tmp_path / "tokenizer.json")))
    tokenizer = used(made)
    for text in (TEXT, *reading.PROBES):
        wanted = row.framed(file.encode(text, add_special_tokens=False).ids)
        assert tokenizer(text)["input_ids"] == wanted, text
    # Truncation and padding of the file are not its reading.
    assert tokenizer(["あ", TEXT * 40])["input_ids"][1] == row.framed(
        file.encode(TEXT * 40, add_special_tokens=False).ids
    )


def test_a_difference_shows_both_readings_from_where_they_part(tmp_path):
    from transformers import AutoTokenizer

    made = v.checkpoint(tmp_path, {"tokenizer.json": v.unigram()}, LLAMA, {"model_type": "llama"})
    (row,) = reading.compare(made, AutoTokenizer.from_pretrained(tmp_path), ["図書館で本を借りた。"])
    assert row.library[:4] == ["▁", "図", "書", "館"]
    assert "".join(row.files) == "図書館で本を借りた。"
    assert str(row) == "'図書館で本を借りた。': library [▁ 図 書 館 で 本], files [図書館 で 本 を 借 り]"


class Broken:
    """As a WordPiece over a vocabulary that lacks its unknown token."""

    def get_added_vocab(self):
        return {}

    def __call__(self, text, **how):
        raise ValueError("Missing [UNK] token from the vocabulary")


def test_a_tokenizer_that_cannot_read_at_all_differs_with_its_reason(tmp_path):
    made = v.checkpoint(tmp_path, {"tokenizer.json": v.unigram()}, None, {"model_type": "bert"})
    (row,) = reading.compare(made, Broken(), ["本"])
    assert row.library == ["Missing [UNK] token from the vocabulary"]


@pytest.mark.parametrize(
    ("version", "dictionary"),
    [
        *(("4.44.2", "ipadic"), ("2.3.0", "ipadic"), (None, "ipadic"), ("nonsense", "ipadic"), (4, "ipadic")),
        *(("4.45.0", "unidic_lite"), ("4.45.0.dev0", "unidic_lite"), ("5.23.0", "unidic_lite")),
    ],
)
def test_the_dictionary_of_a_japanese_bert_that_names_none_is_that_of_its_time(version, dictionary):
    assert default_dictionary(version) == dictionary


WORDS = "外国人参政権と、すもももももももものうち。国家公務員ABC"


@pytest.mark.parametrize(
    ("kwargs", "version", "dictionary"),
    [
        (None, "4.20.1", "ipadic"),
        (None, None, "ipadic"),
        (None, "4.46.0", "unidic_lite"),
        ({"mecab_dic": "unidic_lite"}, "4.20.1", "unidic_lite"),
        ({"mecab_dic": "ipadic"}, "5.1.0", "ipadic"),
    ],
)
@pytest.mark.parametrize("pieces", ["wordpiece", "character"])
def test_japanese_berts_are_cut_by_the_dictionary_of_their_files(kwargs, version, dictionary, pieces, tmp_path):
    from importlib import import_module

    from fugashi import GenericTagger

    tiny.words(tmp_path / "words", pieces=pieces, corpus=[*tiny.CORPUS, WORDS, *reading.PROBES])
    lines = (tmp_path / "words" / "vocab.txt").read_text("utf-8")
    said = {**v.BRACKETS, "word_tokenizer_type": "mecab", "subword_tokenizer_type": pieces, "do_lower_case": False}
    said |= {"mecab_kwargs": kwargs, "tokenizer_class": "BertJapaneseTokenizer"}
    config = {"model_type": "bert", **({"transformers_version": version} if version else {})}
    made = v.checkpoint(tmp_path / "made", {"vocab.txt": lines}, said, config)
    folder = import_module(dictionary).DICDIR
    words = [word.surface for word in GenericTagger(f'-d "{folder}" -r "{folder}/mecabrc"')(WORDS)]
    tokenizer = used(made)
    own = vocabulary(made)
    assert own.source == f"MeCab with {dictionary}"
    if pieces == "wordpiece":  # characters are the same in any word
        assert tokenizer.word_tokenizer.tokenize(WORDS) == words
    assert tokenizer(WORDS)["input_ids"] == own.ids(WORDS, True)
    assert tokenizer.mecab_kwargs in (kwargs, {"mecab_dic": dictionary})
    for text in reading.PROBES:
        assert tokenizer(text)["input_ids"] == own.ids(text, True)


def test_a_dictionary_that_is_not_installed_is_named_with_its_package(tmp_path):
    from jbench.types import Unavailable

    said = {**v.BRACKETS, "tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}
    made = v.checkpoint(tmp_path, {"vocab.txt": "[UNK]\n"}, {**said, "mecab_kwargs": {"mecab_dic": "unidic"}}, {})
    with pytest.raises(Unavailable, match="reads with the dictionary unidic: pip install unidic"):
        vocabulary(made)


# With weights: the number that comes out


def weights(made, kind, tokens, **config):
    """Random weights beside a tokenizer's files."""
    import torch
    import transformers

    cls = getattr(transformers, kind)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    torch.manual_seed(0)
    model = cls(cls.config_class(vocab_size=tokens, max_position_embeddings=130, **{**sizes, **config}))
    model.eval().save_pretrained(made.folder)
    return model


def cosines(model, left, right):
    """Cosines of mean vectors of rows of ids, by torch alone."""
    import torch

    def vector(ids):
        with torch.no_grad():
            return torch.nn.functional.normalize(model(torch.tensor([ids])).last_hidden_state[0].mean(0), dim=0)

    return [float(vector(a) @ vector(b)) for a, b in zip(left, right, strict=True)]


PAIRS = [("図書館で本を借りた。", "本を図書館から借りる"), ("コーヒーを2杯", "ｶﾞｷﾞｸﾞ ＡＢＣ"), ("雨", "傘を差して")]


def dense(made, **options):
    from jbench import open_model
    from jbench.models.options import Options

    said: list[str] = []
    model = open_model(str(made.folder), Options(settings={"pooling": "mean"}, say=said.append, **options))
    return model, said


@pytest.mark.parametrize(
    ("row", "kind", "config"),
    [
        (JSON[0], "LlamaModel", {"pad_token_id": 3}),
        (JSON[3], "MistralModel", {"pad_token_id": 3, "num_key_value_heads": 2}),
        (JSON[11], "BertModel", {"pad_token_id": 3}),
        (JSON[7], "RobertaModel", {"pad_token_id": 3}),
        (JSON[15], "BertModel", {}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_score_of_a_checkpoint_is_that_of_its_files_ids(row, kind, config, tmp_path):
    file = row.build()
    made = v.checkpoint(tmp_path, {"tokenizer.json": file}, row.said)
    module = weights(made, kind, file.get_vocab_size(), **config)
    model, said = dense(made)
    assert model.card.settings["tokenizer"] == "tokenizer.json"
    assert any("read as tokenizer.json says, the library reads otherwise: '" in line for line in said)
    ids = [
        [row.framed(file.encode(text, add_special_tokens=False).ids) for text in side]
        for side in zip(*PAIRS, strict=True)
    ]
    assert model.score(PAIRS, ("sts", "sts")) == pytest.approx(cosines(module, *ids), abs=1e-5)


def test_the_score_of_a_luke_without_tokenizer_json_is_that_of_its_aligned_pieces(tmp_path):
    spm = v.sentencepiece()
    size = v.piece_count(spm)
    files = {"sentencepiece.bpe.model": spm, "added_tokens.json": {"<ent>": size + 2, "<ent2>": size + 3}}
    files["entity_vocab.json"] = {"[MASK]": 0, "[UNK]": 1, "[PAD]": 2, "[MASK2]": 3}
    made = v.checkpoint(tmp_path, files, {**v.XLMR, "tokenizer_class": "MLukeTokenizer"})
    module = weights(made, "LukeModel", size + 4, entity_vocab_size=4, pad_token_id=1)
    model, _ = dense(made)
    assert model.card.settings["tokenizer"] == "sentencepiece.bpe.model as MLukeTokenizer"
    ids = [[fairseq(v.piece_ids(spm, text)) for text in side] for side in zip(*PAIRS, strict=True)]
    assert model.score(PAIRS, ("sts", "sts")) == pytest.approx(cosines(module, *ids), abs=1e-5)
    model.score([(TEXT * 20, TEXT)], ("sts", "sts"))
    assert model.report()["truncated"] == 1


def test_a_cross_encoder_frames_pairs_by_its_files(tmp_path):
    import torch

    from jbench import open_model

    spm = v.sentencepiece()
    said = {**v.XLMR, "tokenizer_class": "XLMRobertaTokenizer"}
    made = v.checkpoint(tmp_path, {"sentencepiece.bpe.model": spm}, said)
    config = {"num_labels": 1, "pad_token_id": 1, "type_vocab_size": 1}
    module = weights(made, "XLMRobertaForSequenceClassification", v.piece_count(spm) + 2, **config)
    with torch.no_grad():
        rows = [[*fairseq(v.piece_ids(spm, a)), 2, *fairseq(v.piece_ids(spm, b))[1:]] for a, b in PAIRS]
        wanted = [float(torch.sigmoid(module(torch.tensor([row])).logits[0, 0])) for row in rows]
    assert open_model(str(tmp_path)).score(PAIRS, ("query", "document")) == pytest.approx(wanted, abs=1e-6)


def test_the_skip_list_of_a_colbert_has_the_ids_of_its_files(tmp_path):
    import numpy as np

    from jbench import open_model

    file = v.unigram()
    bare = v.checkpoint(tmp_path / "bare", {"tokenizer.json": file}, {**LLAMA, "mask_token": "<unk>"})
    weights(bare, "LlamaModel", file.get_vocab_size(), pad_token_id=3)
    tiny.colbert(tmp_path / "colbert", bare.folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "colbert" / name).write_bytes((bare.folder / name).read_bytes())
    model = open_model(str(tmp_path / "colbert"))
    assert np.isfinite(model.score(PAIRS, ("query", "document"))).all()
    mask = next(part for part in model.weights.module if hasattr(part, "_skiplist_ids"))
    assert file.token_to_id("。") in mask._skiplist_ids.tolist()
    assert model.card.settings["tokenizer"] == "tokenizer.json"


def test_lower_case_that_sentence_transformers_asks_for_is_given_to_a_japanese_bert(tmp_path):
    import json

    bare = tiny.bert_folder(tmp_path / "bare", corpus=[*tiny.CORPUS, "the quick brown fox apple store"] * 3)
    folder = tiny.sentence_transformer(tmp_path / "saved", bare, pooling_mode="mean")
    path = folder / "sentence_bert_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_lower_case": True}))
    from jbench import open_model

    model = open_model(str(folder))
    assert model.card.settings["tokenizer"] == "MeCab with unidic_lite"
    upper, lower = model.score([("THE Quick FOX", "the quick fox"), ("図書館", "図書館")], ("sts", "sts"))
    assert upper == pytest.approx(lower, abs=1e-6)


def test_the_comparison_is_made_once(tmp_path, monkeypatch):
    file = v.unigram()
    made = v.checkpoint(tmp_path, {"tokenizer.json": file}, LLAMA)
    weights(made, "LlamaModel", file.get_vocab_size(), pad_token_id=3)
    first, _ = dense(made)

    def again(*arguments):
        raise AssertionError("it is compared a second time")

    monkeypatch.setattr(reading, "_judge", again)
    second, _ = dense(made)
    assert second.card == first.card


def test_a_checkpoint_that_the_library_reads_rightly_has_no_setting_more(tmp_path):
    from jbench.models.checkpoint import Checkpoint

    model, said = dense(Checkpoint("model", "local-0", tiny.unigram_folder(tmp_path)))
    assert "tokenizer" not in model.card.settings
    assert not [line for line in said if "the library reads otherwise" in line]


def test_a_text_that_no_probe_foresaw_is_refused_once_and_read_rightly_then(tmp_path, monkeypatch):
    from jbench.types import Unavailable

    file = v.unigram()
    made = v.checkpoint(tmp_path, {"tokenizer.json": file}, LLAMA)
    module = weights(made, "LlamaModel", file.get_vocab_size(), pad_token_id=3)
    monkeypatch.setattr(reading, "PROBES", ())
    monkeypatch.setattr(reading, "_FROM_VOCABULARY", 0)
    monkeypatch.setattr(reading, "probes", lambda own, prompts=(): list(prompts))
    model, _ = dense(made)
    assert "tokenizer" not in model.card.settings
    with pytest.raises(Unavailable, match=r"this text is a probe from now on: run it again"):
        model.score(PAIRS, ("sts", "sts"))
    model, _ = dense(made)
    assert model.card.settings["tokenizer"] == "tokenizer.json"
    ids = [[S_S(file.encode(text, add_special_tokens=False).ids) for text in side] for side in zip(*PAIRS, strict=True)]
    assert model.score(PAIRS, ("sts", "sts")) == pytest.approx(cosines(module, *ids), abs=1e-5)


def test_ids_without_a_row_in_the_embedding_are_refused_with_both_numbers(tmp_path):
    from jbench.types import Unavailable

    file = v.unigram()
    made = v.checkpoint(tmp_path, {"tokenizer.json": file}, {**LLAMA, "pad_token": "[PAD]"})
    size = file.get_vocab_size()
    weights(made, "LlamaModel", size, pad_token_id=3)
    model, _ = dense(made)
    wanted = rf"its token '\[PAD\]' has the id {size}, its embedding {size} rows"
    with pytest.raises(Unavailable, match=wanted):
        model.score(PAIRS, ("sts", "sts"))
    made = v.checkpoint(tmp_path / "small", {"tokenizer.json": file}, LLAMA)
    weights(made, "LlamaModel", 20, pad_token_id=3)
    model, _ = dense(made)
    with pytest.raises(Unavailable, match=r"has the id \d+, its embedding 20 rows"):
        model.score(PAIRS, ("sts", "sts"))


def test_special_ids_that_config_json_has_otherwise_are_said(tmp_path):
    file = v.unigram()
    made = v.checkpoint(tmp_path, {"tokenizer.json": file}, v.XLMR)
    weights(made, "BertModel", file.get_vocab_size(), pad_token_id=0)
    _, said = dense(made)
    assert "pad_token '<pad>' has the id 3, config.json says 0" in "\n".join(said)


def test_a_first_token_that_the_files_name_and_the_tokenizer_leaves_out_is_said(tmp_path):
    spm = v.sentencepiece(pad_id=3, control_symbols="[CLS],[SEP],[MASK]")
    said = {**v.S, "cls_token": "[CLS]", "sep_token": "[SEP]", "tokenizer_class": "T5Tokenizer", "extra_ids": 0}
    made = v.checkpoint(tmp_path, {"spiece.model": spm}, said)
    weights(made, "RobertaModel", v.piece_count(spm), pad_token_id=3)
    _, lines = dense(made)
    assert "its tokenizer puts no [CLS] before a text, though its files name one" in "\n".join(lines)


@pytest.mark.parametrize("family", ["Camembert", "Nobody", ""])
def test_a_sentencepiece_model_of_a_class_whose_numbers_nobody_knows_is_refused(family, tmp_path):
    from jbench.types import Unavailable

    said = {"tokenizer_class": f"{family}Tokenizer"} if family else {}
    made = v.checkpoint(tmp_path, {"spiece.model": v.sentencepiece()}, {**v.XLMR, **said}, {"model_type": "bert"})
    wanted = (
        f"its tokenizer is spiece.model alone, and how a {family or 'Bert'}Tokenizer numbers its pieces is not known"
    )
    with pytest.raises(Unavailable, match=wanted):
        vocabulary(made)


def test_of_two_sentencepiece_models_that_of_the_class_is_read(tmp_path):
    files = {"sentencepiece.bpe.model": v.sentencepiece(), "spiece.model": v.sentencepiece(pad_id=3)}
    made = v.checkpoint(tmp_path, files, {**v.XLMR, "tokenizer_class": "XLMRobertaTokenizer"})
    assert vocabulary(made).source == "sentencepiece.bpe.model as XLMRobertaTokenizer"


@pytest.mark.parametrize(
    "said",
    [
        {"word_tokenizer_type": "basic", "subword_tokenizer_type": "character", "mecab_kwargs": None},
        {"word_tokenizer_type": "basic", "subword_tokenizer_type": "wordpiece", "do_lower_case": True},
        {"word_tokenizer_type": "mecab", "mecab_kwargs": {"mecab_dic": "unidic_lite"}, "do_lower_case": True},
        {"word_tokenizer_type": "mecab", "mecab_kwargs": {"mecab_dic": "unidic_lite", "normalize_text": False}},
        {"do_word_tokenize": False},
        {},
    ],
    ids=lambda said: " ".join(said) or "nothing",
)
@pytest.mark.parametrize("where", ["tokenizer_config.json", "config.json"])
def test_what_a_japanese_bert_is_told_is_read_as_the_library_does(said, where, tmp_path):
    from transformers import AutoTokenizer

    pieces = said.get("subword_tokenizer_type", "wordpiece")
    tiny.words(tmp_path / "words", pieces=pieces, corpus=[*tiny.CORPUS, *reading.PROBES])
    lines = (tmp_path / "words" / "vocab.txt").read_text("utf-8")
    named = {"tokenizer_class": "BertJapaneseTokenizer"}
    tokenizer, config = (named, {}) if where == "tokenizer_config.json" else ({}, named)
    made = v.checkpoint(
        tmp_path, {"vocab.txt": lines}, {**v.BRACKETS, **tokenizer, **said}, {"model_type": "bert", **config}
    )
    assert reading.compare(made, AutoTokenizer.from_pretrained(tmp_path), reading.PROBES) == []


def test_words_of_a_japanese_bert_may_be_cut_by_sentencepiece(tmp_path):
    model = v.sentencepiece(**v.BRACKET_PIECES, pad_piece="[PAD]", unk_piece="[UNK]")
    said = {**v.BRACKETS, "tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}
    made = v.checkpoint(tmp_path, {"spiece.model": model}, {**said, "subword_tokenizer_type": "sentencepiece"}, {})
    tokenizer = used(made)
    assert tokenizer.mecab_kwargs == {"mecab_dic": "ipadic"}
    (row,) = [tokenizer("本と傘")["input_ids"]]
    assert row == [2, *v.piece_ids(model, "本"), *v.piece_ids(model, "と"), *v.piece_ids(model, "傘"), 3]


def test_words_by_jumanpp_name_what_is_missing(tmp_path, monkeypatch):
    from jbench.types import Unavailable

    monkeypatch.setenv("PATH", str(tmp_path))
    said = {**v.BRACKETS, "tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "jumanpp"}
    made = v.checkpoint(tmp_path, {"vocab.txt": "[UNK]\n"}, said, {})
    with pytest.raises(Unavailable, match=r"reads words by Juman\+\+: no jumanpp on PATH"):
        vocabulary(made)


def test_many_unknown_tokens_are_said(tmp_path):
    file = v.wordpiece(False)
    english = tiny.words(tmp_path / "words", corpus=["the quick brown fox jumps over the lazy dog"], vocabulary=80)
    lines = (tmp_path / "words" / "vocab.txt").read_text("utf-8")
    said = {**v.BRACKETS, "tokenizer_class": "BertTokenizer"}
    made = v.checkpoint(tmp_path, {"vocab.txt": lines}, said, {"model_type": "bert"})
    (verdict,) = reading.judged(made, trusted=False).values()
    assert any(note.endswith("of the tokens of plain Japanese texts are unknown to it") for note in verdict.notes)
    assert len(english) < len(file.get_vocab())


def test_truncation_and_padding_of_tokenizer_json_are_no_part_of_its_reading(tmp_path):
    file = v.unigram()
    whole = file.encode(TEXT * 5).ids
    file.enable_truncation(8)
    file.enable_padding(length=20, pad_id=3, pad_token="<pad>")
    made = v.checkpoint(tmp_path, {"tokenizer.json": file}, LLAMA, {"model_type": "llama"})
    assert used(made)(TEXT * 5)["input_ids"] == whole


def test_a_trainer_reads_its_base_by_its_files(tmp_path):
    from jbench.train import base
    from jbench.types import UsageError

    file = v.unigram()
    made = v.checkpoint(tmp_path / "json", {"tokenizer.json": file}, LLAMA)
    weights(made, "LlamaModel", file.get_vocab_size(), pad_token_id=3)
    encoder = base.transformer(made, None)
    assert encoder.tokenizer(TEXT)["input_ids"] == file.encode(TEXT).ids
    spm = v.sentencepiece()
    said = {**v.XLMR, "tokenizer_class": "XLMRobertaTokenizer"}
    lone = v.checkpoint(tmp_path / "spm", {"sentencepiece.bpe.model": spm}, said)
    weights(lone, "XLMRobertaModel", v.piece_count(spm) + 2, pad_token_id=1)
    with pytest.raises(UsageError, match=r"save tokenizer\.json beside it"):
        base.transformer(lone, None)


def test_a_blank_in_front_that_the_configuration_leaves_out_is_left_out_of_a_sentencepiece_model_too(tmp_path):
    model = v.sentencepiece(**PLAIN)
    said = {**v.S, "tokenizer_class": "LlamaTokenizer", "add_bos_token": False}
    with_blank = vocabulary(v.checkpoint(tmp_path / "with", {"tokenizer.model": model}, said))
    without = {**said, "add_prefix_space": False}
    own = vocabulary(v.checkpoint(tmp_path / "without", {"tokenizer.model": model}, without))
    assert with_blank.tokens(with_blank.ids("図書館", False))[0].startswith("▁")
    assert "".join(own.tokens(own.ids("図書館", False))) == "図書館"


def test_the_chat_template_stays_with_a_tokenizer_of_the_files(tmp_path):
    from transformers import AutoTokenizer

    said = {**LLAMA, "chat_template": "{{ messages[0].content }}!"}
    made = v.checkpoint(tmp_path, {"tokenizer.json": v.unigram()}, said, {"model_type": "llama"})
    verdicts = reading.judged(made, trusted=False)
    with reading.read_by_files(made, verdicts):
        from sentence_transformers.base.modules.transformer import AutoProcessor

        tokenizer = AutoProcessor.from_pretrained(str(tmp_path))
    assert type(tokenizer) is not type(AutoTokenizer.from_pretrained(tmp_path))
    assert tokenizer.apply_chat_template([{"role": "user", "content": "雨"}], tokenize=False) == "雨!"


def test_each_way_of_a_router_reads_by_its_files(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    from jbench.models.checkpoint import Checkpoint

    file = v.unigram()
    bare = v.checkpoint(tmp_path / "bare", {"tokenizer.json": file}, LLAMA)
    weights(bare, "LlamaModel", file.get_vocab_size(), pad_token_id=3)
    ways = [[Transformer(str(bare.folder)), Pooling(32, "mean")] for _ in range(2)]
    router = Router.for_query_document(query_modules=ways[0], document_modules=ways[1])
    SentenceTransformer(modules=[router], device="cpu").save(str(tmp_path / "saved"), create_model_card=False)
    inside = sorted(path.parent for path in (tmp_path / "saved").rglob("tokenizer_config.json"))
    for folder in inside:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).write_bytes((bare.folder / name).read_bytes())
    made = Checkpoint("model", "local-0", tmp_path / "saved")
    verdicts = reading.judged(made, trusted=False)
    assert sorted(verdicts) == [folder.relative_to(tmp_path / "saved").as_posix() for folder in inside]
    assert all(verdict.source == "tokenizer.json" and verdict.difference for verdict in verdicts.values())
    with reading.read_by_files(made, verdicts):
        module = SentenceTransformer(str(tmp_path / "saved"), device="cpu", local_files_only=True)
    for way in ("query", "document"):
        assert module[0].sub_modules[way][0].tokenizer(TEXT)["input_ids"] == file.encode(TEXT).ids


def test_a_tokenizer_that_the_library_cannot_load_is_read_by_its_files(tmp_path):
    file = v.unigram("always")
    # AlbertTokenizer wants a [CLS], which this vocabulary has not.
    made = v.checkpoint(tmp_path, {"tokenizer.json": file}, {**v.S, "tokenizer_class": "AlbertTokenizer"})
    module = weights(made, "RobertaModel", file.get_vocab_size(), pad_token_id=3)
    model, said = dense(made)
    assert any("the library reads otherwise: it cannot load it (" in line for line in said)
    ids = [[file.encode(text).ids for text in side] for side in zip(*PAIRS, strict=True)]
    assert model.score(PAIRS, ("sts", "sts")) == pytest.approx(cosines(module, *ids), abs=1e-5)
