"""What every adapter with weights shares: its card, loading, tokenizing, what it reports.

The card is made from the checkpoint's files alone; weights are loaded when first needed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from threading import RLock
from typing import Any

from jbench import manifest
from jbench.cpu import bf16_units, quicken
from jbench.encode import TOKENS_PER_BATCH, Encoder, Reader, Tally, Tokenized
from jbench.models import reading, segment, tokens, windows
from jbench.models.checkpoint import Checkpoint
from jbench.models.module import LIBRARIES, Facts, all_parts, cannot_load, counts_padding, quietly
from jbench.models.opened import loading
from jbench.models.options import DTYPES, Options
from jbench.models.own_code import check_code
from jbench.models.prompts import namesake, resolve
from jbench.models.templates import CHAT
from jbench.store import Kept, Memory, opened
from jbench.types import Card, Unavailable, UsageError, unknown

DEVICES = ("cpu", "cuda", "mps", "xpu", "npu", "hpu")
LENGTHS = ("max_length", "query_length", "document_length")
COMPARED = ("similarity", "document_bits", "dimension", "precision")
"""Settings that say how vectors are compared, and touch none of those that the model makes."""

_SHORT = 512  # tokens
_LOOKED_AT = 64  # texts of a task, and letters of each, that are held against the checkpoint's files
_UNSAID = ("skiplist", "adapter_revision")
_WORDS = ("fugashi", "ipadic", "unidic", "unidic-lite", "SudachiPy", "SudachiDict-core")  # what finds a text's words
_SIZES = ("parameters", "dimension", "longest_input")
_ABSOLUTE = {"bert", "roberta", "xlm-roberta", "distilbert", "luke", "mluke", "electra", "camembert"}
# These fail on a text that is longer than their table of positions; others count distances.
_DRIVERS = ("/dev/nvidiactl", "/dev/nvmap", "/dev/dxg", "/dev/kfd")

Parse = Callable[[str, str], Any]
"""A setting's key and value, as typed, to what the record holds; `UsageError` for what it is not."""


def one_of(*known: str) -> Parse:
    """A setting with named values."""

    def parse(key: str, value: str) -> str:
        if value not in known:
            raise unknown(key, value, known)
        return value

    return parse


def asked_of(adapter: str, options: Options, known: Mapping[str, Parse]) -> dict[str, Any]:
    """``--model-set`` understood by the settings that ``adapter`` has; ``segmenter`` every adapter has.

    :raises UsageError: for a setting or a value that it has not.
    """
    given = {key: value for key, value in options.settings.items() if key != "segmenter"}
    if stray := [key for key in given if key not in known]:
        raise unknown(f"setting of a {adapter} model", stray[0], [*known, "segmenter"])
    return {key: known[key](key, value) for key, value in given.items()}


def within_positions(
    checkpoint: Checkpoint, files: Mapping[str, Any], asked: Mapping[str, Any], told: Facts | None = None
) -> None:
    """Refuse a length, asked for or the checkpoint's own, that the model has no positions for.

    ``told`` is what the loaded module says; where it was not asked, the checkpoint's files are.

    :raises UsageError: naming the setting.
    """
    positions = checkpoint.positions if told is None else told.positions
    kind = checkpoint.read(f"{checkpoint.home}/config.json").get("model_type")
    absolute = kind in _ABSOLUTE if told is None else told.absolute
    for key in LENGTHS:
        length = {**files, **asked}.get(key)
        if length and positions and length > positions and (key in asked or absolute):
            advice = "" if key in asked else f"; give --model-set {key}={positions}"
            raise UsageError(f"{key}={length}: {checkpoint.model} has {positions} positions{advice}")


