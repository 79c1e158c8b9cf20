"""A checkpoint's tokenizer as its own files describe it, made without the library's reading of them.

Which file decides:

- ``tokenizer.json``, where it is, read by the library `tokenizers` without its truncation and padding. What
  ``tokenizer_config.json`` says of lower case, accents, Chinese characters, a blank in front, ``<s>`` and ``</s>``
  outranks it, as in transformers 4;
- else a sentencepiece model, read by `sentencepiece` itself, its pieces numbered as the family numbers them;
- else ``vocab.txt``: WordPiece, for BertJapaneseTokenizer after MeCab with the dictionary that the files name. Where
  they name none it is the default of the transformers version in ``config.json``: ipadic before 4.45.0, from there on
  unidic_lite (transformers pull request 33372, merged on 2024-09-12);
- else ``vocab.json`` and ``merges.txt``: byte-level BPE.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from jbench.models.checkpoint import Checkpoint
from jbench.types import Unavailable

NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_MORE = ("additional_special_tokens", "extra_special_tokens")
_BERT_KIN = {
    *("Bert", "DistilBert", "Electra", "MobileBert", "ConvBert", "Funnel", "LayoutLM", "LayoutLMv2", "Lxmert"),
    *("MPNet", "SqueezeBert", "RetriBert", "Realm", "DPRContextEncoder", "DPRQuestionEncoder", "RoFormer"),
}
"""Classes of which transformers 4 set lower case and accents by ``tokenizer_config.json`` (BertTokenizerFast)."""
_FRAMED = {"Llama", "CodeLlama", "Gemma", "Cohere", "GPTNeoX"}
"""Classes of which transformers 4 set ``<s>`` and ``</s>`` by ``tokenizer_config.json`` (LlamaTokenizerFast)."""
_SPM_NAMES = {
    **dict.fromkeys(("XLMRoberta", "XLMRobertaXL", "MLuke"), "sentencepiece.bpe.model"),
    **dict.fromkeys(("Albert", "T5", "MT5", "BigBird", "BertJapanese"), "spiece.model"),
    **dict.fromkeys(("Llama", "CodeLlama", "Gemma"), "tokenizer.model"),
    "DebertaV2": "spm.model",
    "RemBert": "sentencepiece.model",
}
_UNIDIC_SINCE = (4, 45, 0)
_BERT_NAMES = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"} | {
    "mask_token": "[MASK]"
}
_FAIRSEQ_NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>"} | {
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2Tokenizer cuts a text before BPE (transformers, models/qwen2/tokenization_qwen2.py)."""


@dataclass(frozen=True)
class Vocabulary:
    """How a checkpoint's files say that a text becomes ids.

    ``source`` names the file that decides. ``ids(text, special)`` gives a text's ids, with or without special tokens;
    ``tokens`` names ids. ``added`` are tokens that stand in a text as themselves. ``make(loaded)`` gives a tokenizer of
    transformers that reads so, with the names and sides of the one that the library loaded. ``other(loaded)`` says what
    makes that one read otherwise where it can be asked, such as another dictionary of words; else it is empty.
    """

    source: str
    ids: Callable[[str, bool], list[int]]
    tokens: Callable[[Sequence[int]], list[str]]
    token_ids: Mapping[str, int]
    added: frozenset[str]
    named: Mapping[str, str]
    make: Callable[[Any], Any] = field(repr=False)
    other: Callable[[Any], str] = lambda loaded: ""


