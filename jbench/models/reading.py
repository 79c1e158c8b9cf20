"""Whether the library reads texts as a checkpoint's own files say, and what is used where it does not.

A library can rebuild a tokenizer by the class that a checkpoint declares, and a declaration can be wrong: then every
text is cut in another way, and no error tells of it. So texts of every script are read by the tokenizer that the
library loads and by the files themselves (`jbench.models.vocabulary`). Where the two differ the files' reading is
used, and the model is refused where it cannot be. The comparison is made once for each set of tokenizer files and
library versions, and kept in the cache; it needs no weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jbench import canary
from jbench.cache import keep, known_sha256, recalled
from jbench.models.checkpoint import Checkpoint
from jbench.models.vocabulary import NAMED, Files, Vocabulary, vocabulary
from jbench.types import Unavailable

REVISION = 2
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
_WITH_CLS = {"bert", "roberta", "xlm-roberta", "distilbert", "deberta-v2", "luke", "electra"}
_JAPANESE = [
    "朝から強い雨が降っているので、図書館で本を三冊借りて読んだ。",
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "コーヒーとサンドイッチを注文して、インターネットのニュースを見ました。",
]
_MANY = 0.1  # of tokens
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
    library reads as the files say. ``notes`` are special ids that ``config.json`` has otherwise. ``canary`` is the
    digest of the ids that `canary.TEXTS` have by the tokenizer that is used.
    """

    source: str = ""
    difference: str = ""
    notes: tuple[str, ...] = ()
    canary: str = ""


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


def judged(checkpoint: Checkpoint, trusted: bool, prompts: Sequence[str] = ()) -> dict[str, Verdict]:
    """Hold the library's reading of a checkpoint against its files', and remember what came of it.

    :param trusted: whether the checkpoint's own code may run.
    :param prompts: texts that stand before others; they are probes too.
    :returns: a verdict for each folder of a transformer within the checkpoint.
    :raises Unavailable: where neither reading can be used, with both.
    """
    said: dict[str, Verdict] = {}
    for home in homes(checkpoint):
        state = _state(checkpoint.folder / home)
        more = [*prompts, *_remembered(state)]
        key = [REVISION, canary.REVISION, canary.versions(), trusted, sorted({*more}), state]
        said[home] = recalled("readings", key, Verdict, partial(_judge, checkpoint, home, trusted, more))
    return said


def homes(checkpoint: Checkpoint) -> list[str]:
    """The folders of the transformers that read texts: the first module's, or those inside a Router."""
    if not checkpoint.modules:
        return [""] if (checkpoint.folder / "config.json").is_file() else []
    first = checkpoint.modules[0]
    rows = {str(first["path"]): str(first["type"])}
    if str(first["type"]).endswith("Router"):
        names = (f"{first['path']}/router_config.json", f"{first['path']}/config.json")
        inner = next((dict(types) for name in names if (types := checkpoint.read(name).get("types"))), {})
        rows = {f"{first['path']}/{name}".lstrip("/"): str(kind) for name, kind in inner.items()}
    return [
        home
        for home, kind in rows.items()
        if kind.endswith("Transformer") and (checkpoint.folder / home / "config.json").is_file()
    ]


def _state(folder: Path) -> list[list[str]]:
    """Names and sha256 of the files that a tokenizer is made of."""
    paths = {path for pattern in (*_READ, *_CONFIGS) for path in folder.glob(pattern) if path.is_file()}
    return [[path.name, known_sha256(path)] for path in sorted(paths)]


def _remembered(state: list[list[str]]) -> list[str]:
    """Texts of tasks that the library was found to read otherwise than these files."""
    return recalled("probes", state, list[str], list)