def card(
    checkpoint: Checkpoint,
    options: Options,
    adapter: str,
    revision: str,
    files: Mapping[str, Any],
    asked: Mapping[str, Any],
    own_prompts: Mapping[str, str] | None,
    by_hand: bool,
) -> Card:
    """Who this model is: ``files`` say how it reads, ``asked`` what is to be otherwise.

    ``own_prompts`` are those it carries by its own names; None for a model that takes none.

    :raises UsageError: for an unknown role, dtype, device or segmenter, or for code of the
        checkpoint's own that nobody allowed.
    """
    check_code(checkpoint, options.trust_remote_code)
    options.only(checkpoint.model, prompt=own_prompts is not None, model_set=True, device=True, dtype=True)
    if options.dtype and options.dtype not in DTYPES:
        raise unknown("dtype", options.dtype, DTYPES)
    if options.device and options.device.partition(":")[0] not in DEVICES:
        raise unknown("device", options.device, ("cuda",) if options.device == "gpu" else DEVICES)
    dtype = DTYPES[options.dtype or "fp32"]
    settings: dict[str, Any] = {**files, **asked, "dtype": dtype, "adapter_revision": revision}
    # Only what differs from the checkpoint's own ways makes a row of its own.
    variant: dict[str, Any] = {key: asked[key] for key in sorted(asked) if asked[key] != files.get(key)}
    if dtype != "float32":
        variant["dtype"] = dtype
    if options.trust_remote_code:
        settings["trust_remote_code"] = variant["trust_remote_code"] = True
    if by_hand and _kind(checkpoint) != adapter:
        variant["adapter"] = adapter
    wanted = segment.segmenter(checkpoint.known_as, checkpoint.base_model, options.settings.get("segmenter"))
    if wanted is not None:
        settings["segmenter"] = wanted if wanted == "none" else f"{wanted} {segment.version()}"
        if wanted != segment.segmenter(checkpoint.known_as, checkpoint.base_model, None):
            variant["segmenter"] = wanted
    shown = {key: value for key, value in settings.items() if key not in _UNSAID and value not in (None, "", False)}
    options.say(f"{checkpoint.model}: {', '.join(f'{key} {value}' for key, value in shown.items())}")
    prompts: dict[str, str] = {}
    unprompted: tuple[str, ...] = ()
    if own_prompts is not None:
        prompts, unprompted = _prompts(checkpoint, options, adapter, own_prompts, variant)
    verdicts = reading.judged(checkpoint, options.trust_remote_code, tuple(prompts.values()))
    if sources := dict.fromkeys(verdict.source for verdict in verdicts.values() if verdict.difference):
        settings["tokenizer"] = " + ".join(sources)
    for verdict in verdicts.values():
        for note in verdict.notes:
            options.say(f"{checkpoint.model}: {note}")
        if verdict.difference:
            how = f"read as {verdict.source} says, the library reads otherwise: {verdict.difference}"
            options.say(f"{checkpoint.model}: {how}")
    training = manifest.of_checkpoint(checkpoint.original or checkpoint.folder, options.say)
    canary = "+".join(verdict.canary for verdict in verdicts.values() if verdict.canary)
    return Card(
        checkpoint.model,
        checkpoint.revision,
        adapter,
        prompts,
        settings,
        variant,
        unprompted,
        checkpoint.identity.digest,
        given=checkpoint.given,
        training=training,
        canary=canary,
        check=checkpoint.identity.check,
    )


def _kind(checkpoint: Checkpoint) -> str | None:
    try:
        return checkpoint.kind[0]
    except UsageError:  # its files do not decide
        return None


def _prompts(
    checkpoint: Checkpoint, options: Options, adapter: str, own: Mapping[str, str], variant: dict[str, Any]
) -> tuple[dict[str, str], tuple[str, ...]]:
    # What a late-interaction model was trained with are its markers, and a reranker has a prompt only where its own
    # files or its template say so: never those of its base.
    alone = adapter in ("colbert", "cross-encoder")
    known_as = (None, None, own) if alone else (checkpoint.known_as, checkpoint.base_model, own)
    usual, _ = resolve(*known_as, {})
    prompts, unprompted = resolve(*known_as, options.prompts)
    if changed := {role: text for role, text in prompts.items() if text != usual.get(role, "")}:
        variant["prompts"] = changed
    if not alone and not prompts and not options.prompts and (family := namesake(checkpoint.model)):
        unprompted = tuple(sorted(family.given))
    said = ", ".join(f"{role} {prompt!r}" for role, prompt in sorted(prompts.items())) or "none"
    ways = "give it with --prompt, or --name HUBID if this is a copy"
    lacks = f" ({', '.join(unprompted)} would have one in its family: {ways})" if unprompted else ""
    options.say(f"{checkpoint.model}: prompts {said}{lacks}")
    return prompts, unprompted


