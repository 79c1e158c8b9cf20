"""Cross-encoders, sparse models, and models made of models."""

import json
import shutil

import numpy as np
import pytest

from jbench import Collection, Reranking, Retrieval, Texts, open_model
from jbench.evaluate import evaluate_one
from jbench.models.combine import Call, leaves
from jbench.models.load import open_together
from jbench.models.locate import locate
from jbench.models.options import Options
from jbench.registry import own_tasks
from jbench.task import load
from jbench.types import InvalidScores, Run, Scorer, Searcher, UsageError
from tests import tiny
from tests.mteb_rows import mteb_task, rows_of
from tests.test_colbert import PAIRS, sentences

QUERIES = Texts([f"q{i}" for i in range(6)], sentences(6, seed=5))
DOCUMENTS = Texts([f"d{i}" for i in range(30)], sentences(30, seed=6))
EVERY = [(q, d) for q in QUERIES.texts for d in DOCUMENTS.texts]


def rows(run):
    return [run.rows(i) for i in range(len(run.queries))]


# Cross-encoders


@pytest.mark.parametrize(
    ("activation", "build"),
    [("Sigmoid", tiny.cross_encoder), ("Identity", tiny.cross_encoder), ("Sigmoid", tiny.classifier)],
)
def test_a_cross_encoder_scores_as_the_library_predicts(activation, build, bare_bert, tmp_path):
    from sentence_transformers import CrossEncoder

    options = {"activation": activation} if activation != "Sigmoid" else {}
    folder = build(tmp_path / "ce", bare_bert, **options)
    theirs = CrossEncoder(str(folder), device="cpu").predict(PAIRS, batch_size=7)
    model = open_model(str(folder))
    assert np.abs(model.score(PAIRS, ("query", "document")) - theirs).max() < 1e-5
    assert model.card.settings["activation"] == activation.lower()


@pytest.mark.parametrize(
    ("config", "own", "expected"),
    [
        ({}, {}, "sigmoid"),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, {}, "identity"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, {}, "identity"),
        ({}, {"activation_fn": "torch.nn.modules.linear.Identity"}, "identity"),
    ],
)
def test_the_activation_is_read_where_each_version_wrote_it(config, own, expected, cross_bert, tmp_path):
    folder = shutil.copytree(cross_bert, tmp_path / "ce")
    for name, more in (("config.json", config), ("config_sentence_transformers.json", own)):
        held = {k: v for k, v in json.loads((folder / name).read_text()).items() if "activation" not in k}
        held.pop("sentence_transformers", None)
        (folder / name).write_text(json.dumps({**held, **more}))
    from sentence_transformers import CrossEncoder

    model = open_model(str(folder))
    assert model.card.settings["activation"] == expected
    theirs = CrossEncoder(str(folder), device="cpu").predict(PAIRS[:9])
    assert np.abs(model.score(PAIRS[:9], ("query", "document")) - theirs).max() < 1e-5


def test_a_pair_alone_and_in_a_padded_batch_scores_the_same(cross_bert):
    together = open_model(str(cross_bert)).score(PAIRS[:30], ("query", "document"))
    model = open_model(str(cross_bert))
    alone = np.concatenate([model.score([pair], ("query", "document")) for pair in PAIRS[:30]])
    assert np.abs(alone - together).max() < 1e-5


def test_a_pair_is_scored_once_and_its_loss_is_counted(cross_bert):
    model = open_model(str(cross_bert), Options(settings={"max_length": "16"}))
    scores = model.score([PAIRS[0], PAIRS[1], PAIRS[0]], ("query", "document"))
    assert scores[0] == scores[2]
    lengths = [len(model.weights.module.tokenizer(*pair)["input_ids"]) for pair in PAIRS[:2]]
    report = model.report()
    assert report["tokens_lost"] == sum(max(0, n - 16) for n in lengths) > 0
    assert report["cost"]["longest_input"] == 16


