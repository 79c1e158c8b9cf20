"""JQaRA: rank 100 Wikipedia passages, "title text", for each of 1,667 quiz questions.

Judgements come from the public repository; so does the list of candidates, which every run file
there repeats and the random one therefore serves. Texts come from the hub when a model reads them:
a run file is measured without.
"""

from jbench import Collection, Deferred, Reranking, Texts, github, hub

REPO, COMMIT = "hotchpotch/JQaRA", "e2fa20e42e940473d976407494f9d572bbdbf99a"
RESULTS = "evaluator/data/eval_results"
QRELS = github(
    REPO,
    COMMIT,
    f"{RESULTS}/qrels/qrels.trec",
    sha256="8e64d4d97cdc98936f26aa466537353ab64b8f4fdf6158d0d51b25b61a4a0101",
)
LISTS = github(
    REPO,
    COMMIT,
    f"{RESULTS}/runs/random.lz4",
    sha256="f2317205e60b5c66e7af556fbe816def9e9b60346c2a62d05664f0756ed3db93",
)
TEXTS = hub(REPO, "6172542a3159fd43ade568d9d7267d1b3d364cc9", "data/test-00000-of-00001.parquet")


def questions() -> dict[str, str]:
    return {r["q_id"]: r["question"] for r in TEXTS.parquet("q_id", "question")}


def passages() -> dict[str, str]:
    rows = TEXTS.parquet("passage_row_id", "title", "text")
    return {str(r["passage_row_id"]): f"{r['title']} {r['text']}" for r in rows}


def load() -> Collection:
    qrels = QRELS.qrels()
    candidates = {query: sorted(documents) for query, documents in LISTS.run().items()}
    ids = sorted({d for documents in candidates.values() for d in documents})
    queries = Texts(list(qrels), Deferred(list(qrels), TEXTS, questions))
    return Collection(queries, Texts(ids, Deferred(ids, TEXTS, passages)), qrels, candidates)


TASKS = [
    Reranking(
        name="jqara",
        protocol="test",
        version=1,
        group="hub; run files need no texts",
        load=load,
        measures=("ndcg@10", "mrr@10", "ndcg@100", "mrr@100"),
        license="see the data set's card; run files MIT",
        citation="Tateno, JQaRA (2024)",
        sources=("JQaRA:test",),
        expects={"queries": 1667, "relevant": 16204},
    )
]
