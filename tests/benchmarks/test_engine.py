"""The engine against its peers: whole evaluations, encoding, search, MaxSim, measures, what a stop costs."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from jbench import cpu, open_model, similarity
from jbench.cpu import bf16_units, quicken
from jbench.models.locate import locate
from jbench.models.options import Options
from jbench.registry import find_tasks
from jbench.store import Memory
from jbench.types import Run, Texts
from tests import tiny
from tests.benchmarks.rows import Command, device, ratio, row, seconds
from tests.conftest import ROOT
from tests.mteb_rows import rows_of

TASKS = ("jsts@valid1457", "jsick@test4927", "jsquad@valid1145")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The shipped 4 layers of 256 in float32, its tokens averaged: random ones give near ties, told apart by noise."""
    from transformers import AutoModel, AutoTokenizer

    folder, shipped = tmp_path_factory.mktemp("small"), locate("bert-mini", None).folder
    for part in (AutoModel.from_pretrained(shipped, dtype="float32"), AutoTokenizer.from_pretrained(shipped)):
        part.save_pretrained(folder / "bare")
    return tiny.sentence_transformer(folder / "bert-4x256", folder / "bare", pooling_mode="mean")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """12 layers of 768, random, that read the shipped 10,000 pieces."""
    from transformers import AutoTokenizer

    folder, tokenizer = tmp_path_factory.mktemp("base"), AutoTokenizer.from_pretrained(locate("bert-mini", None).folder)
    sizes = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
    bare = tiny.transformer(folder / "bare", tokenizer, "BertModel", **sizes)
    return tiny.sentence_transformer(folder / "bert-12x768", bare, pooling_mode="mean")


def best_size(work):
    """The batch size of the peer's least time, of two each, after one that is not counted."""
    work(32)
    return min((8, 16, 32, 64, 128), key=lambda size: min(seconds(lambda: work(size)) for _ in "12"))


class Known(Memory):
    """Vectors of texts, however they are read."""

    def __init__(self, vectors):
        super().__init__()
        self.vectors = vectors

    def find(self, way, items):
        return [(self.vectors[item], 0) for item in items]


def texts_of(*names):
    """The distinct texts of tasks."""
    found = {}
    for task in find_tasks(names):
        data = task.data()
        sides = (data.left, data.right) if hasattr(data, "left") else (data.queries.texts, data.documents.texts)
        found.update(dict.fromkeys(text for side in sides for text in side))
    return list(found)


@pytest.fixture(scope="module")
def of_mteb():
    """What mteb's command printed, which is run once."""
    return []


@pytest.fixture
def evaluation(mirror, small, tmp_path, of_mteb):
    """jbench's command and mteb's for the three tasks; their scores must be the same."""
    data = {task.name: rows_of(task.data()) for task in find_tasks(TASKS)}
    path = tmp_path / "data.json"
    path.write_text(json.dumps(data, ensure_ascii=False))
    results = tmp_path / "results"
    words = [word for task in TASKS for word in ("--task", task)]
    ours = Command("-m", "jbench", "run", str(small), *words, "--results", str(results), "--json")
    theirs = Command("-m", "tests.benchmarks.mteb_peer", str(small), str(path), cwd=ROOT)
    mine = {one["task"].partition("@")[0]: one["scores"][one["main"]] for one in json.loads(ours())}
    if not of_mteb:
        of_mteb.append(json.loads(theirs().splitlines()[-1]))
    assert mine == pytest.approx(of_mteb[0], abs=1e-4)
    return ours, theirs, results, Path(os.environ["JBENCH_HOME"]) / "embeddings"


def test_evaluation_of_three_tasks_cold_against_mteb(benchmark, evaluation):
    ours, theirs, results, store = evaluation

    def forget():
        shutil.rmtree(results)
        shutil.rmtree(store)

    ratio(benchmark, ours, theirs, rounds=5, goal=".60", before=forget)


def test_evaluation_with_the_store_filled_against_mteb(benchmark, evaluation):
    ours, theirs, results, _ = evaluation
    ratio(benchmark, ours, theirs, rounds=5, goal=".12", before=lambda: shutil.rmtree(results))


def test_seconds_of_a_command_with_nothing_to_do(benchmark, evaluation):
    ours, *_ = evaluation
    row(benchmark, [seconds(ours) for _ in range(7)], goal="2 s")