@pytest.mark.filterwarnings("ignore")
def test_reranking_measures_are_mtebs_on_the_same_candidates(tmp_path):
    import mteb
    from sentence_transformers import CrossEncoder

    task = own_tasks()["mini-rerank@v1"]
    data = task.data()
    # Scores far apart, as pairs nearly tied are put in order by the rounding of their batches.
    words = tiny.words(tmp_path / "words", corpus=[*data.queries.texts, *data.documents.texts], pieces="character")
    bare = tiny.transformer(tmp_path / "bare", words, "BertModel", initializer_range=0.3)
    folder = str(tiny.cross_encoder(tmp_path / "ce", bare, activation="Identity"))

    mine = evaluate_one(open_model(folder), task, load(task), tmp_path, Options())
    found = mteb.evaluate(CrossEncoder(folder, device="cpu"), mteb_task("RowsReranking", rows_of(data)), cache=None)
    (theirs,) = found.task_results[0].scores["test"]
    ours = {"ndcg@10": "ndcg_at_10", "map@10": "map_at_10"}
    print({name: (mine.scores[name], theirs[other]) for name, other in ours.items()})
    for name, other in ours.items():
        assert mine.scores[name] == pytest.approx(theirs[other], abs=1e-4)


def test_two_labels_do_not_say_which_is_relevance(bare_bert, tmp_path):
    folder = tiny.cross_encoder(tmp_path / "nli", bare_bert, labels=2)
    with pytest.raises(UsageError, match="nli has 2 labels, and nothing says which of them is relevance"):
        open_model(str(folder))


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"activation_fn": "my.Identity"}, "asks for the activation my.Identity; sigmoid and identity are known"),
    ],
)
def test_a_cross_encoder_that_asks_for_more_is_refused(own, says, cross_bert, tmp_path):
    folder = shutil.copytree(cross_bert, tmp_path / "ce")
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **own}))
    with pytest.raises(UsageError, match=says):
        open_model(str(folder))


def test_a_checkpoint_without_a_head_is_no_cross_encoder(dense_bert):
    with pytest.raises(UsageError, match="dense-bert"):
        open_model(f"cross-encoder:{dense_bert}")


def test_a_cross_encoder_takes_no_prompt(cross_bert):
    with pytest.raises(UsageError, match="--prompt does not apply to cross-bert"):
        open_model(str(cross_bert), Options(prompts={"query": "q: "}))


def test_a_cross_encoder_before_a_whole_corpus_says_what_to_write(cross_bert):
    task = own_tasks()["mini-qa@v1"]
    with pytest.raises(UsageError, match=rf"write 'rerank\(bm25:char-bigram, 100, {cross_bert}\)'"):
        task.predict(open_model(str(cross_bert)), task.data())


# Sparse


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_a_sparse_model_scores_as_the_library(sparse_bert):
    from sentence_transformers import SparseEncoder

    module = SparseEncoder(str(sparse_bert), device="cpu")
    left, right = module.encode([q for q, _ in PAIRS]), module.encode([d for _, d in PAIRS])
    theirs = module.similarity_pairwise(left, right).numpy()
    mine = open_model(str(sparse_bert)).score(PAIRS, ("query", "document"))
    assert np.abs(mine - theirs).max() < 1e-4
    cosine = open_model(str(sparse_bert), Options(settings={"similarity": "cosine"}))
    module.similarity_fn_name = "cosine"
    theirs = module.similarity_pairwise(left, right).numpy()
    assert np.abs(cosine.score(PAIRS, ("query", "document")) - theirs).max() < 1e-5


