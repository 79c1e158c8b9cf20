"""Rerankers made of a language model, each with the files, classes and fields of a published one, built small."""

import json
import shutil

import numpy as np
import pytest

from jbench import open_model
from jbench.models.options import Options
from jbench.models.templates import templates
from jbench.types import Unavailable, UsageError
from tests import tiny

LEFT = ("味噌の寝かせ方", "駅まで傘を差して歩いたのはなぜですか", "コーヒー")
PAIRS = [(query, document) for query in LEFT for document in (*tiny.CORPUS, tiny.CORPUS[2] * 9)]
ROLES = ("query", "document")


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    return tiny.qwen(tmp_path_factory.mktemp("qwen") / "Qwen3-Reranker-0.6B")


def score(folder, options=None, pairs=PAIRS):
    return open_model(str(folder), options).score(pairs, ROLES)


# In sentence-transformers' layout


@pytest.mark.parametrize(
    ("how", "own"),
    [
        ({"prompts": {"query": tiny.INSTRUCTION}, "default_prompt_name": "query"}, {"activation": "identity"}),
        ({"prompts": {"query": "質問に答える文書を探す"}, "default_prompt_name": "query"}, {"activation": "identity"}),
        ({"activation": "Sigmoid", "prompts": {"web": "used by name alone"}}, {"activation": "sigmoid"}),
        ({"no": None}, {"activation": "identity"}),
    ],
)
def test_a_logit_score_is_the_librarys(how, own, tmp_path):
    from sentence_transformers import CrossEncoder

    folder = tiny.logit_score(tmp_path / "ce", tiny.qwen(tmp_path / "bare", chat=tiny.QWEN_CHAT), **how)
    theirs = CrossEncoder(str(folder), device="cpu").predict(PAIRS, batch_size=4)
    model = open_model(str(folder))
    mine = model.score(PAIRS, ROLES)
    assert np.abs(mine - theirs).max() < 1e-4
    assert np.ptp(mine) > 0.01
    assert model.card.adapter == "cross-encoder"
    assert model.card.settings["template"] == "chat"
    assert own.items() <= model.card.settings.items()


def test_what_stands_behind_the_document_is_kept_when_a_pair_is_cut(tmp_path):
    from sentence_transformers import CrossEncoder

    folder = tiny.logit_score(tmp_path / "ce", tiny.qwen(tmp_path / "bare", chat=tiny.QWEN_CHAT))
    length = 440
    theirs = CrossEncoder(str(folder), device="cpu", max_length=length)
    model = open_model(str(folder), Options(settings={"max_length": str(length)}))
    assert np.abs(model.score(PAIRS, ROLES) - theirs.predict(PAIRS)).max() < 1e-4
    whole = [
        len(row) for row in theirs.preprocess(PAIRS, processing_kwargs={"text": {"truncation": False}})["input_ids"]
    ]
    assert max(whole) > length
    assert 0 < model.report()["truncated"] < len(PAIRS)