@dataclass(frozen=True)
class Files:
    """What lies in the folder of a checkpoint's tokenizer, and what its configurations say of it."""

    checkpoint: Checkpoint
    home: str

    @property
    def folder(self) -> Path:
        """Where the tokenizer's files lie."""
        return self.checkpoint.folder / self.home

    def read(self, name: str) -> dict[str, Any]:
        """A JSON file of the folder, empty when there is none."""
        return self.checkpoint.read(f"{self.home}/{name}")

    @cached_property
    def config(self) -> dict[str, Any]:
        """``tokenizer_config.json``, with the special tokens of ``special_tokens_map.json`` where it names none."""
        own = self.read("tokenizer_config.json")
        return {**({} if "added_tokens_decoder" in own else self.read("special_tokens_map.json")), **own}

    @cached_property
    def family(self) -> str:
        """The tokenizer's class without ``Tokenizer`` and ``Fast``: declared, else that of the model's type."""
        model = self.read("config.json")
        declared = self.config.get("tokenizer_class") or model.get("tokenizer_class")
        if not declared:
            from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

            declared = TOKENIZER_MAPPING_NAMES.get(str(model.get("model_type"))) or ""
        return re.sub(r"(Tokenizer)(Fast)?$", "", str(declared))

    @cached_property
    def lowers(self) -> bool:
        """Whether sentence-transformers lowers every text before it is tokenized (``sentence_bert_config.json``)."""
        return bool(self.read("sentence_bert_config.json").get("do_lower_case"))

    @cached_property
    def named(self) -> dict[str, str]:
        """The special tokens that the files name: ``{"pad_token": "<pad>"}``."""
        said = {key: content(self.config.get(key)) for key in NAMED}
        return {key: token for key, token in said.items() if token}

    def numbered(self, tokens: Callable[[int], str | None]) -> dict[str, str]:
        """The special tokens that ``config.json`` has ids for, by their names in the vocabulary."""
        model = self.read("config.json")
        places = {key: place for key in NAMED if isinstance(place := model.get(f"{key}_id"), int)}
        return {key: token for key, place in places.items() if (token := tokens(place)) is not None}

    @cached_property
    def declared(self) -> list[tuple[int | None, Any]]:
        """Tokens that the configurations add: each with its id, None where it takes the next free one."""
        from tokenizers import AddedToken

        numbered: dict[int, Any] = {
            int(place): AddedToken(**{key: value for key, value in row.items() if key != "__type"})
            for place, row in (self.config.get("added_tokens_decoder") or {}).items()
        }
        special = set(self.named.values())
        for token, place in self.read("added_tokens.json").items():
            numbered.setdefault(
                int(place), AddedToken(token, special=token in special, normalized=token not in special)
            )
        rows: list[tuple[int | None, Any]] = sorted(numbered.items())
        known = {token.content for token in numbered.values()}
        more = [item for key in _MORE for item in _listed(self.config.get(key))]
        for given in [*(self.config[key] for key in NAMED if key in self.named), *more]:
            token = content(given)
            if token and token not in known:
                known.add(token)
                flags = (
                    {k: given[k] for k in ("lstrip", "rstrip", "single_word", "normalized") if k in given}
                    if (isinstance(given, dict))
                    else {}
                )
                rows.append((None, AddedToken(token, special=True, **{"normalized": False, **flags})))
        return rows

    def spm(self) -> Path | None:
        """The sentencepiece model: that with the name that the class gives it, else the only one."""
        models = sorted({*self.folder.glob("*.model"), *self.folder.glob("*.spm")})
        usual = [path for path in models if path.name == _SPM_NAMES.get(self.family)]
        return usual[0] if usual else models[0] if len(models) == 1 else None


