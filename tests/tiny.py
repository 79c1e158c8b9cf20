"""Small checkpoints with random weights, in the layouts of real ones. Built in seconds, no network."""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

CORPUS = (
    "雨が降り出したので、傘を差して駅まで歩いた。",
    "図書館の返却ポストは、閉館している間だけ使えます。",
    "味噌は大豆と麹と塩を合わせて、半年ほど寝かせて造る。",
    "The quick brown fox は、コーヒーを2杯飲んだ。",
    "自転車のチェーンに油を差すと、音がしなくなりました。",
)
DATA = Path(__file__).parent / "data" / "tiny"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MARKERS = ["[unused0]", "[unused1]"]
QUERY_LENGTH, DOCUMENT_LENGTH, PROJECTION = 12, 48, 16
INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
QWEN_CHAT = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n<Instruct>: '
    '{{ messages | selectattr("role", "eq", "system") | map(attribute="content") | first | default("'
    + INSTRUCTION
    + '") }}\n'
    '<Query>: {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}\n'
    '<Document>: {{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first }}<|im_end|>\n'
    "<|im_start|>assistant\n<think>\n\n</think>\n\n"
)
CHATML = (
    "{% for message in messages %}{% if message.role in ('system', 'user', 'assistant') %}<|im_start|>"
    "{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endif %}{% endfor %}"
)


def words(folder: Path, *, corpus: Iterable[str] = CORPUS, vocabulary: int = 600, pieces: str = "wordpiece") -> Any:
    """``BertJapaneseTokenizer``: MeCab words, then WordPiece learnt on ``corpus``, or its characters."""
    from fugashi import Tagger
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import BertJapaneseTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    if corpus is CORPUS and vocabulary == 600:  # as it was learnt once, so that no library's version changes it
        kept = DATA / ("characters.txt" if pieces == "character" else "words.txt")
        found = kept.read_text(encoding="utf-8").splitlines()
    elif pieces == "character":
        letters = dict.fromkeys("".join(corpus))
        found = [*SPECIAL, *MARKERS, *(letter for letter in letters if not letter.isspace())]
    else:
        tagger = Tagger("-Owakati")
        wordpiece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        wordpiece.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        trainer = trainers.WordPieceTrainer(
            vocab_size=vocabulary, special_tokens=[*SPECIAL, *MARKERS], show_progress=False
        )
        wordpiece.train_from_iterator([" ".join(w.surface for w in tagger(t)) for t in corpus], trainer)
        found = [token for token, _ in sorted(wordpiece.get_vocab().items(), key=lambda item: item[1])]
    (folder / "vocab.txt").write_text("\n".join(found) + "\n", encoding="utf-8")
    return BertJapaneseTokenizer(
        str(folder / "vocab.txt"),
        word_tokenizer_type="mecab",
        subword_tokenizer_type=pieces,
        mecab_kwargs={"mecab_dic": "unidic_lite"},
        model_max_length=512,
    )


def unigram() -> Any:
    """A fast Unigram tokenizer without a word segmenter: 300 pieces, learnt once on `CORPUS`."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    pieces = Tokenizer.from_file(str(DATA / "unigram.json"))
    names = {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    return PreTrainedTokenizerFast(tokenizer_object=pieces, model_max_length=512, **names)


def transformer(folder: Path, tokenizer: Any, model: str, seed: int = 0, **config: Any) -> Path:
    """A bare ``model`` (such as ``BertModel``) of random weights over ``tokenizer``."""
    import torch
    import transformers

    kind = getattr(transformers, model)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    torch.manual_seed(seed)
    made = kind.config_class(**{"vocab_size": len(tokenizer), "pad_token_id": 0, **sizes, **config})
    kind(made).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def bert_folder(
    folder: Path, *, corpus: Iterable[str] = CORPUS, vocabulary: int = 600, hidden: int = 32, layers: int = 2
) -> Path:
    """A bare BERT with ``BertJapaneseTokenizer`` (MeCab words, then WordPiece learnt on ``corpus``)."""
    tokenizer = words(folder, corpus=corpus, vocabulary=vocabulary)
    sizes = {"hidden_size": hidden, "num_hidden_layers": layers, "intermediate_size": 2 * hidden}
    return transformer(folder, tokenizer, "BertModel", **sizes)


def unigram_folder(folder: Path, *, hidden: int = 32) -> Path:
    """A bare BERT with a fast Unigram tokenizer and no word segmenter."""
    return transformer(folder, unigram(), "BertModel", seed=1, hidden_size=hidden, intermediate_size=2 * hidden)


def sentence_transformer(folder: Path, bare: Path, head: bool = False, **pooling: object) -> Path:
    """``bare`` with a pooling module, and with a Dense ``head`` behind it, saved by sentence-transformers."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    transformer = Transformer(str(bare))
    modules = [transformer, Pooling(transformer.get_embedding_dimension(), **pooling)]
    if head:
        modules.append(Dense(transformer.get_embedding_dimension(), 8))
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder


