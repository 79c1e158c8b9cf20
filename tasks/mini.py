"""mini: the embedded default. Texts written for this project; `jbench/assets/mini/README.md` tells how."""

from importlib.resources import files
from pathlib import Path

from jbench import QA, STS, Collection, Pairs, Reranking, Retrieval, Source, local

FOLDER = Path(str(files("jbench") / "assets" / "mini"))
STS_PAIRS = local(FOLDER / "sts.jsonl", "0642266c499a01fcabea146711d3f6505490f8e7d7b21b52e00737a2e59167ea")
PASSAGES = local(FOLDER / "passages.jsonl", "6c7438fafe6a88b7a012b84384894f3e6c20983d8f7e85a741a5570a5f208b01")
QUESTIONS = local(FOLDER / "questions.jsonl", "a9929037ae1c9c9e0e58a62efc7aeeb5c03dbfbfe6fa5dbd3043ddef3236d6be")
NEEDS = local(FOLDER / "needs.jsonl", "7bb46fe96bdc5271550c6413596e5746c5e2c748559e452a7f4a5e4d06156db3")
POOLS = local(FOLDER / "rerank-texts.jsonl", "a8401f0dde788d7acdc06faaf26628fdbfea3b353a779cd0bd90d842b005203d")
RERANK = local(FOLDER / "rerank-queries.jsonl", "f0c7f16ca530eb4a8a64611b93b75a8b9da221fce2d9eaec53f4ea638246e00b")
COMMON = {"protocol": "v1", "version": 1, "group": "embedded", "license": "CC-BY-4.0", "sources": ("jbench/mini:v1",)}


def texts(source: Source) -> dict[str, str]:
    return {r["id"]: r["text"] for r in source.jsonl()}


def sts() -> Pairs:
    rows = STS_PAIRS.jsonl()
    return Pairs([r["left"] for r in rows], [r["right"] for r in rows], [r["gold"] for r in rows])


def qa() -> Collection:
    return Collection.of(texts(QUESTIONS), texts(PASSAGES), {r["id"]: {r["passage"]: 1} for r in QUESTIONS.jsonl()})


def retrieval() -> Collection:
    qrels = {r["id"]: dict.fromkeys(r["relevant"], 1) for r in NEEDS.jsonl()}
    return Collection.of(texts(NEEDS), texts(PASSAGES), qrels)


def rerank() -> Collection:
    rows = RERANK.jsonl()
    pools: dict[str, list[str]] = {}
    for r in POOLS.jsonl():
        pools.setdefault(r["theme"], []).append(r["id"])
    qrels = {r["id"]: dict.fromkeys(r["relevant"], 1) for r in rows}
    return Collection.of(texts(RERANK), texts(POOLS), qrels, {r["id"]: pools[r["theme"]] for r in rows})


TASKS = [
    STS(name="mini-sts", load=sts, expects={"pairs": 270}, **COMMON),
    Retrieval(
        name="mini-retrieval",
        load=retrieval,
        expects={"queries": 80, "documents": 200},
        **COMMON,
    ),
    Reranking(name="mini-rerank", load=rerank, expects={"queries": 60, "documents": 300}, **COMMON),
    QA(name="mini-qa", load=qa, expects={"queries": 112, "documents": 200}, **COMMON),
]