def test_a_bare_masked_language_model_is_sparse_when_asked(sparse_bert):
    bare = sparse_bert.parent / "sparse-bert-mlm"
    one, other = (open_model(name).score(PAIRS[:9], ("sts", "sts")) for name in (f"sparse:{bare}", str(sparse_bert)))
    assert np.abs(one - other).max() < 1e-5


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_a_sparse_autoencoder_reads_prompts_as_the_library(bare_bert, tmp_path):
    import torch
    from sentence_transformers import SparseEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder

    torch.manual_seed(5)
    parts = [Transformer(str(bare_bert)), Pooling(32, "mean", include_prompt=False), SparseAutoEncoder(32, 64, k=8)]
    prompts = {"query": "検索: ", "document": "文書: "}
    SparseEncoder(modules=parts, prompts=prompts, device="cpu").save(str(tmp_path / "csr"))
    module = SparseEncoder(str(tmp_path / "csr"), device="cpu")
    left, right = module.encode_query([q for q, _ in PAIRS]), module.encode_document([d for _, d in PAIRS])
    theirs = module.similarity_pairwise(left, right).numpy()
    assert np.abs(open_model(str(tmp_path / "csr")).score(PAIRS, ("query", "document")) - theirs).max() < 1e-4


def test_a_sparse_model_of_another_similarity_is_refused(sparse_bert, tmp_path):
    folder = shutil.copytree(sparse_bert, tmp_path / "far")
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "similarity_fn_name": "euclidean"}))
    with pytest.raises(UsageError, match="similarity=euclidean is one of dense vectors"):
        open_model(str(folder))


@pytest.mark.parametrize("other", ["dense_bert", "cross_bert", "colbert_native"])
def test_another_kind_is_no_sparse_model(other, request):
    with pytest.raises(UsageError, match="no head that weighs the vocabulary"):
        open_model(f"sparse:{request.getfixturevalue(other)}")


@pytest.mark.parametrize("similarity", ["euclidean", "manhattan"])
def test_a_similarity_of_dense_vectors_is_refused(similarity, sparse_bert):
    with pytest.raises(UsageError, match=f"similarity={similarity} is one of dense vectors; a sparse model has dot"):
        open_model(str(sparse_bert), Options(settings={"similarity": similarity}))


def test_a_headless_transformer_is_no_sparse_model(bare_bert):
    with pytest.raises(UsageError, match="no head that weighs the vocabulary"):
        open_model(f"sparse:{bare_bert}")


# rerank


@pytest.mark.parametrize(
    ("string", "expected"),
    [
        ("bm25:mecab", None),
        ("./rerank(1)", None),
        ("rerank(bm25:mecab, 100, ./ce)", ("bm25:mecab", "100", "./ce")),
        (" rrf( a/b@c,ngram ,  run:x.trec ) ", ("a/b@c", "ngram", "run:x.trec")),
        ("rerank(rrf(ngram, ./d), 50, ./ce)", ("rrf(ngram, ./d)", "50", "./ce")),
    ],
)
def test_a_combination_is_understood(string, expected):
    call = Call.of(string)
    assert (call and call.parts) == expected


def test_the_leaves_of_a_combination():
    assert list(leaves("rerank(rrf(ngram, ./d), 50, ./ce)")) == ["ngram", "./d", "./ce"]


@pytest.mark.parametrize("depth", [1, 5, 29])
def test_rerank_orders_the_first_stages_best_by_the_second(depth, cross_bert):
    first, second = open_model("ngram"), open_model(str(cross_bert))
    model = open_model(f"rerank(ngram, {depth}, {cross_bert})")
    best = first.search(QUERIES, DOCUMENTS, depth)
    texts = dict(zip(DOCUMENTS.ids, DOCUMENTS.texts, strict=True))
    for i, query in enumerate(QUERIES.texts):
        listed = [d for d, _ in best.rows(i)]
        scores = second.score([(query, texts[d]) for d in listed], ("query", "document")).tolist()
        expected = {d: pytest.approx(s, abs=1e-5) for d, s in zip(listed, scores, strict=True)}
        assert dict(model.search(QUERIES, DOCUMENTS, 30).rows(i)) == expected