def content(token: Any) -> str:
    """The text of a token as a configuration names it: plain, or as an object with ``content``."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else ""


def _listed(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else []


def vocabulary(checkpoint: Checkpoint, home: str | None = None, trusted: bool = False) -> Vocabulary | None:
    """The reading of a checkpoint's tokenizer files in ``home`` (the first module's folder where not given).

    None where the tokenizer is code of the checkpoint's own that may run (``trusted``), works on bytes, or lies in
    files that are not read here.

    :raises Unavailable: for a file that is damaged, or a dictionary or library that is not installed.
    """
    folder = checkpoint.home if home is None else home
    paths = sorted(path for path in (checkpoint.folder / folder).glob("*") if path.is_file())
    state = tuple((path.name, stat.st_size, stat.st_mtime_ns) for path in paths for stat in [path.stat()])
    return _made(Files(checkpoint, folder), trusted, state)


@lru_cache(maxsize=2)
def _made(files: Files, trusted: bool, state: tuple[tuple[str, int, int], ...]) -> Vocabulary | None:
    """`vocabulary`, made once for files in one ``state``: a large ``tokenizer.json`` takes seconds to read."""
    if trusted and files.read("tokenizer_config.json").get("auto_map"):
        return None
    try:
        if (files.folder / "tokenizer.json").is_file() and files.family != "BertJapanese":
            return _of_json(files)
        if files.family == "BertJapanese":
            return _japanese(files)
        if (files.folder / "vocab.txt").is_file() and files.family in _BERT_KIN:
            return _of_words(files)
        if (files.folder / "vocab.json").is_file() and (files.folder / "merges.txt").is_file():
            return _of_merges(files)
        if path := files.spm():
            return _of_spm(files, path)
    except (Unavailable, ImportError):
        raise
    except Exception as error:  # a stranger's files can be broken in any way
        raise Unavailable(f"{files.checkpoint.model}: its tokenizer files cannot be read ({error})") from error
    return None


# tokenizer.json


def _of_json(files: Files) -> Vocabulary:
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(files.folder / "tokenizer.json"))
    _outrank(files, backend)
    _add(files, backend)
    _frame(files, backend)
    return _fast("tokenizer.json", files, backend, files.named)


def _outrank(files: Files, backend: Any) -> None:
    """Let ``tokenizer_config.json`` set what it says of the normalizer and the pre-tokenizer."""
    from tokenizers import normalizers, pre_tokenizers

    if files.family in _BERT_KIN and isinstance(backend.normalizer, normalizers.BertNormalizer):
        keys = {"do_lower_case": "lowercase", "strip_accents": "strip_accents"} | {
            "tokenize_chinese_chars": "handle_chinese_chars"
        }
        said = {name: files.config[key] for key, name in keys.items() if key in files.config}
        state = {key: value for key, value in json.loads(backend.normalizer.__getstate__()).items() if key != "type"}
        backend.normalizer = normalizers.BertNormalizer(**{**state, **said})
    blank = files.config.get("add_prefix_space")
    if isinstance(blank, bool) and isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel):
        state = json.loads(backend.pre_tokenizer.__getstate__())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=blank, use_regex=state["use_regex"])


def _add(files: Files, backend: Any) -> None:
    """Add the tokens that the configurations name and the vocabulary lacks, or has as common words."""
    known = {token.content for token in backend.get_added_tokens_decoder().values()}
    for place, token in files.declared:
        if token.content in known:
            continue
        (backend.add_special_tokens if token.special else backend.add_tokens)([token])
        given = backend.token_to_id(token.content)
        if place not in (None, given) and token.content in files.named.values():
            raise ValueError(f"{token.content!r} is to have the id {place}, where tokenizer.json gives it {given}")


def _frame(files: Files, backend: Any) -> None:
    """Put ``<s>`` and ``</s>`` around a text, or leave them out, as ``tokenizer_config.json`` says."""
    from tokenizers import processors

    whole, bare = (backend.encode("あ", add_special_tokens=special).ids for special in (True, False))
    start = next((i for i in range(len(whole)) if whole[i : i + len(bare)] == bare), 0)
    before, behind = whole[:start], whole[start + len(bare) :]
    said = {key: files.config.get(f"add_{key}_token") for key in ("bos", "eos")}
    places = {key: backend.token_to_id(files.named.get(f"{key}_token", "")) for key in ("bos", "eos")}
    framed = files.family in _FRAMED
    first, last = list(before), list(behind)
    if places["bos"] is not None:
        if (said["bos"] is True and not (first or behind)) or (framed and said["bos"] is True and not first):
            first = [places["bos"]]
        elif framed and said["bos"] is False and first == [places["bos"]]:
            first = []
    if places["eos"] is not None:
        if said["eos"] is True and not last:
            last = [places["eos"]]
        elif framed and said["eos"] is False and last == [places["eos"]]:
            last = []
    if (first, last) == (before, behind):
        return
    names = {place: backend.id_to_token(place) for place in [*first, *last]}
    head, tail = ([names[place] for place in side] for side in (first, last))
    single = [*head, "$A", *tail]
    second = [f"{name}:1" for name in head], [f"{name}:1" for name in tail]
    backend.post_processor = processors.TemplateProcessing(
        single=single, pair=[*single, *second[0], "$B:1", *second[1]], special_tokens=[(n, i) for i, n in names.items()]
    )


def _fast(
    source: str,
    files: Files,
    backend: Any,
    named: Mapping[str, str],
    ids: Callable[[str, bool], list[int]] | None = None,
) -> Vocabulary:
    """What a tokenizer of the library `tokenizers` reads; ``ids`` where another referee reads for it."""
    from tokenizers import normalizers

    backend.no_truncation()
    backend.no_padding()
    if files.lowers:
        own = [backend.normalizer] if backend.normalizer is not None else []
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])

    def read(text: str, special: bool) -> list[int]:
        found: list[int] = backend.encode(text, add_special_tokens=special).ids
        return found

    def tokens(places: Sequence[int]) -> list[str]:
        return [str(backend.id_to_token(place)) for place in places]

    def make(loaded: Any) -> Any:
        from transformers import PreTrainedTokenizerFast

        own = {key: str(token) for key in NAMED if (token := getattr(loaded, key, None))}
        own = {key: token for key, token in own.items() if backend.token_to_id(token) is not None}
        names = {**(files.numbered(backend.id_to_token) if not named else {}), **own, **named}
        return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_object=backend, **_sides_of(files, loaded), **names
        )

    added = frozenset(token.content for token in backend.get_added_tokens_decoder().values())
    return Vocabulary(source, ids or read, tokens, backend.get_vocab(), added, named, make)


def _sides_of(files: Files, loaded: Any) -> dict[str, Any]:
    """What a new tokenizer takes over of the one that the library loaded: length, sides, what it gives the model.

    Where the library loaded none, ``tokenizer_config.json`` says it.
    """
    from transformers.tokenization_utils_base import VERY_LARGE_INTEGER

    usual = {"model_max_length": VERY_LARGE_INTEGER, "padding_side": "right", "truncation_side": "right"}
    usual["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    sides = {
        key: files.config.get(key, value) if loaded is None else getattr(loaded, key) for key, value in usual.items()
    }
    if files.read("config.json").get("type_vocab_size") == 1:  # it has no row for a second segment
        sides["model_input_names"] = [name for name in sides["model_input_names"] if name != "token_type_ids"]
    return {**sides, "clean_up_tokenization_spaces": False}


# A sentencepiece model alone


@dataclass(frozen=True)
class _Family:
    """How a class of transformers 4 makes ids of sentencepiece's pieces.

    ``names`` are its special tokens where the files name none. ``head``, ``between`` and ``tail`` stand around one text
    and between two, by the keys of special tokens; ``segments``: the second text is of another segment. ``fairseq``:
    ``<s> <pad> </s> <unk>`` come first, then the pieces from the fourth on, then ``<mask>``. ``extra_ids`` more tokens
    stand behind the pieces. ``defaults`` are settings of the class that change a text before it is cut.
    """

    names: Mapping[str, str]
    head: tuple[str, ...] = ("cls_token",)
    between: tuple[str, ...] = ()
    tail: tuple[str, ...] = ("sep_token",)
    segments: bool = True
    fairseq: bool = False
    extra_ids: int = 0
    defaults: Mapping[str, bool] = field(default_factory=dict)


_ALBERT_NAMES = {"bos_token": "[CLS]", "eos_token": "[SEP]", "unk_token": "<unk>", "sep_token": "[SEP]"} | {
    "pad_token": "<pad>",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
_S = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
_XLMR = _Family(_FAIRSEQ_NAMES, between=("sep_token",), segments=False, fairseq=True)
_T5 = _Family(
    {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
    head=(),
    tail=("eos_token",),
    segments=False,
    extra_ids=100,
)
_LLAMA = _Family(_S, head=("bos_token",), tail=("eos_token",))
_SPM = {
    "XLMRoberta": _XLMR,
    "XLMRobertaXL": _XLMR,
    "MLuke": _XLMR,
    "Albert": _Family(_ALBERT_NAMES, defaults={"quotes": True, "keep_accents": False, "do_lower_case": True}),
    "RemBert": _Family(_ALBERT_NAMES, defaults={"quotes": True, "keep_accents": True, "do_lower_case": False}),
    "BigBird": _Family({**_ALBERT_NAMES, **_S}),
    "DebertaV2": _Family(
        {**_BERT_NAMES, "bos_token": "[CLS]", "eos_token": "[SEP]"}, defaults={"do_lower_case": False}
    ),
    "T5": _T5,
    "MT5": _T5,
    "Llama": _LLAMA,
    "CodeLlama": _LLAMA,
    "Gemma": _Family(
        {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>"},
        head=("bos_token",),
        tail=("eos_token",),
    ),
}


def _of_spm(files: Files, path: Path) -> Vocabulary:
    """Read by sentencepiece itself, which knows the rules of normalization that its file carries.

    The library tokenizers applies those rules to one letter at a time (its Precompiled), so that of half-width kana the
    marks for voiced sounds stay alone.
    """
    family = _SPM.get(files.family)
    if family is None or files.config.get("split_by_punct"):
        kind = f"{files.family}Tokenizer" + (" with split_by_punct" if family else "")
        raise Unavailable(
            f"{files.checkpoint.model}: its tokenizer is {path.name} alone, and how a {kind} numbers its pieces is not "
            "known here; save tokenizer.json beside it"
        )
    import sentencepiece.sentencepiece_model_pb2 as described
    from sentencepiece import SentencePieceProcessor
    from tokenizers import AddedToken

    cutter = SentencePieceProcessor(model_file=str(path))
    if family.head == ("bos_token",) and files.config.get("add_prefix_space") is False:  # as LlamaTokenizerFast has it
        proto = described.ModelProto.FromString(path.read_bytes())  # type: ignore[attr-defined]
        proto.normalizer_spec.add_dummy_prefix = False
        cutter.load_from_serialized_proto(proto.SerializeToString())
    said = {key: bool(files.config.get(key, usual)) for key, usual in family.defaults.items()}
    names = {**family.names, **files.named}
    extra = int(files.config.get("extra_ids", family.extra_ids)) if family.extra_ids else 0
    numbers = {piece: place for place, piece in enumerate(_numbered(family, cutter, extra))}
    base = len(numbers)
    added: dict[int, Any] = {}
    for place, token in [
        *files.declared,
        *((None, AddedToken(n, special=True, normalized=False)) for n in names.values()),
    ]:
        own = numbers.setdefault(token.content, len(numbers) if place is None else place)
        added.setdefault(own, token)
    back = {place: piece for piece, place in numbers.items()}
    unknown = numbers[names["unk_token"]]
    head, tail, between = ([numbers[names[key]] for key in side] for side in _sides(files, family))

    def cut(text: str) -> list[str]:
        pieces: list[str] = cutter.encode(_prepared(text.lower() if files.lowers else text, said), out_type=str)
        return pieces

    def around(one: list[int], other: list[int] | None = None) -> list[int]:
        second = [] if other is None else [*between, *other, *tail]
        return [*head, *one, *tail, *second]

    def read(text: str, special: bool) -> list[int]:
        places = [numbers.get(piece, unknown) for piece in cut(text)]
        return around(places) if special else places

    def make(loaded: Any) -> Any:
        from transformers import PreTrainedTokenizer

        class Sentencepiece(PreTrainedTokenizer):
            """A sentencepiece model whose pieces have the ids of their family."""

            vocab_size = base

            def get_vocab(self) -> dict[str, int]:
                return {**numbers, **self.added_tokens_encoder}

            def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
                return cut(text)

            def _convert_token_to_id(self, token: str) -> int:
                return numbers.get(token, unknown)

            def _convert_id_to_token(self, index: int) -> str:
                return back.get(index, names["unk_token"])

            def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
                return around(token_ids_0, token_ids_1)

        kinds = "bert_style" if family.segments else "all_zeros"
        return Sentencepiece(  # type: ignore[no-untyped-call]
            added_tokens_decoder=dict(added), token_type_ids_pattern=kinds, **_sides_of(files, loaded), **names
        )

    standing = frozenset(token.content for token in added.values())

    def told(places: Sequence[int]) -> list[str]:
        return [back.get(place, names["unk_token"]) for place in places]

    return Vocabulary(f"{path.name} as {files.family}Tokenizer", read, told, numbers, standing, names, make)


def _sides(files: Files, family: _Family) -> tuple[list[str], list[str], list[str]]:
    """What stands before a text, behind it, and before the second of two, by the keys of special tokens.

    Of a Llama or Gemma ``<s>`` unless, and ``</s>`` if, the files ask for it.
    """
    if family.head != ("bos_token",):
        return list(family.head), list(family.tail), list(family.between)
    head = ["bos_token"] if files.config.get("add_bos_token", True) else []
    tail = ["eos_token"] if files.config.get("add_eos_token", False) else []
    return head, tail, head


def _numbered(family: _Family, cutter: Any, extra_ids: int) -> list[str]:
    """The pieces in the order of the family's ids."""
    pieces = [cutter.id_to_piece(place) for place in range(cutter.get_piece_size())]
    if family.fairseq:
        return ["<s>", "<pad>", "</s>", "<unk>", *pieces[3:], "<mask>"]
    return [*pieces, *(f"<extra_id_{i}>" for i in reversed(range(extra_ids)))]