def test_processing_kwargs_reach_the_chat_template(tmp_path):
    from sentence_transformers import CrossEncoder

    chat = (
        "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    how = {"transformer": {"processing_kwargs": {"chat_template": {"add_generation_prompt": True}}}}
    folder = tiny.logit_score(tmp_path / "ce", tiny.qwen(tmp_path / "bare", chat=chat), **how)
    theirs = CrossEncoder(str(folder), device="cpu")
    assert theirs[0].processing_kwargs
    assert np.abs(score(folder) - theirs.predict(PAIRS)).max() < 1e-4


def test_another_prompt_is_a_row_of_its_own(tmp_path):
    from sentence_transformers import CrossEncoder

    how = {"prompts": {"query": tiny.INSTRUCTION}, "default_prompt_name": "query"}
    folder = tiny.logit_score(tmp_path / "ce", tiny.qwen(tmp_path / "bare", chat=tiny.QWEN_CHAT), **how)
    model = open_model(str(folder), Options(prompts={"query": "別の指示"}))
    theirs = CrossEncoder(str(folder), device="cpu").predict(PAIRS, prompt="別の指示")
    assert np.abs(model.score(PAIRS, ROLES) - theirs).max() < 1e-4
    assert model.card.variant["prompts"] == {"query": "別の指示"}
    assert not open_model(str(folder)).card.variant


def test_a_language_model_saved_without_a_chat_template_reads_bare_pairs(tmp_path):
    from sentence_transformers import CrossEncoder

    folder = tiny.logit_score(tmp_path / "ce", tiny.qwen(tmp_path / "bare", chat=None))
    model = open_model(str(folder))
    assert np.abs(model.score(PAIRS, ROLES) - CrossEncoder(str(folder), device="cpu").predict(PAIRS)).max() < 1e-4
    assert "template" not in model.card.settings


def test_a_chat_template_that_drops_the_pair_is_refused(tmp_path):
    folder = tiny.logit_score(tmp_path / "ce", tiny.qwen(tmp_path / "bare", chat=tiny.CHATML))
    with pytest.raises(UsageError, match=r"carries no pair of query and document \(the 'query' and 'document' content"):
        score(folder)


@pytest.mark.parametrize(
    ("file", "own", "says"),
    [
        ("1_LogitScore/config.json", {"true_token_id": 99999}, "names the token 99999, and the model has 4"),
        ("1_LogitScore/config.json", {"false_token_id": "no"}, "names the token no, and the model has 4"),
        ("sentence_bert_config.json", {"transformer_task": "feature-extraction"}, "its files load none before it"),
    ],
)
def test_a_score_over_what_is_not_there_is_refused(file, own, says, tmp_path):
    folder = tiny.logit_score(tmp_path / "ce", tiny.qwen(tmp_path / "bare", chat=tiny.QWEN_CHAT))
    config = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**config, **own}))
    with pytest.raises(Unavailable, match=says):
        score(folder)


def test_logits_of_half_precision_are_told_apart_in_float32(tmp_path):
    """The difference of two bfloat16, taken in bfloat16, has 8 bits; mteb takes it in float32, as is done here."""
    import torch

    folder = tiny.logit_score(tmp_path / "ce", tiny.qwen(tmp_path / "bare", chat=tiny.QWEN_CHAT))
    mine = score(folder, Options(dtype="bf16"))
    rounded = torch.from_numpy(mine).bfloat16().float().numpy()
    assert not np.array_equal(mine, rounded)


def test_absolute_positions_count_from_the_first_token_of_each_row(tmp_path):
    """GPT-2 with left padding: transformers counts positions from the first place of the batch."""
    from sentence_transformers import CrossEncoder

    bare = tiny.qwen(
        tmp_path / "bare", "GPT2LMHeadModel", chat=tiny.QWEN_CHAT, n_embd=32, n_layer=2, n_head=2, n_positions=1024
    )
    folder = tiny.logit_score(tmp_path / "ce", bare)
    alone = CrossEncoder(str(folder), device="cpu").predict(PAIRS, batch_size=1)
    assert np.abs(score(folder) - alone).max() < 1e-4


# Bare language models of known families


def mteb_scores(folder, pairs, length=8192):
    """What mteb's own wrapper gives, pair by pair, with the instruction of the model card."""
    from mteb.models.model_implementations.qwen3_reranker import Qwen3RerankerWrapper

    wrapper = Qwen3RerankerWrapper(str(folder), device="cpu", max_length=length)
    texts = [wrapper.format_instruction(tiny.INSTRUCTION, *pair) for pair in pairs]
    return np.array([wrapper.compute_logits(wrapper.process_inputs([text]))[0] for text in texts])


@pytest.mark.filterwarnings("ignore")
def test_a_bare_qwen3_reranker_scores_as_mtebs(bare):
    said = []
    model = open_model(str(bare), Options(say=said.append))
    assert np.abs(model.score(PAIRS, ROLES) - mteb_scores(bare, PAIRS)).max() < 1e-5
    assert said[0].startswith("Qwen3-Reranker-0.6B: cross-encoder (a language model with the template qwen3-reranker)")
    assert model.card.prompts == {"query": tiny.INSTRUCTION, "sts": tiny.INSTRUCTION}
    assert any("mteb 2.26 qwen3_reranker has another instruction, 'Given the user query" in line for line in said)
    with pytest.raises(UsageError, match="--prompt document: one prompt stands before a pair, that of query or sts"):
        open_model(str(bare), Options(prompts={"document": "x"}))
    assert not model.card.variant


