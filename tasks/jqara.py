"""JQaRA: rank 100 Wikipedia passages for each of 1,667 quiz questions.

Judgements come from the public repository; so does the list of candidates, which every run file
there repeats and the random one therefore serves. Texts live on the hub: run files can be
measured without them.
"""

from jbench import Absent, Collection, Reranking, Texts, github

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
NO_TEXT = "jqara@test: the texts of hotchpotch/JQaRA are not read by this version; measure a run file with run:PATH"


def load() -> Collection:
    qrels: dict[str, dict[str, int]] = {}
    for query, _, document, grade in QRELS.fields():
        qrels.setdefault(query, {})[document] = int(grade)
    candidates = {query: sorted(documents) for query, documents in LISTS.run().items()}
    ids = sorted({d for documents in candidates.values() for d in documents})
    queries = Texts(list(qrels), Absent(len(qrels), NO_TEXT))
    return Collection(queries, Texts(ids, Absent(len(ids), NO_TEXT)), qrels, candidates)


TASKS = [
    Reranking(
        name="jqara",
        protocol="test",
        version=1,
        group="real, for run files",
        load=load,
        measures=("ndcg@10", "mrr@10", "ndcg@100", "mrr@100"),
        license="see the data set's card; run files MIT",
        citation="Tateno, JQaRA (2024)",
        sources=("JQaRA:test",),
        expects={"queries": 1667, "relevant": 16204},
    )
]
