"""The rows of our tasks as tasks of mteb's."""


def rows_of(data):
    """Pairs or a collection as plain lists and dictionaries, such as JSON holds."""
    if hasattr(data, "left"):
        return {"left": [*data.left], "right": [*data.right], "gold": [*data.gold]}
    sides = {"queries": data.queries, "documents": data.documents}
    qrels = {query: {document: int(grade) for document, grade in of.items()} for query, of in data.qrels.items()}
    held = {name: {"id": [*side.ids], "text": [*side.texts]} for name, side in sides.items()}
    return {**held, "qrels": qrels, "candidates": data.candidates}


def mteb_task(name, rows):
    """STS, retrieval, or reranking where there are candidates."""
    import mteb
    from datasets import Dataset
    from mteb.abstasks import AbsTaskRetrieval, AbsTaskSTS
    from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData

    if "gold" in rows:
        base, kind, main = AbsTaskSTS, "STS", "cosine_spearman"
    elif rows["candidates"]:
        base, kind, main = AbsTaskRetrieval, "Reranking", "ndcg_at_10"
    else:
        base, kind, main = AbsTaskRetrieval, "Retrieval", "recall_at_1"

    class Rows(base):
        metadata = mteb.TaskMetadata(
            name=name,
            description="rows of ours",
            reference=None,
            dataset={"path": "none/none", "revision": "0"},
            type=kind,
            category="t2t",
            modalities=["text"],
            eval_splits=["test"],
            eval_langs=["jpn-Jpan"],
            main_score=main,
        )
        min_score, max_score = 0, 5

        def load_data(self, *args, **kwargs):
            if kind == "STS":
                columns = {"sentence1": rows["left"], "sentence2": rows["right"], "score": rows["gold"]}
                self.dataset = {"test": Dataset.from_dict(columns)}
            else:
                split = RetrievalSplitData(
                    queries=Dataset.from_dict(rows["queries"]),
                    corpus=Dataset.from_dict({**rows["documents"], "title": [""] * len(rows["documents"]["id"])}),
                    relevant_docs=rows["qrels"],
                    top_ranked=rows["candidates"],
                )
                self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    return Rows()