def cross_encoder(folder: Path, bare: Path, labels: int = 1, activation: str = "Sigmoid") -> Path:
    """``bare`` with a classification head of random weights, saved by sentence-transformers."""
    import torch
    from sentence_transformers import CrossEncoder

    torch.manual_seed(2)
    chosen = getattr(torch.nn, activation)()
    module = CrossEncoder(str(bare), num_labels=labels, activation_fn=chosen, device="cpu")
    # As it comes, the head gives all pairs nearly one score.
    with torch.no_grad():
        module.model.classifier.weight.mul_(50)
    module.save(str(folder))
    return folder


def classifier(folder: Path, bare: Path, labels: int = 1) -> Path:
    """The same as transformers alone writes it: no modules.json."""
    cross_encoder(folder, bare, labels)
    for name in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (folder / name).unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text())
    config.pop("sentence_transformers", None)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def splade(folder: Path, tokenizer: Any) -> Path:
    """A masked language model whose logits become weights of the vocabulary (SPLADE's max pooling)."""
    from sentence_transformers import SparseEncoder

    bare = transformer(folder.parent / f"{folder.name}-mlm", tokenizer, "BertForMaskedLM", seed=3)
    SparseEncoder(str(bare), device="cpu").save(str(folder))
    return folder


def colbert(folder: Path, bare: Path) -> Path:
    """``bare`` with a projection, a skip list and query expansion, saved by sentence-transformers."""
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    torch.manual_seed(4)
    expansion: Any = {"strategy": "fixed", "attend": False, "length": QUERY_LENGTH}
    backbone = Transformer(str(bare), query_expansion=expansion, document_length=DOCUMENT_LENGTH)
    backbone.tokenizer.add_special_tokens({"additional_special_tokens": MARKERS})
    tokens = {"module_input_name": "token_embeddings"}
    modules = [
        backbone,
        Dense(32, PROJECTION, bias=False, activation_function=torch.nn.Identity(), **tokens),
        MultiVectorMask(skiplist_words=[*string.punctuation, "。"]),
        Normalize(**tokens),
    ]
    prompts = dict(zip(("query", "document"), MARKERS, strict=True))
    MultiVectorEncoder(modules=modules, prompts=prompts, device="cpu").save(str(folder))
    return folder


def pylate(folder: Path, native: Path) -> Path:
    """The ColBERT in ``native`` as PyLate writes it."""
    shutil.copytree(native, folder, ignore=shutil.ignore_patterns("[23]_*", "README.md"))
    rows = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
    ]
    own = {
        "model_type": "ColBERT",
        "prompts": {},
        "similarity_fn_name": "MaxSim",
        "query_prefix": MARKERS[0],
        "document_prefix": MARKERS[1],
        "query_length": QUERY_LENGTH,
        "document_length": DOCUMENT_LENGTH,
        "attend_to_expansion_tokens": False,
        "do_query_expansion": True,
        "skiplist_words": [*string.punctuation, "。"],
    }
    dense = {
        "in_features": 32,
        "out_features": PROJECTION,
        "bias": False,
        "activation_function": "torch.nn.modules.linear.Identity",
    }
    for name, content in (
        ("modules.json", rows),
        ("config_sentence_transformers.json", own),
        ("sentence_bert_config.json", {"max_seq_length": 511, "do_lower_case": False}),
        ("1_Dense/config.json", dense),
    ):
        (folder / name).write_text(json.dumps(content))
    return folder