def _prepared(text: str, said: Mapping[str, bool]) -> str:
    """A text as the family changes it before sentencepiece cuts it."""
    if said.get("quotes"):
        text = text.replace("``", '"').replace("''", '"')
    if said.get("keep_accents") is False:
        text = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return text.lower() if said.get("do_lower_case") else text


def _add_named(backend: Any, names: Mapping[str, str]) -> None:
    """Make special tokens of ``names``; one that is no piece gets the next id."""
    from tokenizers import AddedToken

    known = {token.content for token in backend.get_added_tokens_decoder().values()}
    more = [name for name in dict.fromkeys(names.values()) if name not in known]
    backend.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in more])


# vocab.txt


def _of_words(files: Files) -> Vocabulary:
    """BertTokenizer and its kin: WordPiece over words that blanks and punctuation part."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    names = {**_BERT_NAMES, **files.named}
    backend = Tokenizer(models.WordPiece(_lines(files), unk_token=names["unk_token"], max_input_chars_per_word=100))
    said = files.config
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=said.get("tokenize_chinese_chars", True),
        strip_accents=said.get("strip_accents"),
        lowercase=said.get("do_lower_case", True),
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    _add(files, backend)
    _add_named(backend, names)
    _between_brackets(backend, names)
    return _fast("vocab.txt", files, backend, names)


def _between_brackets(backend: Any, names: Mapping[str, str]) -> None:
    from tokenizers import processors

    cls, sep = names["cls_token"], names["sep_token"]
    places = [(name, backend.token_to_id(name)) for name in (cls, sep)]
    single = [cls, "$A", sep]
    backend.post_processor = processors.TemplateProcessing(
        single=single, pair=[*single, "$B:1", f"{sep}:1"], special_tokens=places
    )


def _lines(files: Files) -> dict[str, int]:
    """``vocab.txt``: a token a line, its id the line's number from 0."""
    text = (files.folder / "vocab.txt").read_text(encoding="utf-8")
    return {token: place for place, token in enumerate(text.removesuffix("\n").split("\n"))}


