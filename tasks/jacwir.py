"""JaCWIR: rank 100 web pages, "title description", for each of 5,000 queries; one of them is the page asked for.

The texts are the pages' own, for research and non-commercial evaluation only: never vendor them.
"""

from jbench import Collection, Reranking, Texts, hub, rows

REPO, COMMIT = "hotchpotch/JaCWIR", "dab93fba1ec8bb500e580e426f82a427b752f4cb"
QUERIES = hub(REPO, COMMIT, "eval/eval-00000-of-00001.parquet")
PAGES = hub(REPO, COMMIT, "collection/collection-00000-of-00001.parquet")


def load() -> Collection:
    queries, qrels, candidates = {}, {}, {}
    for r in QUERIES.parquet("query", "positive", "negatives"):
        name = f"q_id##{r['positive']}"
        queries[name], qrels[name] = r["query"], {r["positive"]: 1}
        candidates[name] = [r["positive"], *r["negatives"]]
    pages = rows([PAGES], "doc_id", "title", "description")
    documents = Texts(list(pages.column("doc_id")), pages.column("title", "description"))
    return Collection(Texts(list(queries), list(queries.values())), documents, qrels, candidates)


TASKS = [
    Reranking(
        name="jacwir",
        protocol="eval",
        version=1,
        group="hub",
        load=load,
        measures=("map@10", "hit@10"),
        main="map@10",
        license="research and non-commercial evaluation only",
        citation="Tateno, JaCWIR (2024)",
        sources=("JaCWIR:eval",),
        expects={"queries": 5000, "relevant": 5000},
    )
]
