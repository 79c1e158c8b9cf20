"""Mr. TyDi, Japanese test: 720 questions, passages of Wikipedia, under two protocols.

`rand100k-seed42` is that of the JaColBERT report (arXiv 2312.16144): texts without titles; the
positives in query order, then 100,000 passages that `random.seed(42); random.sample` draws, in
corpus order; one document a text. `test-full` is the whole corpus, "title text".

Not the report's: of two positives with one text its recall expects a hit each, where the sample has one
document to hit. Here they are one positive, so that recall can reach 1; other queries are as there.

Topics and judgements are Anserini's copies of castorini/mr-tydi's own.
"""

import random

from jbench import Collection, Retrieval, Rows, Texts, github, hub, rows

TOOLS = ("castorini/anserini-tools", "5b819c1a45c8a0a3ec9426f476694f44a29dfaf3")
TOPICS_SHA256, QRELS_SHA256 = (
    "014f75de7cd804b429598eb97fcb19b76dbcad02e2f9014a7ea73b757ac120d9",
    "669c6e24df07d6dc65cbe1a53de45a58eee1438e367c957e7dab2c9ef1d6a663",
)
TOPICS = github(*TOOLS, "topics/topics.mrtydi-v1.1-ja.test.txt.gz", TOPICS_SHA256)
QRELS = github(*TOOLS, "qrels/qrels.mrtydi-v1.1-ja.test.txt", QRELS_SHA256)
CORPUS = ("castorini/mr-tydi-corpus", "3a3aa212bbe94a8cc0dc858710a3dad49d532054")
DOCS = hub(*CORPUS, "mrtydi-v1.1-japanese/corpus.jsonl.gz")
SAMPLED = 100_000


def given() -> tuple[Texts, dict[str, dict[str, int]], Rows]:
    topics = TOPICS.topics()
    return Texts(list(topics), list(topics.values())), QRELS.qrels(), rows([DOCS], "docid", "title", "text")


def sampled() -> Collection:
    queries, qrels, corpus = given()
    positives = corpus.find("docid", (d for query in queries.ids for d in qrels[query]))
    drawn = random.Random(42).sample(range(len(corpus)), min(SAMPLED, len(corpus)))  # noqa: S311
    documents, kept = corpus.distinct("docid", "text", [*positives.values(), *sorted(drawn)])
    return Collection(queries, documents, {q: {kept[d]: 1 for d in qrels[q]} for q in queries.ids})


def full() -> Collection:
    queries, qrels, corpus = given()
    return Collection(queries, Texts(corpus.column("docid"), corpus.column("title", "text")), qrels)


COMMON = {"name": "mrtydi-ja", "version": 1, "group": "hub", "license": "Apache-2.0", "sources": ("Mr.TyDi-ja:test",)}
COMMON |= {"citation": "Zhang et al., Mr. TyDi (MRL 2021)", "queries": TOPICS.topics}
SHALLOW, DEEP = ("recall@3", "recall@5", "recall@10"), ("mrr@100", "recall@100")
POOL = {"queries": 720, "documents": 100242}
TEST = {"queries": 720, "relevant": 923}
TASKS = [
    Retrieval(protocol="rand100k-seed42", load=sampled, measures=SHALLOW, main="recall@3", expects=POOL, **COMMON),
    Retrieval(protocol="test-full", load=full, measures=DEEP, main="mrr@100", expects=TEST, **COMMON),
]