def _judge(checkpoint: Checkpoint, home: str, trusted: bool, more: Sequence[str]) -> Verdict:
    own = vocabulary(checkpoint, home, trusted)
    try:
        loaded, reason = _library(checkpoint, home, trusted), ""
    except Exception as error:  # the library has as many words for what it cannot load as there are files
        loaded, reason = None, (str(error).strip() or type(error).__name__).splitlines()[0]
    if own is None:
        return Verdict(canary=_canary(loaded))
    texts = probes(own, more)
    differences = [] if loaded is None else _differences(own, loaded, texts)
    difference = str(differences[0]) if differences else own.other(loaded) if loaded is not None else ""
    if loaded is None:
        difference = f"it cannot load it ({reason})"
    used = _replacement(checkpoint, own, loaded, texts) if difference else loaded
    notes = (*_notes(checkpoint, home, own), *_unknown(used))
    return Verdict(own.source, difference, notes, _canary(used))


def _unknown(tokenizer: Any) -> list[str]:
    """What is said where many tokens of plain Japanese are unknown to a tokenizer."""
    ids = [place for row in tokenizer(_JAPANESE, add_special_tokens=False, verbose=False)["input_ids"] for place in row]
    share = ids.count(tokenizer.unk_token_id) / max(1, len(ids))
    return [f"{share:.0%} of the tokens of plain Japanese texts are unknown to it"] if share > _MANY else []


def _canary(tokenizer: Any) -> str:
    """The digest of the ids of `canary.TEXTS`; empty where there is no tokenizer, or one that cannot read them."""
    try:
        return canary.digest(tokenizer(list(canary.TEXTS), truncation=False, verbose=False)["input_ids"])
    except Exception:  # the model will be refused by what it cannot read, or has no texts to read
        return ""


def _library(checkpoint: Checkpoint, home: str, trusted: bool) -> Any:
    """The tokenizer as transformers loads it, in lower case where sentence-transformers is told so."""
    from transformers import AutoTokenizer
    from transformers.utils import logging

    files = Files(checkpoint, home)
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    backbone = files.read("sentence_bert_config.json")
    given = backbone.get("processor_kwargs") or backbone.get("tokenizer_args") or {}
    how = {**given, "local_files_only": True, "trust_remote_code": trusted}
    loaded = AutoTokenizer.from_pretrained(files.folder, **how)
    if files.lowers and loaded.is_fast:
        from tokenizers import normalizers

        own = loaded.backend_tokenizer.normalizer
        steps = [normalizers.Lowercase(), *([own] if own is not None else [])]
        loaded.backend_tokenizer.normalizer = normalizers.Sequence(steps)
    return loaded


def _replacement(checkpoint: Checkpoint, own: Vocabulary, loaded: Any, texts: Sequence[str]) -> Any:
    """A tokenizer that reads as the files say; ``loaded`` is the library's, None where it has none.

    :raises Unavailable: where none can be made, with the library's and the files' reading of one text.
    """
    try:
        made = own.make(loaded)
        if template := getattr(loaded, "chat_template", None):
            made.chat_template = template
    except Exception as error:  # a broken file shows in as many ways as there are files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        rows = [] if loaded is None else [*map(str, _differences(own, loaded, texts)), own.other(loaded)]
        raise Unavailable(
            f"{checkpoint.model}: the library does not read it as {own.source} does ({(rows or ['it cannot'])[0]}), "
            f"and no tokenizer that does can be made: {reason}"
        ) from error
    if wrong := _differences(own, made, texts):
        raise Unavailable(f"{checkpoint.model}: {own.source} cannot be read by any library at hand: {wrong[0]}")
    return made


def _notes(checkpoint: Checkpoint, home: str, own: Vocabulary) -> tuple[str, ...]:
    """Special ids that ``config.json`` has otherwise than the tokenizer's files, and a first token that is left out."""
    config = checkpoint.read(f"{home}/config.json")
    notes = []
    for key in NAMED:
        said, place = config.get(f"{key}_id"), own.token_ids.get(own.named.get(key, ""))
        wanted = said if isinstance(said, list) else [said]
        if wanted and type(wanted[0]) is int and place is not None and place not in wanted:
            notes.append(f"{key} {own.named[key]!r} has the id {place}, config.json says {wanted[0]}")
    first = own.named.get("cls_token", "")
    place = own.token_ids.get(first)
    if config.get("model_type") in _WITH_CLS and place is not None and place not in own.ids("", True):
        notes.append(f"its tokenizer puts no {first} before a text, though its files name one")
    return tuple(notes)


