"""JSTS: graded similarity (0-5) of image captions. JGLUE v1.3; contents as in v1.1 and v1.2."""

from jbench import STS, Pairs, Source, github

REPO, COMMIT = "yahoojapan/JGLUE", "6f071c09316baae89c3d083a90985b4b1cb9968c"
VALID = github(
    REPO,
    COMMIT,
    "datasets/jsts-v1.3/valid-v1.3.json",
    sha256="7c0bdcb381179f01096c635d058853d96da1e1248d23fe3f5c2beed5dc2d9b1a",
)
TRAIN = github(
    REPO,
    COMMIT,
    "datasets/jsts-v1.3/train-v1.3.json",
    sha256="db6bd653270ac9786759920413a48973164d322998f34dd4ae32202af5e66969",
)


def pairs(source: Source) -> Pairs:
    rows = source.jsonl()
    return Pairs([r["sentence1"] for r in rows], [r["sentence2"] for r in rows], [r["label"] for r in rows])


def task(protocol: str, source: Source, split: str, count: int) -> STS:
    return STS(
        name="jsts",
        protocol=protocol,
        version=1,
        load=lambda: pairs(source),
        license="CC-BY-SA-4.0",
        citation="Kurihara et al., JGLUE (LREC 2022)",
        sources=(f"JGLUE/JSTS:{split}",),
        expects={"pairs": count},
    )


TASKS = [task("valid1457", VALID, "validation", 1457), task("train12451", TRAIN, "train", 12451)]
