"""Whether the library reads texts as a checkpoint's own files say, and what is used where it does not.

A library can rebuild a tokenizer by the class that a checkpoint declares, and a declaration can be wrong: then every
text is cut in another way, and no error tells of it. So texts of every script are read by the tokenizer that the
library loads and by the files themselves (`jbench.models.vocabulary`). Where the two differ the files' reading is
used, and the model is refused where it cannot be. The comparison is made once for each set of tokenizer files and
library versions, and kept in the cache; it needs no weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jbench.cache import known_sha256, recalled
from jbench.models.checkpoint import Checkpoint
from jbench.models.vocabulary import NAMED, Files, Vocabulary, vocabulary
from jbench.types import Unavailable

REVISION = 1
"""Rises when the same files would be judged in another way."""

PROBES = (
    "朝から強い雨が降っている。図書館で本を三冊借りた。",
    "ガギグゲゴ パピプペポ ヴァイオリンとコーヒーとサーバー",
    "がぎぐげご ぱぴぷぺぽ ゐゑを っゃゅょ",
    "ｶﾞｷﾞｸﾞｹﾞｺﾞ ﾊﾟﾋﾟﾌﾟﾍﾟﾎﾟ ｱｲｳｴｵ ﾃﾞｰﾀ",
    "かか\u3099き\u3099はは\u309a（結合文字の濁点と半濁点）",
    "ラーメンーーー、すごーーい〜～！？",
    "2024年12月25日 午後３時４５分、１，２３４，５６７円、9,800円（税込）、50%OFF、①②③、㍿㌔℃",
    "The quick Brown FOX jumps over the LAZY dog's back; it's 3.14!",
    "Crème brûlée à la carte, naïve façade, Ångström, ÜBER, señor, Žižek",
    "ＡＢＣａｂｃ！＃（）［］「」『』【】・…‥—―",
    "東京都渋谷区道玄坂１丁目2-3のAPPLE STOREでiPhone15を買った",
    "絵文字😀🎉👨‍👩‍👧 と記号 ★☆♪ → ←",
    "𠮷野家と髙島屋、﨑と神、葛󠄀城",
    "改行\nと\tタブ  と  連続する空白　全角の空白",
    "  前後に空白がある文  ",
    "한국어와 中文简体 與繁體, Русский язык, العربية",
    "def main(args): return [x ** 2 for x in range(10)] # ``code'' <tag>",
    "https://example.com/path?query=1&lang=ja user@example.org",
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "外国人参政権とすもももももももものうち",
    "",
)
"""Texts of every script, with what normalization, lower case, accents, blanks and word dictionaries change."""

_READ = ("*.model", "*.spm", "*.tiktoken", "vocab.*", "merges.txt", "tokenizer*.json", "*_tokens*.json", "*tokens.json")
_CONFIGS = ("config.json", "sentence_*_config.json", "*processor_config.json", "chat_template*")
_LIBRARIES = ("sentence-transformers", "sentencepiece", "tokenizers", "transformers", "fugashi")
_FROM_VOCABULARY = 512  # entries of a vocabulary that become probes


@dataclass(frozen=True)
class Difference:
    """A text that the library's tokenizer and the checkpoint's files read as different tokens."""

    text: str
    library: list[str]
    files: list[str]

    def __str__(self) -> str:
        both = enumerate(zip(self.library, self.files, strict=False))
        at = next((i for i, (a, b) in both if a != b), min(len(self.library), len(self.files)))
        library, files = (" ".join(side[max(0, at - 2) : at + 6]) for side in (self.library, self.files))
        return f"{self.text[:30]!r}: library [{library}], files [{files}]"


@dataclass(frozen=True)
class Verdict:
    """What a comparison gave, as it is kept.

    ``source`` names what decides in the files, empty where nothing was compared. ``difference`` is empty where the
    library reads as the files say. ``notes`` are special ids that ``config.json`` has otherwise.
    """

    source: str = ""
    difference: str = ""
    notes: tuple[str, ...] = ()


def compare(checkpoint: Checkpoint, tokenizer: Any, texts: Sequence[str], home: str | None = None) -> list[Difference]:
    """What ``tokenizer``, as a library loaded it, reads in another way than the checkpoint's own files.

    :param home: the folder of the tokenizer within the checkpoint; the first module's where not given.
    :returns: a row for each text that is read differently, the first by its pieces, else by its special tokens; none
        where the files are not read here (code of the checkpoint's own, for one).
    :raises Unavailable: for damaged files, or a dictionary or library that is not installed.
    """
    own = vocabulary(checkpoint, home)
    return [] if own is None else _differences(own, tokenizer, texts)


def _differences(own: Vocabulary, tokenizer: Any, texts: Sequence[str]) -> list[Difference]:
    known = tokenizer.get_added_vocab()
    # Markers that a ColBERT adds when it is loaded stand in no file as tokens.
    beside = [token for token in {*own.added, *known} if token]
    found: list[Difference] = []
    for text in texts:
        if any(token in text for token in beside):
            continue
        for special in (False, True):
            files = own.ids(text, special)
            try:
                library = list(
                    tokenizer(text, add_special_tokens=special, truncation=False, verbose=False)["input_ids"]
                )
            except Exception as error:  # such as a vocabulary that lacks what the class takes for unknown
                found.append(Difference(text, [str(error)], own.tokens(files)))
                break
            if library != files:
                said = [str(token) for token in tokenizer.convert_ids_to_tokens(library)]
                found.append(Difference(text, *_told(said, library, own.tokens(files), files)))
                break
    return found


def _told(library: list[str], a: list[int], files: list[str], b: list[int]) -> tuple[list[str], list[str]]:
    """Two rows of tokens; with their ids where the tokens alone are equal."""
    if library != files:
        return library, files
    return tuple([f"{t}={i}" for t, i in zip(*side, strict=True)] for side in ((library, a), (files, b)))  # type: ignore[return-value]


def probes(own: Vocabulary, prompts: Sequence[str] = ()) -> list[str]:
    """The texts of a comparison: `PROBES`, ``prompts`` before one of them, and words of the vocabulary itself."""
    entries = sorted(own.token_ids.items(), key=lambda entry: entry[1])
    step = max(1, len(entries) // _FROM_VOCABULARY)
    words = [token.replace("▁", " ").removeprefix("##") for token, _ in entries[::step] if token not in own.added]
    lines = ["".join(words[i : i + 16]) for i in range(0, len(words), 16)]
    return [*PROBES, *(prompt + PROBES[0] for prompt in dict.fromkeys(prompts) if prompt), *lines]


def judged(checkpoint: Checkpoint, trusted: bool, prompts: Sequence[str] = ()) -> Verdict:
    """Hold the library's reading of a checkpoint against its files', and remember what came of it.

    :param trusted: whether the checkpoint's own code may run.
    :param prompts: texts that stand before others; they are probes too.
    :raises Unavailable: where neither can be used, with both readings.
    """
    home = checkpoint.home
    first = str(checkpoint.modules[0]["type"]) if checkpoint.modules else "Transformer"
    if not first.endswith("Transformer") or not (checkpoint.folder / home / "config.json").is_file():
        return Verdict()
    versions = {name: version(name) for name in _LIBRARIES}
    key = [REVISION, versions, trusted, sorted({*prompts}), _state(checkpoint.folder / home)]
    return recalled("readings", key, Verdict, lambda: _judge(checkpoint, trusted, prompts))


def _state(folder: Path) -> list[list[str]]:
    """Names and sha256 of the files that a tokenizer is made of."""
    paths = {path for pattern in (*_READ, *_CONFIGS) for path in folder.glob(pattern) if path.is_file()}
    return [[path.name, known_sha256(path)] for path in sorted(paths)]


def _judge(checkpoint: Checkpoint, trusted: bool, prompts: Sequence[str]) -> Verdict:
    own = vocabulary(checkpoint)
    if own is None:
        return Verdict()
    loaded = _library(checkpoint, trusted)
    texts = probes(own, prompts)
    notes = _contradictions(checkpoint, own)
    if loaded is None:
        return Verdict(own.source, notes=notes)
    differences = _differences(own, loaded, texts)
    if not (difference := str(differences[0]) if differences else own.other(loaded)):
        return Verdict(own.source, notes=notes)
    _replacement(checkpoint, own, loaded, texts)
    return Verdict(own.source, difference, notes)


def _library(checkpoint: Checkpoint, trusted: bool) -> Any:
    """The tokenizer as the library loads it; None where it cannot, which loading the model will tell."""
    from transformers import AutoTokenizer
    from transformers.utils import logging

    files = Files(checkpoint, checkpoint.home)
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    backbone = files.read("sentence_bert_config.json")
    extra = backbone.get("processor_kwargs") or backbone.get("tokenizer_args") or {}
    try:
        loaded = AutoTokenizer.from_pretrained(
            files.folder, local_files_only=True, **{**extra, "trust_remote_code": trusted}
        )
    except Exception:
        return None
    if files.lowers and loaded.is_fast:  # as sentence-transformers does
        from tokenizers import normalizers

        own = loaded.backend_tokenizer.normalizer
        steps = [normalizers.Lowercase(), *([own] if own is not None else [])]
        loaded.backend_tokenizer.normalizer = normalizers.Sequence(steps)
    return loaded


def _replacement(checkpoint: Checkpoint, own: Vocabulary, loaded: Any, texts: Sequence[str]) -> Any:
    """A tokenizer that reads as the files say.

    :raises Unavailable: where none can be made, with the library's and the files' reading of one text.
    """
    try:
        made = own.make(loaded)
    except Exception as error:  # a broken file shows in as many ways as there are files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        read = [str(difference) for difference in _differences(own, loaded, texts)] or [own.other(loaded)]
        raise Unavailable(
            f"{checkpoint.model}: the library reads it otherwise than {own.source} ({read[0]}), "
            f"and no tokenizer that reads as the file can be made: {reason}"
        ) from error
    if wrong := _differences(own, made, texts):
        raise Unavailable(f"{checkpoint.model}: {own.source} cannot be read by any library at hand: {wrong[0]}")
    return made


def _contradictions(checkpoint: Checkpoint, own: Vocabulary) -> tuple[str, ...]:
    """Special ids that ``config.json`` gives otherwise than the tokenizer's files."""
    config = checkpoint.read(f"{checkpoint.home}/config.json")
    notes = []
    for key in NAMED:
        said, place = config.get(f"{key}_id"), own.token_ids.get(own.named.get(key, ""))
        wanted = said if isinstance(said, list) else [said]
        if type(wanted[0]) is int and place is not None and place not in wanted:
            notes.append(f"{key} {own.named[key]!r} has the id {place}, config.json says {wanted[0]}")
    return tuple(notes)


def settle(checkpoint: Checkpoint, module: Any, verdict: Verdict, prompts: Sequence[str] = ()) -> None:
    """Give a loaded model the reading of its files where the library's is another; check ids against its embedding.

    :param module: the library's model, whose first module is a transformer.
    :param verdict: what `judged` gave for the checkpoint.
    :raises Unavailable: where the model was loaded with another tokenizer than the one that was judged, or a special
        token has no row in the embedding.
    """
    own = vocabulary(checkpoint) if verdict.source else None
    if own is not None and module[0].tokenizer is not None:
        texts = probes(own, prompts) if verdict.difference else [*PROBES, *probes(own)[len(PROBES) :: 8]]
        loaded = module[0].tokenizer
        if verdict.difference:
            made = _replacement(checkpoint, own, loaded, texts)
            _carry_over(checkpoint, loaded, made)
            _put(module[0], made)
        elif differences := _differences(own, loaded, texts):
            raise Unavailable(
                f"{checkpoint.model}: {own.source} is read differently when it is loaded: {differences[0]}"
            )
    _check_rows(checkpoint, module[0])


def _carry_over(checkpoint: Checkpoint, loaded: Any, made: Any) -> None:
    """Add the markers that the library gave a ColBERT's tokenizer, under the same ids."""
    known = made.get_vocab()
    for token, place in sorted(loaded.get_added_vocab().items(), key=lambda item: item[1]):
        if token in known:
            continue
        made.add_tokens([token])
        if (given := made.convert_tokens_to_ids(token)) != place and token not in (loaded.all_special_tokens or ()):
            raise Unavailable(f"{checkpoint.model}: its marker {token!r} has the id {place}, its files give it {given}")


def _put(transformer: Any, tokenizer: Any) -> None:
    processor = transformer.processor
    if getattr(processor, "tokenizer", None) is not None:
        processor.tokenizer = tokenizer
    else:
        transformer.processor = tokenizer


def rows_of(transformer: Any) -> int | None:
    """How many rows the input embedding of a loaded transformer has; None where it has none that can be asked for."""
    try:
        table = transformer.model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return None
    weight = getattr(table, "weight", None)
    return None if weight is None else int(weight.shape[0])


def _check_rows(checkpoint: Checkpoint, transformer: Any) -> None:
    tokenizer, rows = transformer.tokenizer, rows_of(transformer)
    if rows is None or tokenizer is None:
        return
    used = {int(i) for i in tokenizer("", verbose=False)["input_ids"]} | {tokenizer.pad_token_id}
    if past := sorted(i for i in used if i is not None and i >= rows):
        token = tokenizer.convert_ids_to_tokens(past[0])
        raise Unavailable(
            f"{checkpoint.model}: its token {token!r} has the id {past[0]}, its embedding {rows} rows: "
            "do the tokenizer and the weights belong together?"
        )


@contextmanager
def lowering() -> Iterator[None]:
    """Let sentence-transformers ask a BertJapaneseTokenizer for lower case, which the class has no way to be told."""
    from transformers import BertJapaneseTokenizer

    kind: Any = BertJapaneseTokenizer
    own = kind.do_lower_case
    kind.do_lower_case = property(own.fget, lambda self, value: setattr(self, "lower_case", value))
    try:
        yield
    finally:
        kind.do_lower_case = own