def test_encoding_against_sentence_transformers_at_its_best_batch_size(benchmark, mirror, small):
    from sentence_transformers import SentenceTransformer

    texts = texts_of("jsquad@valid1145", "jsts@train12451")
    peer = SentenceTransformer(str(small), device=device())
    some = texts[:: len(texts) // 2000]
    best = best_size(lambda size: peer.encode(some, batch_size=size))
    theirs = peer.encode(texts, batch_size=best)
    ours = open_model(str(small))._encode(texts, "sts")
    assert np.abs(ours - theirs).max() < 1e-4
    model = open_model(str(small))
    assert model.weights.module is not None

    def encode():
        model.weights.kept.held.clear()
        model._encode(texts, "sts")

    ratio(benchmark, encode, lambda: peer.encode(texts, batch_size=best), rounds=5, goal=".65", batch_size=best)


def test_reranking_against_sentence_transformers_at_its_best_batch_size(benchmark, mirror, small):
    from sentence_transformers import CrossEncoder

    folder = tiny.cross_encoder(small.parent / "cross", small.parent / "bare")
    data = find_tasks(["jsquad@valid1145"])[0].data()
    found = open_model("bm25:char-bigram").search(
        Texts(data.queries.ids[:200], data.queries.texts[:200]), data.documents, 10
    )
    texts = dict(zip(data.documents.ids, data.documents.texts, strict=True))
    pairs = [(data.queries.texts[i], texts[document]) for i in range(200) for document, _ in found.rows(i)]
    peer = CrossEncoder(str(folder), device=device())
    best = best_size(lambda size: peer.predict(pairs[::4], batch_size=size))
    model = open_model(str(folder))
    assert np.abs(model.score(pairs, ("query", "document")) - peer.predict(pairs, batch_size=best)).max() < 1e-4
    ratio(
        benchmark,
        lambda: model.score(pairs, ("query", "document")),
        lambda: peer.predict(pairs, batch_size=best),
        rounds=5,
        batch_size=best,
    )


def matrix_rates(kind, dtype):
    """FLOP/s of torch's own matrix product, and of the best at hand, at a BERT's widest shape and a batch's tokens."""
    import torch

    tokens = {"cpu": 2048, "cuda": 65536}[kind]
    one, other = (torch.randn(shape, device=kind, dtype=dtype) for shape in ((tokens, 768), (768, 3072)))
    wait = torch.cuda.synchronize if kind == "cuda" else lambda: None
    layer = torch.nn.Linear(*other.shape, bias=False, device=kind, dtype=dtype)
    layer.device = one.device
    quicken(layer)

    def twenty(product):
        for _ in range(20):
            product()
        wait()

    @torch.inference_mode()
    def best(product):
        twenty(product)
        return min(seconds(lambda: twenty(product)) for _ in "123")

    taken = np.array([best(lambda: one @ other), best(lambda: layer(one))])
    return 2 * 20 * tokens * other.numel() / np.minimum.accumulate(taken)


def name_of(kind):
    import torch

    if kind == "cuda" and device() != "cuda":
        pytest.skip("no GPU")
    return torch.cuda.get_device_name() if kind == "cuda" else kind


@pytest.mark.parametrize(("kind", "dtype", "goal"), [("cpu", "fp32", ".85"), ("cuda", "bf16", ".40")])
def test_share_of_the_matrix_rate(benchmark, mirror, base, kind, dtype, goal):
    """12 layers of 768; each round's rate is the better of one before and one after it, and of two ways to multiply."""
    import torch

    name = name_of(kind)
    texts = texts_of("jsquad@valid1145")
    if kind == "cpu":
        texts = texts[::4]  # fewer would be batches of few tokens, which a corpus has not
    model = open_model(str(base), Options(device=kind, dtype=dtype))
    model._encode(texts[:20], "sts")
    layers = [p.numel() for key, p in model.weights.module.named_parameters() if "embeddings" not in key]
    of_matrices = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    shares, of_torch, rates = [], [], []
    for _ in range(5):
        model.weights.kept.held.clear()
        model.weights.tally.take()
        before, taken = matrix_rates(kind, of_matrices), seconds(lambda: model._encode(texts, "sts"))
        torchs, matrix = np.maximum(before, matrix_rates(kind, of_matrices))
        tokens = model.weights.tally.tokens
        reached = 2 * sum(layers) * tokens / taken
        shares.append(reached / matrix)
        of_torch.append(reached / torchs)
        rates.append(round(tokens / taken))
    of_it = {"padding": model.weights.tally.rates()["padding"], "gflops": round(matrix / 1e9)}
    of_it["of_torchs_own_product"] = round(statistics.median(of_torch), 3)
    row(benchmark, shares, goal=goal, device=name, tokens_per_s=statistics.median(rates), **of_it)


def test_seconds_of_three_tasks_on_a_gpu(benchmark, mirror, base, tmp_path):
    """The command, nothing stored, 12 layers of 768 in bf16."""
    name = name_of("cuda")
    words = [word for task in TASKS for word in ("--task", task)]
    how = ("--device", "cuda", "--dtype", "bf16", "--no-store", "--overwrite", "--results", str(tmp_path / "results"))
    command = Command("-m", "jbench", "run", str(base), *words, *how)
    command()
    row(benchmark, [seconds(command) for _ in range(5)], device=name)


@pytest.mark.parametrize("product", ["torchs", "best"])
def test_bf16_against_fp32(benchmark, mirror, base, product, monkeypatch):
    """Against fp32 by torch's own product, which both were before, and by the best at hand, as a run has it."""
    import torch

    if not bf16_units():
        pytest.skip("this CPU has no units for bf16")
    task = find_tasks(["jsts@valid1457"])[0]
    data = task.data()
    pairs = list(zip(data.left, data.right, strict=True))
    texts = list(dict.fromkeys(text for pair in pairs[:300] for text in pair))
    if product == "torchs":
        monkeypatch.setattr(cpu, "onednn_is_faster", lambda: False)
    models = {dtype: open_model(str(base), Options(dtype=dtype)) for dtype in ("bf16", "fp32")}
    scores = [spearmanr(model.score(pairs, ("sts", "sts")), data.gold).statistic for model in models.values()]

    def encode(dtype):
        models[dtype].weights.kept.held.clear()
        models[dtype]._encode(texts, "sts")

    of_it = {"spearman_apart": round(abs(float(scores[0] - scores[1])), 5)}
    rates = [matrix_rates("cpu", getattr(torch, dtype)) for dtype in ("bfloat16", "float32")]
    of_it["of_the_products_alone"] = round(float(rates[1][int(product == "best")] / rates[0][1]), 3)
    ratio(benchmark, lambda: encode("bf16"), lambda: encode("fp32"), rounds=5, goal=".45", **of_it)


FILL = """
import sys
import numpy as np
from jbench import open_model
from jbench.models.options import Options
kept = open_model(sys.argv[1], Options(store=True, dtype="fp16")).weights.kept
draw = np.random.default_rng(0)
for start in range(0, int(sys.argv[2]), 1000):
    for i, vector in enumerate(draw.standard_normal((1000, 768)).astype(np.float16).astype(np.float32), start):
        kept.add("", f"d{i}", vector, 0)
for i, vector in enumerate(draw.standard_normal((860, 768)).astype(np.float16).astype(np.float32)):
    kept.add("", f"q{i}", vector, 0)
kept.flush()
"""

SEARCH = """
import sys
import torch
from jbench import open_model
from jbench.models.options import Options
from jbench.types import Texts
from tests.benchmarks.rows import peak_mb

def side(letter, count):
    return Texts([str(i) for i in range(count)], [f"{letter}{i}" for i in range(count)])

model = open_model(sys.argv[1], Options(store=True, dtype="fp16"))
queries, documents = side("q", 860), side("d", int(sys.argv[2]))
print(peak_mb(lambda: model.search(queries, documents, 100)))
"""


def filled(small, count):
    Command("-c", FILL, str(small), str(count))()
    return str(small)


@pytest.mark.parametrize("peer", ["faiss", "semantic_search"])
def test_exact_top_100_from_disk_against_one_in_memory(benchmark, small, peer):
    import torch
    from sentence_transformers.util import semantic_search

    faiss = pytest.importorskip("faiss")
    folder = filled(small, 200_000)

    def side(letter, count):
        return Texts([str(i) for i in range(count)], [f"{letter}{i}" for i in range(count)])

    queries, documents = side("q", 860), side("d", 200_000)
    model = open_model(folder, Options(store=True, dtype="fp16"))
    held = {}
    for name, texts in (("q", queries.texts), ("d", documents.texts)):
        vectors = model._encode(texts, "query")
        held[name] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    index = faiss.IndexFlatIP(768)
    index.add(held["d"])
    found = model.search(queries, documents, 100)
    scores, places = index.search(held["q"], 100)
    assert np.abs(found.scores.reshape(860, 100) - scores).max() < 1e-4
    assert (found.index.reshape(860, 100) == places).mean() > 0.999
    peers = {
        "faiss": (lambda: index.search(held["q"], 100), "1.5"),
        "semantic_search": (lambda: semantic_search(*map(torch.from_numpy, (held["q"], held["d"])), top_k=100), ""),
    }
    theirs, goal = peers[peer]
    ratio(
        benchmark,
        lambda: open_model(folder, Options(store=True, dtype="fp16")).search(queries, documents, 100),
        theirs,
        rounds=5,
        goal=goal,
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
@pytest.mark.parametrize("count", [200_000, 2_000_000])
def test_peak_mb_of_the_search_above_its_baseline(benchmark, small, count):
    folder = filled(small, count)
    row(benchmark, [float(Command("-c", SEARCH, folder, str(count), cwd=ROOT)()) for _ in range(3)], goal="600 MB")


@pytest.fixture(scope="module")
def token_vectors(tmp_path_factory):
    """Queries and paragraphs of JSQuAD by a ColBERT of random weights over the shipped base."""
    from sentence_transformers import MultiVectorEncoder

    folder = tmp_path_factory.mktemp("late")
    MultiVectorEncoder(str(locate("bert-mini", None).folder), device="cpu").save(str(folder / "colbert"))
    return open_model(f"colbert:{folder / 'colbert'}")


@pytest.mark.parametrize("count", [1_000, 10_000, 100_000])
@pytest.mark.parametrize("kind", ["dense", "late"])
def test_ms_per_query_of_a_search(benchmark, small, token_vectors, kind, count, monkeypatch):
    """How cost grows: 100 queries over documents of one vector of 768, or of 60 of 128, which are known already."""
    draw = np.random.default_rng(0)

    def side(letter, many, tokens):
        texts = [f"{letter}{i}" for i in range(many)]
        shapes = [(768,) if kind == "dense" else (tokens, 128)] * many
        known.update((text, draw.standard_normal(shape, np.float32)) for text, shape in zip(texts, shapes, strict=True))
        return Texts(texts, texts)

    known = {}
    queries, documents = side("q", 100, 32), side("d", count, 60)
    model = open_model(str(small)) if kind == "dense" else token_vectors
    monkeypatch.setattr(model._encoder, "kept", Known(known))
    row(benchmark, [10 * seconds(lambda: model.search(queries, documents, 100)) for _ in range(3)])
    model.report()  # what was counted here is not counted in the next row


def test_maxsim_against_the_library(benchmark, mirror, token_vectors):
    data = find_tasks(["jsquad@valid1145"])[0].data()
    asked = token_vectors._encode(data.queries.texts[:300], "query", "")
    held = token_vectors._encode(data.documents.texts, "document", "")
    library = token_vectors.weights.module.similarity
    assert np.abs(similarity.late_matrix("maxsim", asked)(held) - library(asked, held).numpy()).max() < 1e-4
    ratio(
        benchmark,
        lambda: similarity.late_matrix("maxsim", asked)(held),
        lambda: library(asked, held),
        rounds=5,
        goal=".85",
    )


def test_bytes_of_two_bits_against_fp16(benchmark, mirror, token_vectors):
    data = find_tasks(["jsquad@valid1145"])[0].data()
    asked = Texts(data.queries.ids[:300], data.queries.texts[:300])
    exact = token_vectors.search(asked, data.documents, 10)
    plain = token_vectors.report()["cost"]
    folder = token_vectors.weights.checkpoint.folder
    two = open_model(f"colbert:{folder}", Options(settings={"document_bits": "2"}))
    found = two.search(asked, data.documents, 10)
    cost = two.report()["cost"]
    same = [len({d for d, _ in exact.rows(i)} & {d for d, _ in found.rows(i)}) / 10 for i in range(len(asked))]
    row(
        benchmark,
        [cost["bytes_per_document"] / plain["bytes_per_document"]],
        goal="1/6",
        recall_at_10_against_exact=round(statistics.mean(same), 4),
        centroid_bytes=cost["bytes_shared"],
    )


@pytest.mark.parametrize("peer", ["pytrec_eval", "ranx", "ir_measures"])
def test_measures_against_another_library_alone(benchmark, peer):
    import ir_measures
    import pytrec_eval
    import ranx

    from jbench.metrics import measure_run

    draw = np.random.default_rng(0)
    queries, documents = [f"q{i}" for i in range(5000)], [f"d{i}" for i in range(20_000)]
    index = np.concatenate([draw.choice(20_000, 1000, replace=False) for _ in queries])
    scores = draw.standard_normal(len(index)).astype(np.float32)
    rows = queries, documents, np.repeat(np.arange(5000), 1000), index, scores
    qrels = {q: {documents[d]: 1 for d in index[1000 * i : 1000 * i + 1000 : 250]} for i, q in enumerate(queries)}
    held = {
        q: dict(
            zip((documents[d] for d in index[start : start + 1000]), scores[start : start + 1000].tolist(), strict=True)
        )
        for q, start in zip(queries, range(0, len(index), 1000), strict=True)
    }
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "map_cut.10", "recall.10,100"})
    names = ("ndcg@10", "map@10", "recall@10", "recall@100")
    theirs = [ir_measures.parse_measure(name) for name in ("nDCG@10", "AP@10", "R@10", "R@100")]
    of_ranx = ranx.Qrels(qrels), ranx.Run(held)
    ours = measure_run(Run.ranked(*rows), qrels, names).scores
    found = evaluator.evaluate(held)
    for mine, other in zip(names, ("ndcg_cut_10", "map_cut_10", "recall_10", "recall_100"), strict=True):
        assert ours[mine] == pytest.approx(statistics.mean(row[other] for row in found.values()), abs=1e-9)
    peers = {
        "pytrec_eval": (lambda: evaluator.evaluate(held), "2.5"),
        "ranx": (lambda: ranx.evaluate(*of_ranx, list(names)), ""),
        "ir_measures": (lambda: ir_measures.calc_aggregate(theirs, qrels, held), ""),
    }
    other, goal = peers[peer]
    # Theirs also begin with a run in no order, in the form that each of them takes.
    ratio(benchmark, lambda: measure_run(Run.ranked(*rows), qrels, names), other, rounds=5, goal=goal)