@dataclass(frozen=True)
class Weights:
    """A checkpoint's weights, loaded when first asked for, and the tally of what they did.

    ``make(folder, device, arguments)`` loads them; ``arguments`` are those that every class of the
    library takes: from disk alone, as safetensors, in the card's dtype. ``shape`` says of the loaded model its longest
    input in tokens (``longest_input``) and, where it makes vectors, their ``dimension``. Who uses the tokenizer holds
    the lock ``tokenizing``: it cannot be used by two threads.
    """

    checkpoint: Checkpoint
    options: Options
    card: Card
    make: Callable[[str, str, dict[str, Any]], Any]
    shape: Callable[[Any], dict[str, int | None]]
    tally: Tally = field(default_factory=Tally)
    tokenizing: Any = field(default_factory=RLock, repr=False)
    words: dict[str, str] = field(default_factory=dict, repr=False)
    looked: list[str] = field(default_factory=list, repr=False)

    @cached_property
    def module(self) -> Any:
        """The library's model, in evaluation mode, every weight read from the files.

        :raises Unavailable: in one line, whatever the library found wrong.
        """
        with self.tally.preparing():
            return self._load()

    @cached_property
    def kept(self) -> Kept:
        """What is known of texts: in the store on disk where the options ask for it, else for this process alone."""
        if not self.options.store:
            return Memory()
        card = self.card
        settings = {key: value for key, value in card.settings.items() if key not in COMPARED}
        versions = {name: version(name) for name in LIBRARIES}
        more = _WORDS if self._cuts_words else ("sentencepiece",) if "tokenizer" in settings else ()
        for name in more:
            with suppress(PackageNotFoundError):
                versions[name] = version(name)
        facts = {
            "digest": card.digest or card.revision,
            "adapter": card.adapter,
            "settings": settings,
            "versions": versions,
        }

        def about() -> dict[str, Any]:
            return {"model": card.model, "revision": card.revision, **facts, **self.sizes}

        return opened(facts, about, card.settings["dtype"], self.options.say, card.check)

    @property
    def _cuts_words(self) -> bool:
        """Whether its tokenizer is BertJapaneseTokenizer, as either configuration may say."""
        named = (self.checkpoint.read(f"{self.checkpoint.home}/{name}.json") for name in ("tokenizer_config", "config"))
        return any(str(said.get("tokenizer_class")).startswith("BertJapanese") for said in named)

    def encoder(self, reader: Callable[[], Reader]) -> Encoder:
        """What encodes by ``reader``, and knows what is kept."""
        return Encoder(reader, self.options.track, self.tally, self.kept)

    @property
    def sizes(self) -> dict[str, int]:
        """``parameters``, and what ``shape`` says; where no weights are loaded, as the store was told them."""
        if "module" not in vars(self) and (told := self.kept.told()):
            return {key: told[key] for key in _SIZES if key in told}
        found = {"parameters": sum(p.numel() for p in self.module.parameters()), **self.shape(self.module)}
        return {key: found[key] for key in _SIZES if found.get(key) is not None}

    def check_dimension(self) -> None:
        """Refuse to keep more numbers of a vector than there are; loads the weights where nothing else tells.

        :raises UsageError: naming both.
        """
        asked = self.card.settings.get("dimension")
        if asked is None:
            return
        whole = self.sizes.get("dimension")
        if whole is not None and asked > whole:
            raise UsageError(f"dimension={asked}: {self.card.model} has {whole}, of which fewer can be kept")

    @property
    def device(self) -> str:
        """Where it computes: as asked, else on a GPU that torch sees, else on the CPU.

        :raises UsageError: for a kind of GPU asked for that torch does not see.
        """
        if asked := self.options.device:
            _check_device(asked)
            return asked
        if "torch" not in sys.modules and sys.platform == "linux" and not any(map(os.path.exists, _DRIVERS)):
            return "cpu"  # and torch, which takes a second to import, need not be asked
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    def _load(self) -> Any:
        import torch
        from sentence_transformers.base.modules import Transformer

        self.checkpoint.check_weights()
        device = self.device
        dtype, lengths = self.card.settings["dtype"], [self.card.settings.get(key) or 0 for key in LENGTHS]
        model_kwargs: dict[str, Any] = {"dtype": getattr(torch, dtype), "use_safetensors": True}
        if device == "cpu" and dtype == "bfloat16" and bf16_units() and 0 < max(lengths) <= _SHORT:
            # Torch's fused attention is slower there (as in training); this one holds all scores of a batch at once.
            model_kwargs["attn_implementation"] = "eager"
        arguments = {
            "model_kwargs": model_kwargs,
            "trust_remote_code": self.options.trust_remote_code,
            "local_files_only": True,
        }
        try:
            prompts = tuple(self.card.prompts.values())
            verdicts = reading.judged(self.checkpoint, self.options.trust_remote_code, prompts)
            with (
                quietly(),
                loading(self.checkpoint, self.options.trust_remote_code) as folder,
                reading.read_by_files(replace(self.checkpoint, folder=folder), verdicts),
            ):
                module = self.make(str(folder), device, arguments)
            _check_complete(self.checkpoint, module)
            for part in all_parts(module):
                if isinstance(part, Transformer) and part.tokenizer is not None:
                    reading.check_rows(self.card.model, part)
                    windows.bound(part.tokenizer)
            if isinstance(module[0], Transformer):
                _check_reading(self.card, module)
        except (Unavailable, UsageError):
            raise
        except Exception as error:  # a checkpoint can be broken in as many ways as it has files
            raise cannot_load(self.checkpoint.model, error) from error
        for part in all_parts(module):
            _compute_in(getattr(torch, dtype), part)
        if (length := self.card.settings.get("max_length")) is not None:
            module.max_seq_length = length
        quicken(module)
        return module.eval()

    @property
    def budget(self) -> int:
        """How many tokens a batch may cost on the device."""
        return TOKENS_PER_BATCH["cpu" if self.module.device.type == "cpu" else "cuda"]

    def said(self, texts: Sequence[str], prompt: str = "") -> list[str]:
        """The texts as the model is to read them: in words where the segmenter asks for it, behind the prompt."""
        if self.card.settings.get("segmenter", "none") != "none":
            self._segment(texts)
            texts = [self.words[text] for text in texts]
        said = [prompt + text for text in texts]
        self._look(said)
        return said

    def _look(self, texts: Sequence[str]) -> None:
        """Hold the tokenizer against the checkpoint's files on the first texts that it is given."""
        from sentence_transformers.base.modules import Transformer

        if not self.looked and isinstance(self.module[0], Transformer):
            self.looked.extend(text[:_LOOKED_AT] for text in texts[:_LOOKED_AT])
            with self.tokenizing:
                reading.look(self.checkpoint, self.module.tokenizer, self.looked, self.options.trust_remote_code)

    def _segment(self, texts: Sequence[str]) -> None:
        """Fill ``words``, so that a text that stands in many pairs is segmented once."""
        if len(self.words) > tokens.TEXTS_AT_ONCE:
            self.words.clear()
        new = [text for text in dict.fromkeys(texts) if text not in self.words]
        self.words.update(zip(new, segment.jumanpp(new), strict=True))

    def tokenized(self, texts: Sequence[Any], length: int | None, tokenizer: Any = None) -> Tokenized:
        """`tokens.tokenize` with the model's tokenizer, or with the one that is named."""
        with self.tokenizing:
            return self.within_rows(tokens.tokenize(tokenizer or self.module.tokenizer, texts, length))

    def within_rows(self, tokenized: Tokenized) -> Tokenized:
        """The same, whose ids all have a row in the embedding.

        :raises Unavailable: naming the first that has none, and the rows.
        """
        if (rows := reading.rows_of(self.module[0])) is not None:
            highest = max((max(row["input_ids"], default=0) for row in tokenized.items), default=0)
            if highest >= rows:
                raise Unavailable(f"{self.card.model}: {reading.past_rows(self.module.tokenizer, highest, rows)}")
        return tokenized

    def padded(self, rows: Sequence[Mapping[str, list[int]]], entry: Any = None) -> dict[str, Any]:
        """`tokens.pad` for ``entry``, the module that reads them; the first one where none is named.

        A tokenizer that pads on the left would move a text along a table of absolute positions, by as much as other
        texts of the batch are longer; so each token's position is given, or the padding is put on the right where the
        model takes none.
        """
        entry = self.module[0] if entry is None else entry
        tokenizer = entry.tokenizer
        if tokenizer.padding_side == "right" or not counts_padding(entry):
            return tokens.pad(tokenizer, rows, self.module.device)
        if "position_ids" not in entry._declared_forward_params:
            return tokens.pad(tokenizer, rows, self.module.device, side="right")
        batch = tokens.pad(tokenizer, rows, self.module.device)
        return batch | {"position_ids": (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)}

    def prompt_length(self, prompt: str, task: str | None = None) -> dict[str, int]:
        """The feature that a pooling looks at which leaves the prompt out."""
        told = {} if task is None else {"task": task}
        with self.tokenizing:
            features = self.module.preprocess([""], prompt=prompt, **told)
        return {key: length for key, length in features.items() if key == "prompt_length"}

    def report(self) -> dict[str, Any]:
        """What was done since the last report, on what, and what a document and a query cost; nothing before a text."""
        tally, loaded = self.tally.take(), "module" in vars(self)
        if not loaded and not tally.reused:
            return {}
        cost: dict[str, Any] = dict(self.sizes)
        if tally.documents:
            cost["bytes_per_document"] = round(2 * tally.stored / tally.documents, 1)
        if tally.shared:
            cost["bytes_shared"] = 2 * tally.shared
        return {
            "truncated": tally.truncated,
            "tokens_lost": tally.tokens_lost,
            "device": str(self.module.device) if loaded else "none",
            "rates": tally.rates(),
            "setup": tally.setup,
            "cost": cost,
        }


