"""Questions with the passages that answer them, and the passages among which to mine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jbench.arrow import rows
from jbench.registry import own_tasks
from jbench.source import Source, github
from jbench.task import load
from jbench.train.data.training_set import TrainingSet, made
from jbench.types import Collection, Texts

JSQUAD = github("yahoojapan/JGLUE", "6f071c09316baae89c3d083a90985b4b1cb9968c", "datasets/jsquad-v1.3/train-v1.3.json")
TOOLS = ("castorini/anserini-tools", "5b819c1a45c8a0a3ec9426f476694f44a29dfaf3")
"""Anserini's copies of the topics and judgements of MIRACL and Mr. TyDi."""


def jaquad() -> TrainingSet:
    """JaQuAD's train split, as the task ``jaquad@train`` reads it."""
    loaded = load(own_tasks()["jaquad@train"])
    return of_collection("JaQuAD", "train", loaded.sources, loaded.data)


def jsquad() -> TrainingSet:
    """JSQuAD's train split, of JGLUE v1.3; of a paragraph ``title [SEP] body`` as it stands."""
    queries, documents, qrels = {}, {}, {}
    for article in JSQUAD.json()["data"]:
        for part in article["paragraphs"]:
            name = part["qas"][0]["id"].rsplit("q", 1)[0]
            documents[name] = part["context"]
            for question in part["qas"]:
                queries[question["id"]] = question["question"]
                qrels[question["id"]] = {name: 1}
    return of_collection("JGLUE/JSQuAD", "train", [JSQUAD], Collection.of(queries, documents, qrels))


def miracl() -> TrainingSet:
    """MIRACL's Japanese train split among all passages of its corpus, "title text"."""
    corpus = own_tasks()["miracl-ja@dev-full"].load.__globals__["DOCS"]
    topics = github(*TOOLS, "topics/topics.miracl-v1.0-ja-train.tsv")
    return _judged("MIRACL-ja", topics, github(*TOOLS, "qrels/qrels.miracl-v1.0-ja-train.tsv"), corpus)


def mrtydi() -> TrainingSet:
    """Mr. TyDi's Japanese train split among all passages of its corpus, "title text"."""
    corpus = [own_tasks()["mrtydi-ja@test-full"].load.__globals__["DOCS"]]
    topics = github(*TOOLS, "topics/topics.mrtydi-v1.1-ja.train.txt.gz")
    return _judged("Mr.TyDi-ja", topics, github(*TOOLS, "qrels/qrels.mrtydi-v1.1-ja.train.txt"), corpus)


def _judged(name: str, topics: Source, qrels: Source, corpus: Sequence[Source]) -> TrainingSet:
    queries, judged = topics.topics(), qrels.qrels()
    held = rows(corpus, "docid", "title", "text")
    documents = Texts(held.column("docid"), held.column("title", "text"))
    collection = Collection(Texts(list(queries), list(queries.values())), documents, judged)
    return of_collection(name, "train", [topics, qrels, *corpus], collection)


def of_collection(name: str, split: str, files: Sequence[Source], data: Collection) -> TrainingSet:
    """A row (``query``, ``positive``) for each passage that answers a question, in the order of the questions."""
    from datasets import Dataset

    pairs = [(query, text) for query, positives in answers(data) for text in positives]
    texts = {"query": [query for query, _ in pairs], "positive": [text for _, text in pairs]}
    return made(name, split, files, Dataset.from_dict(texts), collection=data)


def answers(data: Collection) -> Iterator[tuple[str, list[Any]]]:
    """Each question with the passages that answer it, as texts."""
    wanted = {document for judged in data.qrels.values() for document, grade in judged.items() if grade > 0}
    at = {name: i for i, name in enumerate(data.documents.ids) if name in wanted}
    for query, text in zip(data.queries.ids, data.queries.texts, strict=True):
        yield text, [data.documents.texts[at[d]] for d, grade in data.qrels[query].items() if grade > 0]