# BertJapaneseTokenizer


def _japanese(files: Files) -> Vocabulary | None:
    """Words by MeCab or by punctuation, then WordPiece, characters or sentencepiece."""
    said = files.config
    words, source, arguments = _words_of(files)
    pieces = _pieces_of(files)
    if words is None or pieces is None or not said.get("do_subword_tokenize", True):
        return None
    cut, numbers = pieces
    names = {**_BERT_NAMES, **files.named}
    for place, token in files.declared:
        numbers.setdefault(token.content, len(numbers) if place is None else place)
    back = {place: token for token, place in numbers.items()}
    unknown = numbers[names["unk_token"]]

    def read(text: str, special: bool) -> list[int]:
        text = text.lower() if files.lowers else text
        places = [numbers.get(piece, unknown) for word in words(text) for piece in cut(word)]
        return [numbers[names["cls_token"]], *places, numbers[names["sep_token"]]] if special else places

    def make(loaded: Any) -> Any:
        from transformers import BertJapaneseTokenizer

        class Lowered(BertJapaneseTokenizer):
            """Reads every text in lower case, as ``sentence_bert_config.json`` asks."""

            # sentence-transformers sets it, and the class has no way to be told.
            do_lower_case = True

            def _tokenize(self, text: str, **kwargs: Any) -> Any:
                return super()._tokenize(text.lower(), **kwargs)  # type: ignore[no-untyped-call]

        kind = Lowered if files.lowers else BertJapaneseTokenizer
        return kind.from_pretrained(files.folder, local_files_only=True, **arguments, **_sides_of(files, loaded))

    def other(loaded: Any) -> str:
        wanted = arguments.get("mecab_kwargs", {}).get("mecab_dic")
        if wanted is None or said.get("subword_tokenizer_type") == "character":  # characters are the same in any word
            return ""
        given = _dictionary_of(loaded)
        return "" if given == wanted else f"words of {given or 'no dictionary'}, where its files mean {wanted}"

    added = frozenset({*names.values(), *(token.content for _, token in files.declared)})
    return Vocabulary(source, read, lambda ids: [back.get(i, "?") for i in ids], numbers, added, names, make, other)