ENCODE = """
import json, os, sys
from jbench import open_model
from jbench.models.options import Options

done = 0
def track(label, total):
    def advance(step, note=""):
        global done
        done += step
        with open(sys.argv[3] + ".new", "w") as file:
            file.write(str(done))
        os.replace(file.name, sys.argv[3])  # whenever this is killed, a number is there
    return advance

model = open_model(sys.argv[1], Options(store=True, track=track))
with open(sys.argv[2]) as file:
    model._encode(json.load(file), "sts")
print(model.report()["rates"].get("reused", 0))
"""


def test_share_of_work_repeated_after_a_kill(benchmark, mirror, small, tmp_path):
    texts = texts_of("jsquad@valid1145", "jsts@train12451", "jsick@test4927", "jaquad@train")[:50_000]
    assert len(texts) == 50_000
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    words = [sys.executable, "-c", ENCODE, str(small), str(tmp_path / "texts.json"), str(tmp_path / "done")]
    store, done = Path(os.environ["JBENCH_HOME"]) / "embeddings", tmp_path / "done"
    shares = []
    for part in (0.3, 0.5, 0.7, 0.8, 0.9):
        shutil.rmtree(store, ignore_errors=True)
        done.write_text("0")
        killed = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while killed.poll() is None and int(done.read_text()) < part * len(texts):
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        told = int(done.read_text())
        assert part * len(texts) <= told < len(texts)
        again = subprocess.run(words, check=True, capture_output=True, text=True)
        shares.append((told - int(again.stdout)) / len(texts))
    row(benchmark, shares, goal="10 %", texts=len(texts))