def _compute_in(dtype: Any, part: Any) -> None:
    """Have what stands beside a transformer compute in the dtype that the card says, whatever it was stored in."""
    from sentence_transformers.base.modules import Transformer

    if isinstance(part, Transformer):
        return
    for weight in part.parameters():
        if weight.is_floating_point() and weight.dtype != dtype:
            weight.data = weight.data.to(dtype)


def _check_device(device: str) -> None:
    kind = device.partition(":")[0]
    if kind in ("cuda", "mps"):
        import torch

        if not (torch.cuda if kind == "cuda" else torch.backends.mps).is_available():
            raise UsageError(f"--device {device}: this torch sees no {kind.upper()} device; leave it out, or use cpu")


def _check_reading(card: Card, module: Any) -> None:
    """Refuse what reads texts in a way that is not done here.

    :raises Unavailable: for a chat template, processing settings, a tokenizer that is empty or cannot pad.
    :raises UsageError: for a length that special tokens alone fill.
    """
    tokenizer = module.tokenizer
    if "message" in module[0].modality_config and card.adapter not in ("cross-encoder", "dense"):
        raise Unavailable(f"{card.model} reads texts through a chat template, which this version does not")
    known = {"chat_template"} if card.settings.get("template") == CHAT else set()
    stray = [key for key, value in module[0].processing_kwargs.items() if value and key not in known]
    if card.adapter != "dense" and stray:
        raise Unavailable(f"{card.model} sets processing_kwargs of {stray[0]}, which this version does not apply")
    if tokenizer is None or len(tokenizer) <= len(tokenizer.all_special_ids):
        raise Unavailable(f"{card.model}: no tokenizer in it; save it beside the weights")
    if tokenizer.pad_token_id is None and not hasattr(module[0].model, "score"):
        raise Unavailable(f"{card.model}: its tokenizer has no padding token, so texts cannot be read together")
    special = tokenizer.num_special_tokens_to_add(pair=card.adapter == "cross-encoder")
    for key in LENGTHS:
        if (length := card.settings.get(key)) is not None and length <= special:
            raise UsageError(f"{key}={length}: {card.model} adds {special} special tokens, which leaves no room")


