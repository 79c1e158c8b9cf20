"""JSQuAD: find the paragraph a question was asked of. JGLUE v1.3; validation as in v1.1 and v1.2.

`valid1145` is the protocol of the JaColBERT report (arXiv 2312.16144): every paragraph a document,
its text as it stands, "<title> [SEP] <body>". `valid1145-nohead` leaves title and [SEP] out.
"""

from jbench import QA, Collection, github

FILE = github(
    "yahoojapan/JGLUE",
    "6f071c09316baae89c3d083a90985b4b1cb9968c",
    "datasets/jsquad-v1.3/valid-v1.3.json",
    sha256="fb0a57a35281ff03bbe7f0e878cff5b577985fbe6fcb242e7e8ddb63d1c0ab11",
)


def paragraph(question_id: str) -> str:
    """a10336p0q1 asks of paragraph a10336p0."""
    return question_id.rsplit("q", 1)[0]


def load(headline: bool) -> Collection:
    queries, documents, qrels = {}, {}, {}
    for article in FILE.json()["data"]:
        for part in article["paragraphs"]:
            name = paragraph(part["qas"][0]["id"])
            documents[name] = part["context"] if headline else part["context"].split(" [SEP] ", 1)[1]
            for question in part["qas"]:
                queries[question["id"]] = question["question"]
                qrels[question["id"]] = {name: 1}
    return Collection.of(queries, documents, qrels)


def task(protocol: str, headline: bool) -> QA:
    return QA(
        name="jsquad",
        protocol=protocol,
        version=1,
        load=lambda: load(headline),
        license="CC-BY-SA-4.0",
        citation="Kurihara et al., JGLUE (LREC 2022)",
        sources=("JGLUE/JSQuAD:validation",),
        expects={"queries": 4442, "documents": 1145, "relevant": 4442},
        cluster=paragraph,
    )


TASKS = [task("valid1145", headline=True), task("valid1145-nohead", headline=False)]
