"""Score three texts with a model, and print what it took: ``python -m tests.long_texts MODEL LENGTH``, as JSON."""

import json
import resource
import sys

from jbench import Texts, open_model


def texts(length: int) -> list[str]:
    """Kanji and kana without separators, one kanji repeated, one Latin word: of ``length`` characters each."""
    sentence = "味噌は半年ほど寝かせて造るものだが近所の図書館で借りた本には三年とも書いてあった"
    word = "internationalisation"
    return [
        (sentence * (length // len(sentence) + 1))[:length],
        "漢" * length,
        (word * (length // len(word) + 1))[:length],
    ]


def main() -> None:
    """Search the three texts with two queries."""
    model = open_model(sys.argv[1])
    queries = Texts(["q1", "q2"], ["味噌は三年寝かせる", "漢字"])
    run = model.search(queries, Texts(["kana", "kanji", "latin"], texts(int(sys.argv[2]))), 3)
    report = model.report()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB on Linux
    counts = {"truncated": report.get("truncated", 0), "lost": report.get("tokens_lost", 0)}
    print(json.dumps({"peak": peak, "run": run.to_dict(), **counts}))


if __name__ == "__main__":
    main()
