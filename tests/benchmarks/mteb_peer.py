"""The three tasks by mteb, as one would run them: ``python mteb_peer.py CHECKPOINT DATA.json``; prints the scores."""

import json
import sys


def main(checkpoint, path):
    import mteb
    from datasets import Dataset, DatasetDict
    from mteb.abstasks import AbsTaskRetrieval, AbsTaskSTS
    from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
    from sentence_transformers import SentenceTransformer

    def about(name, kind, main):
        return mteb.TaskMetadata(
            name=name,
            description=name,
            reference=None,
            dataset={"path": "none/none", "revision": "0"},
            type=kind,
            category="t2t",
            modalities=["text"],
            eval_splits=["test"],
            eval_langs=["jpn-Jpan"],
            main_score=main,
        )

    def sts(name, rows):
        class Pairs(AbsTaskSTS):
            metadata = about(name, "STS", "cosine_spearman")
            min_score, max_score = 0, 5

            def load_data(self, *args, **kwargs):
                held = {"sentence1": rows["left"], "sentence2": rows["right"], "score": rows["gold"]}
                self.dataset = DatasetDict(test=Dataset.from_dict(held))
                self.data_loaded = True

        return Pairs()

    def retrieval(name, rows):
        class Collection(AbsTaskRetrieval):
            metadata = about(name, "Retrieval", "recall_at_1")

            def load_data(self, *args, **kwargs):
                corpus = {**rows["documents"], "title": [""] * len(rows["documents"]["id"])}
                split = RetrievalSplitData(
                    queries=Dataset.from_dict(rows["queries"]),
                    corpus=Dataset.from_dict(corpus),
                    relevant_docs=rows["qrels"],
                    top_ranked=None,
                )
                self.dataset = {"default": {"test": split}}
                self.data_loaded = True

        return Collection()

    with open(path, encoding="utf-8") as file:
        data = json.load(file)
    tasks = [sts(name, rows) if "gold" in rows else retrieval(name, rows) for name, rows in data.items()]
    found = mteb.evaluate(SentenceTransformer(checkpoint, device="cpu"), tasks, cache=None, show_progress_bar=False)
    scores = {one.task_name: one.scores["test"][0] for one in found.task_results}
    print(json.dumps({name: score.get("recall_at_1", score.get("cosine_spearman")) for name, score in scores.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
