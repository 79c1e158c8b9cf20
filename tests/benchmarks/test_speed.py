"""Speed as ratios: jbench and a peer in turn, in one run, whole processes where start-up counts.

``nox -s bench`` prints each median ratio with its spread. No time is asserted: machines are noisy.
"""

import json
import statistics
import subprocess
import sys
import time

ROUNDS = 7
VERBS = ("run", "tasks", "models", "fetch", "board", "compare", "overlap")
EMPTY_APP = (
    "import typer\napp = typer.Typer()\n" + "".join(f"@app.command()\ndef {v}(): pass\n" for v in VERBS) + "app()\n"
)


def ratio(benchmark, ours, theirs, rounds=ROUNDS):
    """Run the two in turn; record and print the ratio ours / theirs of each round."""

    def timed(work):
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    timed(ours), timed(theirs)
    pairs = [(timed(ours), timed(theirs)) for _ in range(rounds)]
    ratios = sorted(a / b for a, b in pairs)
    benchmark.extra_info.update(ratios=ratios, ours=[a for a, _ in pairs], theirs=[b for _, b in pairs])
    benchmark.pedantic(ours, rounds=1)
    row = {"ratio": statistics.median(ratios), "least": ratios[0], "most": ratios[-1], "rounds": rounds}
    print(f"\n{benchmark.name}: {json.dumps({k: round(v, 3) for k, v in row.items()})}")


def command(*arguments):
    def run():
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

    return run


def test_help_against_an_empty_typer_app(benchmark, tmp_path):
    (tmp_path / "empty.py").write_text(EMPTY_APP)
    ratio(benchmark, command("-m", "jbench", "--help"), command(str(tmp_path / "empty.py"), "--help"), rounds=15)


def test_encoding_against_sentence_transformers(benchmark, mirror, dense_bert):
    from sentence_transformers import SentenceTransformer

    from jbench.models.dense import dense
    from jbench.models.locate import locate
    from jbench.models.options import Options
    from jbench.registry import find_tasks

    data = find_tasks(["jsts@valid1457"])[0].data()
    texts = [*data.left, *data.right]
    peer = SentenceTransformer(str(dense_bert), device="cpu")

    def ours():
        dense(locate(str(dense_bert), None), Options())._encode(texts, "sts")

    ratio(benchmark, ours, lambda: peer.encode(texts, batch_size=128), rounds=5)


def test_a_finished_run_against_its_first(benchmark, mirror, tmp_path):
    again = ["-m", "jbench", "run", "bm25:mecab", "--task", "jsquad@valid1145", "--results"]
    first = command(*again, str(tmp_path / "new"), "--overwrite")
    ratio(benchmark, command(*again, str(tmp_path / "kept")), first, rounds=5)