def stanford(folder: Path, native: Path, **metadata: object) -> Path:
    """The ColBERT in ``native`` as Stanford's ColBERT writes it; its skip list is ASCII punctuation."""
    from safetensors.numpy import load_file, save_file

    folder.mkdir()
    for path in native.glob("*"):
        if path.name in ("vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.json"):
            shutil.copy(path, folder)
    config = json.loads((native / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["HF_ColBERT"]}))
    weights = {f"bert.{name}": value for name, value in load_file(native / "model.safetensors").items()}
    weights["linear.weight"] = load_file(native / "1_Dense" / "model.safetensors")["linear.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    told = {
        "query_token_id": MARKERS[0],
        "doc_token_id": MARKERS[1],
        "query_maxlen": QUERY_LENGTH,
        "doc_maxlen": DOCUMENT_LENGTH,
        "dim": PROJECTION,
        "attend_to_mask_tokens": False,
        "mask_punctuation": True,
    }
    (folder / "artifact.metadata").write_text(json.dumps({**told, **metadata}))
    return folder


def qwen(
    folder: Path,
    name: str = "Qwen3ForCausalLM",
    chat: str | None = CHATML,
    pad: str | None = "<|endoftext|>",
    seed: int = 0,
    **config: Any,
) -> Path:
    """A bare Qwen checkpoint: byte-level BPE, its chat template in ``tokenizer_config.json``."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    pieces.train_from_iterator([*CORPUS, *["yes no Yes No"] * 40, *["yesno"] * 9], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=pieces, eos_token="<|im_end|>", pad_token=pad, model_max_length=131072
    )
    tokenizer.chat_template = chat
    sizes = {"num_key_value_heads": 1, "initializer_range": 0.2, "max_position_embeddings": 4096}
    sizes |= {"head_dim": 16} if name.startswith("Qwen3") else {}
    return transformer(folder, tokenizer, name, seed, **{"pad_token_id": None, **sizes, **config})


def logit_score(folder: Path, bare: Path, activation: str = "Identity", **how: Any) -> Path:
    """The same as sentence-transformers 6 saves it, the score being a LogitScore's."""
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.cross_encoder.modules import LogitScore

    first = Transformer(str(bare), transformer_task="text-generation", **how.pop("transformer", {}))
    yes, no = (first.tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
    modules = [first, LogitScore(yes, how.pop("no", no))]
    chosen = getattr(torch.nn, activation)()
    CrossEncoder(modules=modules, activation_fn=chosen, device="cpu", **how).save(str(folder))
    return folder


def inference_free(
    folder: Path, tokenizer: Any, table: str = "SparseStaticEmbedding", activation: str = "relu"
) -> Path:
    """Opensearch's layout of sparse models: a masked language model at the root for documents, a table for queries."""
    from safetensors.numpy import save_file

    bare = transformer(folder, tokenizer, "DistilBertForMaskedLM", 7, dim=32, hidden_dim=64, n_layers=2, n_heads=2)
    vocabulary = tokenizer.get_vocab()
    idf = {token: 1 + (i * 7919 % 97) / 10 for token, i in vocabulary.items() if token not in SPECIAL}
    weight = np.zeros(len(vocabulary), np.float32)
    for token, value in idf.items():
        weight[vocabulary[token]] = value
    old = "sentence_transformers.sparse_encoder.models"
    types = {
        "": f"{old}.MLMTransformer",
        "document_1_SpladePooling": f"{old}.SpladePooling",
        f"query_0_{table}": f"{old}.{table}",
    }
    structure = {"document": ["", "document_1_SpladePooling"], "query": [f"query_0_{table}"]}
    parameters = {"default_route": "document", "allow_empty_key": True}
    splade = {"pooling_strategy": "max", "activation_function": activation, "word_embedding_dimension": None}
    tokenizer.save_pretrained(folder / f"query_0_{table}")
    save_file({"weight": weight}, folder / f"query_0_{table}" / "model.safetensors")
    (folder / "document_1_SpladePooling").mkdir()
    for name, content in (
        ("modules.json", [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Router"}]),
        ("router_config.json", {"types": types, "structure": structure, "parameters": parameters}),
        ("document_1_SpladePooling/config.json", splade),
        (f"query_0_{table}/config.json", {"frozen": True}),
        (
            "config_sentence_transformers.json",
            {"model_type": "SparseEncoder", "prompts": {"query": "", "document": ""}, "similarity_fn_name": "dot"},
        ),
        ("idf.json", idf),
    ):
        (bare / name).write_text(json.dumps(content))
    (folder / "query_token_weights.txt").write_text("".join(f"{token}\t{value}\n" for token, value in idf.items()))
    return folder


def bge_m3(folder: Path, pickled: bool = True) -> Path:
    """The files of BAAI/bge-m3: a dense model whose weights are pickled, as are its two further heads, in fp16."""
    import torch
    from safetensors.torch import load_file
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    tokenizer = unigram()
    tokenizer.eos_token = "[SEP]"
    sizes = {"max_position_embeddings": 514, "pad_token_id": 0, "initializer_range": 0.2}
    bare = transformer(folder.parent / f"{folder.name}-bare", tokenizer, "XLMRobertaModel", 8, **sizes)
    first = Transformer(str(bare))
    modules = [first, Pooling(first.get_embedding_dimension(), "cls"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder), create_model_card=False)
    torch.manual_seed(9)
    for head, width in (("sparse_linear", 1), ("colbert_linear", 32)):
        torch.save(torch.nn.Linear(32, width).half().state_dict(), folder / f"{head}.pt")
    if pickled:
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    return folder


def adapter(folder: Path, base: Path, seed: int = 1, **config: object) -> Path:
    """A LoRA adapter over ``base``, a saved dense model, whose tokenizer and modules lie in the adapter's folder."""
    import torch
    from safetensors.torch import save_file

    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("*.safetensors", "README.md"))
    (folder / "config.json").unlink()
    torch.manual_seed(seed)
    parts = [f"encoder.layer.{layer}.attention.self.{part}" for layer in (0, 1) for part in ("query", "value")]
    weights = {
        f"base_model.model.{part}.lora_{side}.weight": torch.randn(*shape) * 0.3
        for part in parts
        for side, shape in (("A", (4, 32)), ("B", (32, 4)))
    }
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    record = {"peft_type": "LORA", "task_type": "FEATURE_EXTRACTION", "base_model_name_or_path": str(base), "r": 4}
    told = {**record, "lora_alpha": 16, "target_modules": ["query", "value"], "inference_mode": True, **config}
    (folder / "adapter_config.json").write_text(json.dumps(told))
    return folder


OWN_CODE = {
    "conf_x.py": "from transformers import BertConfig\n\n\nclass Conf(BertConfig):\n    model_type = 'own_x'\n",
    "mod_x.py": (
        "from transformers import BertModel\n\nfrom .conf_x import Conf\nfrom .part import SCALE\n\n\n"
        "class Enc(BertModel):\n    config_class = Conf\n\n    def forward(self, *args, **kwargs):\n"
        "        out = super().forward(*args, **kwargs)\n"
        "        out.last_hidden_state = out.last_hidden_state * SCALE\n        return out\n"
    ),
    "part.py": "SCALE = 1.0\nNAMED = 'words/table.json'\n",
}


def own_code(folder: Path, bare: Path, repo: str = "") -> Path:
    """``bare`` with a mean over its tokens, whose classes are its own, or those of another repository."""
    sentence_transformer(folder, bare, pooling_mode="mean")
    config = json.loads((folder / "config.json").read_text())
    before = f"{repo}--" if repo else ""
    named = {"AutoConfig": f"{before}conf_x.Conf", "AutoModel": f"{before}mod_x.Enc"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own_x", "auto_map": named}))
    if not repo:
        for name, text in OWN_CODE.items():
            (folder / name).write_text(text)
    return folder