@pytest.mark.filterwarnings("ignore")
def test_its_document_is_cut_and_its_frame_is_kept(bare):
    model = open_model(str(bare), Options(settings={"max_length": "420"}))
    assert np.abs(model.score(PAIRS, ROLES) - mteb_scores(bare, PAIRS, 420)).max() < 1e-5
    report = model.report()
    assert report["truncated"] > 0
    assert report["tokens_lost"] > report["truncated"]


def by_hand(folder, build, label):
    """Logits after each pair alone, with transformers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)

    def ids(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    with torch.no_grad():
        logits = [model(torch.tensor([build(ids, *pair)])).logits[0, -1] for pair in PAIRS]
    yes, no = (ids(word)[0] if word else None for word in label)
    return np.array([float(row[yes] - (row[no] if no is not None else 0)) for row in logits])


def test_a_bare_bge_reranker_v2_gemma_scores_as_its_card(tmp_path):
    from transformers import AutoTokenizer

    folder = tiny.qwen(tmp_path / "bge-reranker-v2-gemma", "GemmaForCausalLM", chat=None, head_dim=16, pad_token_id=0)
    tokenizer = AutoTokenizer.from_pretrained(folder, bos_token="<|im_start|>")
    assert tokenizer.bos_token_id == 1
    tokenizer.save_pretrained(folder)
    prompt = (
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
        "prediction of either 'Yes' or 'No'."
    )

    def build(ids, query, document):
        item = [1, *ids(f"A: {query}")[:750], *ids("\n"), *ids(f"B: {document}")][:1000]
        return [*item, *ids("\n"), *ids(prompt)]

    mine = score(folder, Options(settings={"max_length": "1000"}))
    assert np.abs(mine - by_hand(folder, build, ("Yes", None))).max() < 1e-4
    short = score(folder, Options(settings={"max_length": "40"}))

    def cut(ids, query, document):
        item = [1, *ids(f"A: {query}")[:30], *ids("\n"), *ids(f"B: {document}")][:40]
        return [*item, *ids("\n"), *ids(prompt)]

    assert np.abs(short - by_hand(folder, cut, ("Yes", None))).max() < 1e-4


def test_a_bare_mxbai_rerank_v2_scores_as_its_library(tmp_path):
    folder = tiny.qwen(tmp_path / "mxbai-rerank-base-v2", "Qwen2ForCausalLM")
    task = (
        "You are a search relevance expert who evaluates how well documents match search queries. For each "
        "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
        "relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:"
    )
    system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."

    def build(ids, query, document):
        front = ids(f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n")
        pair = [*ids(f"query: {query}"), *ids("\n"), *ids(f"document: {document}")]
        return [*front, *pair, *ids("\n"), *ids(task), *ids("<|im_end|>\n<|im_start|>assistant\n")]

    assert np.abs(score(folder) - by_hand(folder, build, ("1", "0"))).max() < 1e-4


def test_a_template_is_named_for_a_folder_called_otherwise(bare, tmp_path):
    folder = shutil.copytree(bare, tmp_path / "mine")
    with pytest.raises(UsageError) as refused:
        open_model(str(folder))
    assert f"a bare Qwen3ForCausalLM, which may be a reranker or an encoder: write cross-encoder:{folder}" in str(
        refused.value
    )
    assert "template=qwen3-reranker|bge-reranker-v2-gemma|mxbai-rerank-v2" in str(refused.value)
    named = open_model(f"cross-encoder:{folder}", Options(settings={"template": "qwen3-reranker"}))
    assert np.array_equal(named.score(PAIRS, ROLES), score(bare))
    with pytest.raises(UsageError, match="mine is a causal language model, and nothing says how it is asked"):
        open_model(f"cross-encoder:{folder}")


def test_as_an_encoder_it_is_pooled(bare, tmp_path):
    folder = shutil.copytree(bare, tmp_path / "mine")
    model = open_model(str(folder), Options(settings={"pooling": "lasttoken"}))
    assert model.card.adapter == "dense"


def test_a_template_whose_answer_is_no_token_is_refused(tmp_path):
    folder = tiny.transformer(tmp_path / "Qwen3-Reranker-4B", tiny.unigram(), "Qwen3ForCausalLM", num_key_value_heads=1)
    with pytest.raises(Unavailable, match="Qwen3-Reranker-4B: its tokenizer has no token for 'yes'"):
        score(folder)


def test_every_template_has_its_source_and_its_pair():
    for template in templates().values():
        assert template.source
        assert sum("{query}" in part for part in template.pair) == 1
        assert sum("{document}" in part for part in template.pair) == 1
    assert templates()["qwen3-reranker"].serves("Qwen/Qwen3-Reranker-8B")
    assert templates()["qwen3-reranker"].serves("Qwen3-Reranker-8B")
    assert not templates()["qwen3-reranker"].serves("someone/Qwen3-Reranker-8B")


# A head of one label on a decoder


def alone(folder, pairs=PAIRS, length=512):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    reader = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        logits = [
            model(**reader(*p, return_tensors="pt", truncation=True, max_length=length)).logits[0, 0] for p in pairs
        ]
    return np.array([float(torch.sigmoid(logit)) for logit in logits])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pad", ["<|endoftext|>", "<|im_end|>", None])
@pytest.mark.parametrize("named", [None, 2, 7])
@pytest.mark.parametrize("ends", [False, True])
def test_a_decoders_head_reads_a_pair_in_a_batch_as_alone(side, pad, named, ends, tmp_path):
    """Whatever config.json and the tokenizer name for padding, and also where a pair ends in that token."""
    from tokenizers import processors
    from transformers import AutoTokenizer

    folder = tiny.qwen(
        tmp_path / "ce", "Qwen3ForSequenceClassification", chat=None, num_labels=1, pad_token_id=named, pad=pad
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side=side, model_max_length=512)
    if ends:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="$A <|im_end|>", pair="$A $B <|im_end|>", special_tokens=[("<|im_end|>", 2)]
        )
    tokenizer.save_pretrained(folder)
    pairs = PAIRS[:7]
    assert np.abs(score(folder, pairs=pairs) - alone(folder, pairs)).max() < 1e-5


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_head_over_absolute_positions_reads_a_pair_in_a_batch_as_alone(side, tmp_path):
    from transformers import AutoTokenizer

    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 1024, "num_labels": 1}
    folder = tiny.qwen(tmp_path / "ce", "GPT2ForSequenceClassification", chat=None, **sizes)
    AutoTokenizer.from_pretrained(folder, padding_side=side, model_max_length=512).save_pretrained(folder)
    assert np.abs(score(folder, pairs=PAIRS[:7]) - alone(folder, PAIRS[:7])).max() < 1e-5


def test_a_head_is_asked_by_a_template_that_is_named(tmp_path):
    folder = tiny.qwen(tmp_path / "ce", "Qwen3ForSequenceClassification", num_labels=1)
    with pytest.raises(UsageError, match="its chat template carries no pair of query and document"):
        score(folder)
    template = templates()["qwen3-reranker"]
    head = template.before + template.pair[0]
    texts = [
        (
            head.replace("{instruction}", tiny.INSTRUCTION).replace("{query}", q).replace("{document}", d)
            + template.after[0],
            "",
        )
        for q, d in PAIRS
    ]
    named = score(folder, Options(settings={"template": "qwen3-reranker"}))
    assert np.abs(named - alone(folder, texts, 4096)).max() < 1e-5
    plain = open_model(str(folder), Options(settings={"template": "none"}))
    assert np.abs(plain.score(PAIRS, ROLES) - alone(folder)).max() < 1e-5
    assert plain.card.variant == {"template": "none"}


# Labels, prompts and heads of any cross-encoder


@pytest.mark.parametrize(
    ("labels", "relevant"),
    [
        ({"0": "irrelevant", "1": "relevant"}, 1),
        ({"0": "Yes", "1": "No"}, 0),
        ({"0": "not_relevant", "1": "RELEVANT"}, 1),
    ],
)
def test_two_labels_whose_names_say_which_is_relevance(labels, relevant, bare_bert, tmp_path):
    from sentence_transformers import CrossEncoder

    folder = tiny.cross_encoder(tmp_path / "ce", bare_bert, labels=2, activation="Identity")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "id2label": labels}))
    theirs = CrossEncoder(str(folder), device="cpu").predict(PAIRS, apply_softmax=True)[:, relevant]
    model = open_model(str(folder))
    assert np.abs(model.score(PAIRS, ROLES) - theirs).max() < 1e-5
    assert model.card.settings["activation"] == "softmax"


@pytest.mark.parametrize("labels", [{"0": "LABEL_0", "1": "LABEL_1"}, {"0": "0", "1": "1"}, {"0": "yes", "1": "maybe"}])
def test_other_labels_do_not_say_it(labels, bare_bert, tmp_path):
    folder = tiny.cross_encoder(tmp_path / "ce", bare_bert, labels=2, activation="Identity")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "id2label": labels}))
    with pytest.raises(UsageError, match="2 labels, and nothing says which of them is relevance"):
        open_model(str(folder))


def pooled(folder, bare, labels):
    """A CrossEncoder of modules: a transformer, a pooling, and a layer that gives scores."""
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    torch.manual_seed(2)
    first = Transformer(str(bare))
    layer = Dense(32, labels, activation_function=torch.nn.Identity(), module_output_name="scores")
    CrossEncoder(modules=[first, Pooling(32, "mean"), layer], device="cpu").save(str(folder))
    return folder


def test_a_layer_over_a_pooled_pair_gives_its_score(bare_bert, tmp_path):
    from sentence_transformers import CrossEncoder

    folder = pooled(tmp_path / "ce", bare_bert, 1)
    model = open_model(str(folder))
    assert model.card.adapter == "cross-encoder"
    assert np.abs(model.score(PAIRS, ROLES) - CrossEncoder(str(folder), device="cpu").predict(PAIRS)).max() < 1e-5
    with pytest.raises(UsageError, match="two gives 2 scores, and nothing says which is relevance"):
        open_model(str(pooled(tmp_path / "two", bare_bert, 2)))


def test_the_default_prompt_stands_before_the_first_text(cross_bert, tmp_path):
    from sentence_transformers import CrossEncoder

    folder = shutil.copytree(cross_bert, tmp_path / "ce")
    path = folder / "config_sentence_transformers.json"
    own = json.loads(path.read_text())
    path.write_text(
        json.dumps({**own, "prompts": {"q": "検索クエリ: ", "query": "unused: "}, "default_prompt_name": "q"})
    )
    theirs = CrossEncoder(str(folder), device="cpu").predict(PAIRS)
    model = open_model(str(folder))
    assert np.abs(model.score(PAIRS, ROLES) - theirs).max() < 1e-5
    assert np.abs(theirs - score(cross_bert)).max() > 1e-4
    assert model.card.prompts["query"] == "検索クエリ: "


@pytest.mark.parametrize(
    ("prefix", "says"), [("", "is a JinaForRanking"), ("cross-encoder:", "it has no head that scores a pair")]
)
def test_a_ranker_of_its_own_kind_is_refused(prefix, says, tmp_path):
    folder = tiny.qwen(tmp_path / "jina-reranker-v3", "Qwen3Model")
    config = json.loads((folder / "config.json").read_text())
    own = {"architectures": ["JinaForRanking"], "auto_map": {"AutoModel": "modeling.JinaForRanking"}}
    (folder / "config.json").write_text(json.dumps({**config, **own}))
    with pytest.raises(UsageError, match=says):
        open_model(f"{prefix}{folder}", Options(trust_remote_code=True))


def test_a_head_of_random_weights_is_refused(bare_bert, tmp_path):
    """config.json names the head, the weights have none."""
    folder = shutil.copytree(bare_bert, tmp_path / "ce")
    config = json.loads((folder / "config.json").read_text())
    own = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    (folder / "config.json").write_text(json.dumps({**config, **own}))
    with pytest.raises(Unavailable, match=r"classifier\.bias among them, are missing"):
        score(folder)