@contextmanager
def read_by_files(checkpoint: Checkpoint, verdicts: Mapping[str, Verdict]) -> Iterator[None]:
    """Give what sentence-transformers loads inside the tokenizers of the files, where the library's read otherwise.

    All that is made of a tokenizer while a model is loaded (a skip list, markers, ids of labels) is then made of the
    right one.
    """
    from sentence_transformers.base.modules import transformer as library

    own = library.AutoProcessor
    library.AutoProcessor = _Processors(own, checkpoint, verdicts)
    try:
        yield
    finally:
        library.AutoProcessor = own


@dataclass(frozen=True)
class _Processors:
    """Stands in for transformers' AutoProcessor."""

    library: Any
    checkpoint: Checkpoint
    verdicts: Mapping[str, Verdict]

    def from_pretrained(self, where: Any, **how: Any) -> Any:
        """The library's processor, with the tokenizer of the files where they are to be used."""
        home = self._home(Path(where, how.get("subfolder") or ""))
        verdict = self.verdicts.get(home or "") if home is not None else None
        if verdict is None or not verdict.difference:
            return self.library.from_pretrained(where, **how)
        try:
            processor = self.library.from_pretrained(where, **how)
        except Exception:  # the verdict has said so
            processor = None
        loaded = getattr(processor, "tokenizer", processor)
        own = vocabulary(self.checkpoint, home)
        if own is None:
            return processor
        made = _replacement(self.checkpoint, own, loaded, PROBES)
        if length := how.get("model_max_length"):
            made.model_max_length = length
        if loaded is processor:
            return made
        processor.tokenizer = made
        return processor

    def _home(self, folder: Path) -> str | None:
        """A folder's path within the checkpoint; None for one elsewhere."""
        try:
            inside = folder.resolve().relative_to(self.checkpoint.folder.resolve()).as_posix()
        except ValueError:
            return None
        return "" if inside == "." else inside


def look(checkpoint: Checkpoint, tokenizer: Any, texts: Sequence[str], trusted: bool = False) -> None:
    """Hold the tokenizer of a loaded model against the files on the first texts of a task.

    :param trusted: whether the checkpoint's own code may run.

    :raises Unavailable: for a text that it reads otherwise; the text is a probe from then on, so that the next run uses
        the files' reading, or says why it cannot.
    """
    own = vocabulary(checkpoint, trusted=trusted)
    if own is None:
        return
    if differences := _differences(own, tokenizer, [*PROBES, *texts]):
        state = _state(checkpoint.folder / checkpoint.home)
        keep("probes", state, sorted({*_remembered(state), differences[0].text}))
        raise Unavailable(
            f"{checkpoint.model}: {own.source} is read in another way than by its probes: {differences[0]}; "
            "this text is a probe from now on: run it again"
        )


def rows_of(transformer: Any) -> int | None:
    """How many rows the input embedding of a loaded transformer has; None where it has none that can be asked for."""
    try:
        table = transformer.model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return None
    weight = getattr(table, "weight", None)
    return None if weight is None else int(weight.shape[0])


def check_rows(model: str, transformer: Any) -> None:
    """Refuse a tokenizer whose special tokens have ids past the rows of the embedding.

    :raises Unavailable: naming the token, its id and the rows.
    """
    tokenizer, rows = transformer.tokenizer, rows_of(transformer)
    if rows is None or tokenizer is None:
        return
    used = {*tokenizer("", verbose=False)["input_ids"], tokenizer.pad_token_id} - {None}
    if past := sorted(place for place in used if place >= rows):
        raise Unavailable(f"{model}: {past_rows(tokenizer, past[0], rows)}")


def past_rows(tokenizer: Any, place: int, rows: int) -> str:
    """What is said of an id that an embedding has no row for."""
    token = tokenizer.convert_ids_to_tokens(place)
    return (
        f"its token {token!r} has the id {place}, its embedding {rows} rows: "
        "do the tokenizer and the weights belong together?"
    )