def _dictionary_of(loaded: Any) -> str | None:
    """The MeCab dictionary of a BertJapaneseTokenizer; None for another tokenizer, or the machine's own dictionary."""
    from inspect import signature

    from transformers import BertJapaneseTokenizer
    from transformers.models.bert_japanese.tokenization_bert_japanese import MecabTokenizer

    if not isinstance(loaded, BertJapaneseTokenizer):
        return None
    usual = signature(MecabTokenizer.__init__).parameters["mecab_dic"].default
    name = (loaded.mecab_kwargs or {}).get("mecab_dic", usual)
    return str(name) if name else None


def _words_of(files: Files) -> tuple[Callable[[str], list[str]] | None, str, dict[str, Any]]:
    """How a text is cut into words, what is said of it, and what BertJapaneseTokenizer needs to be told for it."""
    said, lower = files.config, bool(files.config.get("do_lower_case", False))
    kind = said.get("word_tokenizer_type", "basic") if said.get("do_word_tokenize", True) else "none"
    if kind == "none":
        return (lambda text: [text]), "vocab.txt", {}
    if kind == "basic":
        from tokenizers import normalizers, pre_tokenizers

        clean = normalizers.Sequence(
            [
                normalizers.NFC(),
                normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, lowercase=lower),
            ]
        )
        split = pre_tokenizers.BertPreTokenizer()
        return (lambda text: [word for word, _ in split.pre_tokenize_str(clean.normalize_str(text))]), "vocab.txt", {}
    if kind == "jumanpp" and (lacking := _without_jumanpp()):
        raise Unavailable(f"{files.checkpoint.model} reads words by Juman++: {lacking}")
    if kind != "mecab":
        return None, "", {}
    given = dict(said.get("mecab_kwargs") or {})
    name = given.get("mecab_dic", default_dictionary(files.read("config.json").get("transformers_version")))
    if name is None:  # the dictionary that this machine has for MeCab: no file says which
        return None, "", {}
    from fugashi import GenericTagger

    folder = _dictionary(files, name)
    option = f'-d "{folder}" -r "{folder}/mecabrc" {given.get("mecab_option") or ""}'
    tagger = GenericTagger(option)

    def words(text: str) -> list[str]:
        wide = unicodedata.normalize("NFKC", text) if given.get("normalize_text", True) else text
        surfaces = [word.surface for word in tagger(wide)]
        return [surface.lower() for surface in surfaces] if lower else surfaces

    return words, f"MeCab with {name}", {"mecab_kwargs": {**given, "mecab_dic": name}}