def test_models_opened_together_take_the_options_that_they_have(cross_bert):
    first, second = open_together(["bm25:mecab", str(cross_bert)], Options(dtype="bf16"))
    assert (first.card.settings["dtype"], second.card.settings["dtype"]) == ("float32", "bfloat16")
    with pytest.raises(UsageError, match="--dtype does not apply to bm25:mecab, ngram"):
        open_together(["bm25:mecab", "ngram"], Options(dtype="bf16"))


def test_a_depth_of_the_whole_corpus_equals_scoring_every_pair(cross_bert):
    run = open_model(f"rerank(bm25:mecab, 30, {cross_bert})").search(QUERIES, DOCUMENTS, 30)
    scores = open_model(str(cross_bert)).score(EVERY, ("query", "document"))
    query, document = np.repeat(np.arange(6), 30), np.tile(np.arange(30), 6)
    every = Run.ranked(QUERIES.ids, DOCUMENTS.ids, query, document, scores)
    assert rows(run) == rows(every)


def test_a_first_stage_that_only_knows_a_list_is_not_widened(cross_bert, tmp_path):
    path = tmp_path / "r.trec"
    path.write_text("".join(f"{q} Q0 d{i} 1 {i} t\n" for q in QUERIES.ids for i in (1, 2)))
    run = open_model(f"rerank(run:{path}, 30, {cross_bert})").search(QUERIES, DOCUMENTS, 30)
    assert [sorted(d for d, _ in run.rows(i)) for i in range(6)] == [["d1", "d2"]] * 6


def test_rerank_pairs_in_parts_is_the_same(cross_bert, monkeypatch):
    from jbench.models import combine

    model = open_model(f"rerank(ngram, 20, {cross_bert})")
    whole = rows(model.search(QUERIES, DOCUMENTS, 20))
    monkeypatch.setattr(combine, "_PAIRS_AT_ONCE", 7)
    for mine, theirs in zip(rows(model.search(QUERIES, DOCUMENTS, 20)), whole, strict=True):
        assert dict(mine) == {d: pytest.approx(s, abs=1e-5) for d, s in theirs}


def test_what_comes_first_is_part_of_who_it_is(cross_bert, dense_bert):
    cards = [
        open_model(string, options).card
        for string, options in (
            (f"rerank(ngram, 10, {cross_bert})", Options()),
            (f"rerank(ngram, 11, {cross_bert})", Options()),
            (f"rerank(bm25:mecab, 10, {cross_bert})", Options()),
            (f"rerank({dense_bert}, 10, {cross_bert})", Options()),
            (f"rerank({dense_bert}, 10, {cross_bert})", Options(prompts={"query": "検索: "})),
        )
    ]
    assert len({json.dumps(card.settings, sort_keys=True) for card in cards}) == 5
    assert cards[0].model == "rerank(ngram, 10, cross-bert)"
    assert cards[0].settings["first"]["revision"] == open_model("ngram").card.revision
    assert cards[4].variant == {"dense-bert query prompt": "'検索: '"}
    named = open_model(f"rerank(ngram, 10, {cross_bert})", Options(name="mine")).card
    assert (named.model, named.variant) == ("mine", {"is": "rerank(ngram, 10, cross-bert)"})


@pytest.mark.parametrize(
    ("string", "says"),
    [
        ("rerank({ce}, 10, {ce})", "cross-bert cannot search a corpus, so it cannot come first"),
        ("rerank(ngram, 10, run:{run})", "r scores no pairs, so it cannot come second"),
        ("rrf(ngram, {ce})", "cross-bert cannot search a corpus, so it has no ranking to fuse"),
    ],
)
def test_a_part_that_cannot_do_its_work_is_one_line(string, says, cross_bert, tmp_path):
    (tmp_path / "r.trec").write_text("q0 Q0 d0 1 1.0 t\n")
    with pytest.raises(UsageError, match=says):
        open_model(string.format(ce=cross_bert, run=tmp_path / "r.trec"))


