"""MIRACL, Japanese dev: 860 questions, passages of Wikipedia, under three protocols.

`jacolbert156722` is that of the JaColBERT report (arXiv 2312.16144): texts without titles; each
query's positives and negatives, then its first 200 hard negatives in corpus order; one document a
text. `jee-pool300` is JapaneseEmbeddingEval's Recall@30: for each query its positives and what else
its first 300 hard negatives hold. `dev-full` is the whole corpus, as mteb joins title and text.

Not the report's: of two positives with one text its recall expects a hit each, where the pool has one
document to hit. Here they are one positive, so that recall can reach 1; other queries are as there.

Topics and judgements are Anserini's copies of miracl/miracl's own. The corpus is pinned by the
object ids that the hub publishes; the hard negatives (of multilingual-e5-base) have no known sha256.
"""

import json

from jbench import Collection, Reranking, Retrieval, Rows, Texts, github, hub, rows

TOPICS_SHA256, QRELS_SHA256, *DOCS_SHA256 = (
    "1904b9bf0fc52e1b684daa7539b2bcfdd90122e603ffbcf6b5065a0e210525b0",
    "1e2a60ba96b889bd076adea950e7e83a2d083f671955a5ab3e9bdc332b492e5f",
    "c205bf3cece2098f3357fdb1b096e9ed0fd257632dd52b8d9095d01e07c61172",
    "2d1b8be5ab579604ccc483bebe170dec2b5d0fdcf54a7eb4d1f3dada72795306",
    "8992797e86cb16e9be395aae7c68ee2f7be043af638863fb0d36f6cdeb7a02a8",
    "8d0f12ce5aa5b3feca45c80ba4aed6abaa4a01d754e309bd8004bd8f181ba92b",
    "c32936efa13c72a32c75986dac3737c7d85db103ffabc7d8023320fac7446c57",
    "4fbf518b8ec8f57298fa23ffe52863410641173ee368a244863e60ed8b985e62",
    "6d55eb02dfa62b79662e3829a3ef223312374699d528b5af6643e0678bd6d517",
    "fe74fbd9c3965bffc848f74296e8f3fd7db9d63c1b4c62903d1a9779276a963c",
    "0abb18418c92d8013cad727dfffcc3fa719c14f818654f9800d7ebee8748f83a",
    "1129864292948a2c8d479aef61ba020d4870cabc3d28e3baed5c8cabee07fe98",
    "859b4cce1009e965e3663ce606d49de355ee82362028f6b6ecd0bf3f237b85ec",
    "216585793ed7c836eb66a4b5c982025e79a0d0184715d24a404ce0ee009931ce",
    "92a950e46775d5c2aebe5e58f1498ddcf16e3e35dafb07f4f04fd3cd9cb64ba3",
    "98acce36aa778df24f24be39965a2654cf7fbd923c09acc9eede8d91dc2b081a",
)
TOOLS = ("castorini/anserini-tools", "5b819c1a45c8a0a3ec9426f476694f44a29dfaf3")
TOPICS = github(*TOOLS, "topics/topics.miracl-v1.0-ja-dev.tsv", TOPICS_SHA256)
QRELS = github(*TOOLS, "qrels/qrels.miracl-v1.0-ja-dev.tsv", QRELS_SHA256)
CORPUS = ("miracl/miracl-corpus", "d921ec7e349ce0d28daf30b2da9da5ee698bef0d")
DOCS = [hub(*CORPUS, f"miracl-corpus-v1.0-ja/docs-{i}.jsonl.gz", sha256) for i, sha256 in enumerate(DOCS_SHA256)]
JEE = ("oshizo/JapaneseEmbeddingEval", "bf7a799a2e4249a4ae11265a55dd74215a763345")
MINED = github(*JEE, "miracl_hard_negs_1000.json")


def given() -> tuple[Texts, dict[str, dict[str, int]], Rows]:
    topics = TOPICS.topics()
    return Texts(list(topics), list(topics.values())), QRELS.qrels(), rows(DOCS, "docid", "title", "text")


def hard(queries: Texts) -> dict[str, list[str]]:
    with MINED.reading("each query's hard negatives") as found:
        mined = json.loads(found.path.read_bytes())
        return {query: mined[query]["docids"] for query in [*queries.ids, *mined]}


def jacolbert() -> Collection:
    queries, qrels, corpus = given()
    judged = [d for query in queries.ids for d in sorted(qrels[query], key=lambda d: -qrels[query][d])]
    mined = [d for found in hard(queries).values() for d in found[:200]]
    places = [*corpus.find("docid", judged).values(), *sorted(corpus.find("docid", mined).values())]
    documents, kept = corpus.distinct("docid", "text", places)
    return Collection(queries, documents, {q: {kept[d]: 1 for d in qrels[q] if qrels[q][d]} for q in queries.ids})


def jee() -> Collection:
    queries, qrels, corpus = given()
    mined = hard(queries)
    qrels = {q: {d: 1 for d in qrels[q] if qrels[q][d]} for q in queries.ids}
    pools = {q: list(dict.fromkeys([*qrels[q], *mined[q][:300]])) for q in queries.ids}
    places = corpus.find("docid", (d for pool in pools.values() for d in pool))
    documents = Texts(list(places), corpus.column("title", "text").select(places.values()))
    return Collection(queries, documents, qrels, pools)


def full() -> Collection:
    queries, qrels, corpus = given()
    texts = corpus.column("title", "text", join=lambda parts: " ".join(parts).strip())
    return Collection(queries, Texts(corpus.column("docid"), texts), qrels)


COMMON = {"name": "miracl-ja", "version": 1, "group": "hub", "license": "Apache-2.0", "sources": ("MIRACL-ja:dev",)}
COMMON |= {"citation": "Zhang et al., MIRACL (TACL 2023)", "queries": TOPICS.topics}
SHALLOW, DEEP = ("recall@3", "recall@5", "recall@10", "ndcg@10"), ("ndcg@10", "recall@100")
POOL = {"queries": 860, "documents": 156722}
DEV = {"queries": 860, "relevant": 1790}
TASKS = [
    Retrieval(protocol="jacolbert156722", load=jacolbert, measures=SHALLOW, main="recall@3", expects=POOL, **COMMON),
    Reranking(
        protocol="jee-pool300", load=jee, measures=("micro-recall@30",), main="micro-recall@30", expects=DEV, **COMMON
    ),
    Retrieval(protocol="dev-full", load=full, measures=DEEP, expects={**DEV, "documents": 6953614}, **COMMON),
]