def _without_jumanpp() -> str:
    """What is missing for Juman++, and what to do; empty where nothing is."""
    from importlib.util import find_spec
    from shutil import which

    if find_spec("rhoknp") is None:
        return "pip install 'jbench[jumanpp]'"
    return "" if which("jumanpp") else "no jumanpp on PATH; install it"


def default_dictionary(version: Any) -> str:
    """MeCab's dictionary of a BertJapaneseTokenizer that names none, by the transformers ``version`` that wrote it.

    ipadic before 4.45.0 and where no version is known, else unidic_lite (transformers pull request 33372).
    """
    numbers = re.match(r"(\d+)\.(\d+)", version) if isinstance(version, str) else None
    since = numbers and (int(numbers[1]), int(numbers[2])) >= _UNIDIC_SINCE[:2]
    return "unidic_lite" if since else "ipadic"


def _dictionary(files: Files, name: str) -> str:
    """Where an installed dictionary lies."""
    from importlib import import_module

    if name not in ("ipadic", "unidic_lite", "unidic"):
        raise Unavailable(f"{files.checkpoint.model}: it names the MeCab dictionary {name!r}, which nobody publishes")
    try:
        return str(import_module(name).DICDIR)
    except ImportError as error:
        package = name.replace("_", "-")
        raise Unavailable(
            f"{files.checkpoint.model} reads with the dictionary {name}: pip install {package}"
        ) from error