@pytest.mark.parametrize(
    ("string", "options", "says"),
    [
        (
            "rerank({dense}, 5, {ce})",
            {"settings": {"query_length": "9"}},
            "--model-set query_length: no part of rerank",
        ),
        ("rerank(ngram, 5, {ce})", {"prompts": {"query": "q: "}}, "--prompt: no part of rerank.* takes one"),
        ("rrf(ngram, bm25:mecab)", {"device": "cpu"}, "--device does not apply to rrf"),
    ],
)
def test_an_option_that_no_part_has_is_refused(string, options, says, cross_bert, dense_bert):
    with pytest.raises(UsageError, match=says):
        open_model(string.format(ce=cross_bert, dense=dense_bert), Options(**options))


def test_a_setting_reaches_every_part_that_has_it(bare_bert, cross_bert):
    asked = Options(settings={"max_length": "9", "pooling": "mean"}, prompts={"query": "検索: "})
    card = open_model(f"rerank(rrf(ngram, {bare_bert}), 5, {cross_bert})", asked).card
    assert card.settings["second"]["settings"]["max_length"] == 9
    bare = card.settings["first"]["settings"]["2"]
    assert (bare["settings"]["max_length"], bare["settings"]["pooling"]) == (9, "mean")
    assert bare["prompts"] == {"query": "検索: "}


def test_parts_of_one_name_are_told_apart(dense_bert, dense_unigram, tmp_path):
    for place, source in (("a", dense_bert), ("b", dense_unigram)):
        shutil.copytree(source, tmp_path / place / "dense")
    one, other = (
        open_model(f"rerank({tmp_path / x}/dense, 5, {tmp_path / y}/dense)").card.model for x, y in ("ab", "ba")
    )
    revisions = [locate(str(tmp_path / place / "dense"), None).revision[:14] for place in "ab"]
    assert one == f"rerank(dense@{revisions[0]}, 5, dense@{revisions[1]})"
    assert other == f"rerank(dense@{revisions[1]}, 5, dense@{revisions[0]})"


def test_options_reach_the_only_part_that_has_them(cross_bert):
    model = open_model(f"rerank(ngram, 5, {cross_bert})", Options(settings={"max_length": "9"}, dtype="bf16"))
    assert model.card.settings["second"]["settings"]["max_length"] == 9
    assert model.card.settings["second"]["settings"]["dtype"] == "bfloat16"
    assert model.card.variant == {"cross-bert dtype": "bfloat16", "cross-bert max_length": 9}


def test_rerank_on_given_candidates_says_what_to_write(cross_bert):
    task = own_tasks()["mini-rerank@v1"]
    with pytest.raises(UsageError, match=r"mini-rerank@v1 gives the candidates; .* cross-bert alone"):
        task.predict(open_model(f"rerank(ngram, 5, {cross_bert})"), task.data())


# rrf


@pytest.mark.filterwarnings("ignore")
def test_fusion_is_ranxs():
    import ranx

    parts = [open_model(name).search(QUERIES, DOCUMENTS, 10) for name in ("ngram", "bm25:mecab")]
    # Falling places stand in for scores, so that no rule for ties but ours is at work.
    placed = [{q: {d: -float(i) for i, (d, _) in enumerate(p.rows(n))} for n, q in enumerate(p.queries)} for p in parts]
    theirs = ranx.fuse([ranx.Run(run) for run in placed], norm=None, method="rrf", params={"k": 60}).to_dict()
    mine = open_model("rrf(ngram, bm25:mecab)").search(QUERIES, DOCUMENTS, 10).to_dict()
    for query, found in mine.items():
        assert found == {d: pytest.approx(theirs[query][d], abs=1e-7) for d in found}