def _check_complete(checkpoint: Checkpoint, module: Any) -> None:
    """Refuse a checkpoint with weights that the library fills at random.

    :raises Unavailable: naming one weight; the pooler of a model that no head reads may be missing.
    """
    from sentence_transformers.base.modules import Transformer

    named = {str(row["type"]).rsplit(".", 1)[-1] for row in checkpoint.modules}
    inline = "HF_ColBERT" in (checkpoint.read("config.json").get("architectures") or [])
    for part in list(module)[1:]:
        if getattr(part, "read_from_files", False):
            continue
        if not inline and type(part).__name__ not in named and any(True for _ in part.parameters()):
            raise Unavailable(
                f"{checkpoint.model} has no {type(part).__name__} of its own, and one of random weights would be used"
            )
    if isinstance(module[0], Transformer):
        check_filled(checkpoint, module[0], checkpoint.home)


def check_filled(checkpoint: Checkpoint, transformer: Any, home: str) -> None:
    """Refuse a transformer, from the folder ``home`` of a checkpoint, with weights that the library fills at random.

    :raises Unavailable: naming one weight; the pooler of a model that no head reads may be missing.
    """
    from safetensors import safe_open

    if checkpoint.read(f"{home}/adapter_config.json"):
        return  # an adapter's weights are laid over those of another checkpoint
    model, folder = transformer.model, checkpoint.folder / home
    headed = transformer.transformer_task == "sequence-classification"

    def matters(key: str) -> bool:
        return headed or "pooler." not in key

    held = set()
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="np") as file:
            held |= {key.removeprefix(f"{model.base_model_prefix}.") for key in file.keys()}  # noqa: SIM118
    needed = (key.removeprefix(f"{model.base_model_prefix}.") for key in model.state_dict() if matters(key))
    if all(key in held for key in needed):
        return
    # The library renames some keys as it reads them and ties others, so that only its own account is final.
    known = {"config": model.config, "dtype": model.dtype, "local_files_only": True, "use_safetensors": True}
    again = type(model).from_pretrained(folder, output_loading_info=True, **known)
    account = again[1] if isinstance(again, tuple) else {"missing_keys": ()}
    if missing := sorted(key for key in account["missing_keys"] if matters(key)):
        what = f"{len(missing)} weights, {missing[0]} among them, are missing"
        raise Unavailable(f"{checkpoint.model}: {what}: do config.json and the weights belong together?")