def _pieces_of(files: Files) -> tuple[Callable[[str], list[str]], dict[str, int]] | None:
    """How a word is cut into tokens, and the ids of the tokens."""
    kind = files.config.get("subword_tokenizer_type", "wordpiece")
    unknown = {**_BERT_NAMES, **files.named}["unk_token"]
    if kind == "sentencepiece":
        from sentencepiece import SentencePieceProcessor
        from transformers.models.bert_japanese.tokenization_bert_japanese import SentencepieceTokenizer

        path = files.spm()
        if path is None:
            return None
        cutter = SentencePieceProcessor(model_file=str(path))
        by_piece = {cutter.id_to_piece(i): i for i in range(cutter.get_piece_size())}
        return SentencepieceTokenizer(str(path), unknown).tokenize, by_piece
    if not (files.folder / "vocab.txt").is_file():
        return None
    numbers = _lines(files)
    if kind == "character":
        return (lambda word: [c if c in numbers else unknown for c in unicodedata.normalize("NFKC", word)]), numbers
    from tokenizers import models

    model = models.WordPiece(numbers, unk_token=unknown, max_input_chars_per_word=100)
    return (lambda word: [token.value for part in word.split() for token in model.tokenize(part)]), numbers


# vocab.json and merges.txt


def _of_merges(files: Files) -> Vocabulary | None:
    """Byte-level BPE of GPT-2, RoBERTa, LUKE and Qwen2."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    end = "<|endoftext|>"
    usual = {"bos_token": end, "eos_token": end, "unk_token": end}
    if files.family in ("Roberta", "Luke"):
        usual = _FAIRSEQ_NAMES
    elif files.family == "Qwen2":
        usual = {"eos_token": end, "pad_token": end}
    elif files.family != "GPT2":
        return None
    names = {**usual, **files.named}
    paths = (str(files.folder / name) for name in ("vocab.json", "merges.txt"))
    backend = Tokenizer(models.BPE.from_file(*paths))
    blank = bool(files.config.get("add_prefix_space", False))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=blank)
    if files.family == "Qwen2":
        from tokenizers import normalizers

        backend.normalizer = normalizers.NFC()
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(_QWEN2), "isolated"), pre_tokenizers.ByteLevel(blank, use_regex=False)]
        )
    _add(files, backend)
    _add_named(backend, names)
    if files.family in ("Roberta", "Luke"):
        cls, sep = names["cls_token"], names["sep_token"]
        backend.post_processor = processors.TemplateProcessing(
            single=[cls, "$A", sep],
            pair=[cls, "$A", sep, sep, "$B", sep],
            special_tokens=[(name, backend.token_to_id(name)) for name in (cls, sep)],
        )
    _frame(files, backend)
    return _fast("vocab.json and merges.txt", files, backend, names)