def test_fusion_is_the_sum_of_reciprocal_ranks():
    one, other = (open_model(name).search(QUERIES, DOCUMENTS, 10) for name in ("ngram", "bm25:mecab"))
    run = open_model("rrf(ngram, bm25:mecab)").search(QUERIES, DOCUMENTS, 10)
    for i in range(len(QUERIES)):
        expected = {}
        for part in (one, other):
            for place, (d, _) in enumerate(part.rows(i), 1):
                expected[d] = expected.get(d, 0) + 1 / (60 + place)
        found = dict(run.rows(i))
        assert len(found) == 10
        assert found == {d: pytest.approx(expected[d], abs=1e-7) for d in found}
        assert min(found.values()) >= sorted(expected.values())[-10] - 1e-7


def test_a_query_that_one_model_does_not_answer_is_ranked_by_the_other():
    queries = Texts(["q0", "q1"], ["🀀", tiny.CORPUS[0]])
    documents = Texts(["a", "b"], [tiny.CORPUS[0], tiny.CORPUS[1]])
    run = open_model("rrf(bm25:mecab, bm25:char-bigram)").search(queries, documents, 2)
    assert run.rows(0) == []
    assert run.rows(1)[0][0] == "a"


def test_a_fusion_ranks_given_candidates(tmp_path):
    model = open_model("rrf(ngram, bm25:mecab)")
    assert not isinstance(model, Scorer)
    task = own_tasks()["mini-rerank@v1"]
    result = evaluate_one(model, task, load(task), tmp_path, Options())
    data = task.data()
    fused = dict(task.predict(model, data).rows(0))
    query = data.queries.texts[0]
    texts = dict(zip(data.documents.ids, data.documents.texts, strict=True))
    ranks = []
    for name in ("ngram", "bm25:mecab"):
        everything = task.predict(open_model(name), data)
        ranks.append({d: place for place, (d, _) in enumerate(everything.rows(0), 1)})
    assert query
    assert texts
    assert fused == {d: pytest.approx(sum(1 / (60 + rank[d]) for rank in ranks), abs=1e-7) for d in fused}
    assert result.scores["ndcg@10"] > 0.4


def test_fused_run_files_rank_candidates_without_texts(tmp_path):
    data = Collection.of(
        {"q": "問"}, {"a": "一", "b": "二", "c": "三"}, {"q": {"a": 1}}, candidates={"q": ["a", "b", "c"]}
    )
    for name, order in (("x", "abc"), ("y", "bac")):
        (tmp_path / f"{name}.trec").write_text("".join(f"q Q0 {d} 1 {9 - i} t\n" for i, d in enumerate(order)))
    model = open_model(f"rrf(run:{tmp_path / 'x.trec'}, run:{tmp_path / 'y.trec'})")
    assert not isinstance(model, Scorer)
    assert isinstance(model, Searcher)
    task = Reranking(name="x", protocol="y", version=1, license="CC0-1.0", load=lambda: data)
    assert [d for d, _ in task.predict(model, data).rows(0)] == ["b", "a", "c"]


def test_a_fusion_of_sentence_pairs_is_refused():
    task = own_tasks()["mini-sts@v1"]
    with pytest.raises(UsageError, match="scores no sentence pairs, so mini-sts@v1 does not apply to it"):
        task.predict(open_model("rrf(ngram, bm25:mecab)"), task.data())


def candidates(order):
    """Two questions of one text, each with its own candidates in ``order``; all score alike."""
    data = {"q1": "傘", "q2": "傘"}, dict.fromkeys(["a", "b", "c", "d"], "傘を差す。"), {"q1": {"b": 1}, "q2": {"d": 1}}
    return Collection.of(*data, candidates={"q1": order(["a", "b"]), "q2": order(["c", "d"])})


def test_a_fusion_knows_queries_by_id_and_breaks_ties_by_document_id():
    model = open_model("rrf(ngram, bm25:mecab)")
    runs = []
    for order in (list, lambda docs: docs[::-1]):
        data = candidates(order)
        task = Reranking(name="x", protocol="y", version=1, license="CC0-1.0", load=lambda data=data: data)
        runs.append(rows(task.predict(model, data)))
    best, second = 2 / 61, 2 / 62
    expected = [[("b", best), ("a", second)], [("d", best), ("c", second)]]
    assert runs[0] == runs[1] == [[(d, pytest.approx(s)) for d, s in row] for row in expected]


