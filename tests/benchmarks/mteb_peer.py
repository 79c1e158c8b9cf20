"""Tasks by mteb, as one would run them: ``python -m tests.benchmarks.mteb_peer CHECKPOINT ROWS.json``."""

import json
import sys

from tests.benchmarks.rows import device
from tests.mteb_rows import mteb_task


def main(checkpoint, path):
    import mteb
    from sentence_transformers import SentenceTransformer

    with open(path, encoding="utf-8") as file:
        tasks = [mteb_task(name, rows) for name, rows in json.load(file).items()]
    found = mteb.evaluate(SentenceTransformer(checkpoint, device=device()), tasks, cache=None, show_progress_bar=False)
    print(json.dumps({one.task_name: one.scores["test"][0]["main_score"] for one in found.task_results}))


if __name__ == "__main__":
    main(*sys.argv[1:])