def test_a_fused_list_with_a_stranger_in_it_is_refused(tmp_path):
    (tmp_path / "r.trec").write_text("q1 Q0 c 1 1.0 t\n")
    data = candidates(list)
    task = Reranking(name="x", protocol="y", version=1, license="CC0-1.0", load=lambda: data)
    with pytest.raises(InvalidScores, match="r ranks 'c' for query 'q1', which is not a candidate"):
        task.predict(open_model(f"rrf(ngram, run:{tmp_path / 'r.trec'})"), data)


def test_a_fused_rerank_on_given_candidates_says_what_to_fuse(cross_bert):
    data = candidates(list)
    task = Reranking(name="x", protocol="y", version=1, license="CC0-1.0", load=lambda: data)
    with pytest.raises(UsageError, match="does not order given candidates; fuse its second stage instead"):
        task.predict(open_model(f"rrf(ngram, rerank(ngram, 2, {cross_bert}))"), data)


def test_a_checkpoint_in_two_places_is_loaded_and_counted_once(dense_bert):
    model = open_model(f"rerank({dense_bert}, 3, {dense_bert})")
    assert model.first is model.second
    model.search(QUERIES, DOCUMENTS, 3)
    cost = model.report()["cost"]
    assert cost["parameters"] == sum(p.numel() for p in model.first.weights.module.parameters())
    assert cost["bytes_per_document"] == 64


def test_a_cost_that_one_part_does_not_know_is_left_out(cross_bert):
    model = open_model(f"rerank(ngram, 3, {cross_bert})")
    model.search(QUERIES, DOCUMENTS, 3)
    assert model.report()["cost"].keys() == {"parameters", "longest_input"}


def test_a_text_that_is_cut_counts_once_however_often_it_returns(dense_bert, monkeypatch):
    from jbench.models import combine

    monkeypatch.setattr(combine, "_PAIRS_AT_ONCE", 7)
    model = open_model(f"rerank(ngram, 30, {dense_bert})", Options(settings={"max_length": "8"}))
    model.search(QUERIES, DOCUMENTS, 30)
    tokenizer = model.second.weights.module.tokenizer
    lost = [max(0, len(tokenizer(text)["input_ids"]) - 8) for text in [*QUERIES.texts, *DOCUMENTS.texts]]
    report = model.report()
    assert (report["truncated"], report["tokens_lost"]) == (sum(n > 0 for n in lost), sum(lost))


def test_a_combination_is_a_model_of_a_whole_evaluation(cross_bert, tmp_path):
    data = Collection.of(
        dict(zip(QUERIES.ids, QUERIES.texts, strict=True)),
        dict(zip(DOCUMENTS.ids, DOCUMENTS.texts, strict=True)),
        {q: {"d1": 1} for q in QUERIES.ids},
    )
    task = Retrieval(name="x", protocol="y", version=1, license="CC0-1.0", load=lambda: data)
    model = open_model(f"rerank(rrf(ngram, bm25:mecab), 10, {cross_bert})")
    result = evaluate_one(model, task, load(task), tmp_path, Options())
    assert result.adapter == "rerank"
    assert result.settings["first"]["settings"]["1"]["model"] == "ngram"
    assert result.host["cost"]["ms_per_query"] > 0
    assert result.host["cost"]["parameters"] == sum(p.numel() for p in model.second.weights.module.parameters())
    assert locate(str(cross_bert), None).revision in json.dumps(result.settings)


def test_combinations_inside_each_other_without_end_are_one_line():
    string = "rrf(ngram, " * 300 + "random" + ")" * 300
    with pytest.raises(UsageError, match="has combinations more than 20 deep inside each other"):
        open_model(string)
