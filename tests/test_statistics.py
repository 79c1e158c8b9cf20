"""Differences, intervals and p values: scipy's own figures, laws, small tables worked out by hand."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import __version__ as numpy_version
from scipy import __version__ as scipy_version
from scipy import stats

from jbench import resample, results, statistics
from jbench.cache import cache_root
from jbench.evaluate import evaluate
from jbench.registry import find_tasks
from jbench.resample import Values
from jbench.statistics import Comparison, compare, corrected, holm, rank_intervals, score_interval
from jbench.types import Result, Unavailable, UsageError
from tests.conftest import ROOT

RUNS = "github/hotchpotch/JQaRA/e2fa20e42e940473d976407494f9d572bbdbf99a/evaluator/data/eval_results/runs"
RNG = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def _drawn_anew(monkeypatch):
    """Each test draws the same data, whichever ran before it."""
    monkeypatch.setattr(sys.modules[__name__], "RNG", np.random.default_rng(7))


def side(model, measure, score, columns, cluster=None):
    """A model's values by one measure, as if they had been read beside its result."""
    n = len(next(iter(columns.values())))
    result = Result(
        schema=1,
        task="t@v",
        task_version=1,
        kind="sts" if "gold" in columns else "retrieval",
        model=model,
        revision="1",
        adapter="stub",
        main=measure,
        scores={measure: float(score)},
        definitions={measure: measure},
        counts={},
        data={"sha256": "d"},
        prompts={},
        settings={},
        key="k",
    )
    columns = {name: np.array(column, np.float64) for name, column in columns.items()}
    names, unit = np.unique(np.arange(n) if cluster is None else np.array(cluster), return_inverse=True)
    return Values(result, tuple(map(str, range(n))), columns, unit, len(names), clustered=cluster is not None)


def means(model, values, cluster=None):
    return side(model, "ndcg@10", np.mean(values), {"ndcg@10": values, "relevant": np.ones(len(values))}, cluster)


def micro(model, values, relevant, cluster=None):
    columns = {"micro-recall@30": values, "relevant": relevant}
    return side(model, "micro-recall@30", np.average(values, weights=relevant), columns, cluster)


def pairs(model, measure, gold, predicted, cluster=None):
    score = {"spearman": stats.spearmanr, "pearson": stats.pearsonr}[measure](gold, predicted).statistic
    return side(model, measure, score, {"gold": gold, "predicted": predicted}, cluster)


def compared(a, b, **options):
    return compare(a.result, b.result, (a, b), a.result.main, **options)


def seeded(seed=0):
    return np.random.default_rng(seed)


def correlation(x, y):
    x, y = (c - c.mean(axis=-1, keepdims=True) for c in (x, y))
    return (x * y).sum(axis=-1) / np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))


def ranks(x):
    return stats.rankdata(x, axis=-1)


def scipys(data, statistic, swapped, swap, resamples=999, seed=0):
    """The interval and p of scipy, called as its documentation says."""
    interval = stats.bootstrap(
        data, statistic, paired=True, method="percentile", n_resamples=resamples, rng=seeded(seed)
    ).confidence_interval
    test = stats.permutation_test(swapped, swap, permutation_type="samples", n_resamples=resamples, rng=seeded(seed))
    return [*interval, test.pvalue]


def figures(comparison):
    return [comparison.low, comparison.high, comparison.p]


@pytest.mark.parametrize("seed", [0, 3])
def test_means_are_compared_as_scipy_does(seed):
    a, b = RNG.random((2, 300))
    found = compared(means("a", a), means("b", b), resamples=999, seed=seed)
    expected = scipys(
        (a, b),
        lambda a, b, axis: b.mean(axis) - a.mean(axis),
        (b, a),
        lambda b, a, axis: b.mean(axis) - a.mean(axis),
        seed=seed,
    )
    assert figures(found) == pytest.approx(expected, abs=1e-12)
    assert found.difference == pytest.approx(np.mean(b - a), abs=1e-12)
    assert (found.resamples, found.seed, found.unit, found.items, found.clusters) == (999, seed, "query", 300, None)


def test_clusters_are_drawn_and_flipped_whole():
    cluster = np.sort(RNG.integers(0, 40, 300))
    a, b = RNG.random((2, 300))
    sums, sizes = np.bincount(cluster, b - a), np.bincount(cluster).astype(float)
    found = compared(means("a", a, cluster), means("b", b, cluster), resamples=999)
    expected = scipys(
        (sums, sizes),
        lambda s, n, axis: s.sum(axis) / n.sum(axis),
        (sums,),
        lambda s, axis: s.sum(axis) / 300,
    )
    assert figures(found) == pytest.approx(expected, abs=1e-12)
    assert (found.unit, found.clusters) == ("cluster", 40)


def test_micro_recall_weighs_by_relevant():
    a, b = RNG.random((2, 200))
    relevant = RNG.integers(1, 9, 200).astype(float)
    found = compared(micro("a", a, relevant), micro("b", b, relevant), resamples=999)
    expected = scipys(
        ((b - a) * relevant, relevant),
        lambda s, n, axis: s.sum(axis) / n.sum(axis),
        ((b - a) * relevant,),
        lambda s, axis: s.sum(axis) / relevant.sum(),
    )
    assert figures(found) == pytest.approx(expected, abs=1e-12)
    assert found.difference == pytest.approx(np.average(b - a, weights=relevant), abs=1e-12)


@pytest.mark.parametrize(("measure", "scale"), [("spearman", ranks), ("pearson", lambda x: x)])
def test_correlations_are_computed_anew_on_every_resample(measure, scale):
    gold = RNG.integers(0, 11, 150) / 2  # many ties, as people's judgements have
    a, b = gold + RNG.normal(0, 2, (2, 150))
    found = compared(pairs("a", measure, gold, a), pairs("b", measure, gold, 100 * b), resamples=999)
    standard = [(scale(x) - scale(x).mean()) / scale(x).std() for x in (a, b)]
    expected = scipys(
        (gold, a, b),
        lambda g, a, b, axis: correlation(scale(g), scale(b)) - correlation(scale(g), scale(a)),
        standard,
        lambda a, b, axis: correlation(scale(gold), b) - correlation(scale(gold), a),
    )
    assert figures(found) == pytest.approx(expected, abs=1e-11)
    assert found.unit == "pair"


def test_pairs_in_clusters_are_drawn_whole():
    cluster = np.repeat(np.arange(30), 5)
    gold = RNG.normal(size=150)
    a, b = gold + RNG.normal(0, 2, (2, 150))
    rows = np.arange(150).reshape(30, 5)
    drawn = seeded().integers(0, 30, (99, 30))
    differences = [
        stats.spearmanr(gold[i], b[i]).statistic - stats.spearmanr(gold[i], a[i]).statistic
        for i in (rows[d].ravel() for d in drawn)
    ]
    found = compared(*(pairs(n, "spearman", gold, p, cluster) for n, p in (("a", a), ("b", b))), resamples=99)
    assert [found.low, found.high] == pytest.approx(np.quantile(differences, [0.025, 0.975]), abs=1e-12)


def test_no_figure_depends_on_how_many_resamples_are_held_at_once(monkeypatch):
    gold, *both = RNG.normal(size=(3, 60))
    sides = [[pairs(n, "spearman", gold, p) for n, p in zip("ab", both, strict=True)]]
    sides += [[means(n, p) for n, p in zip("ab", both, strict=True)]]
    whole = [(compared(*s, resamples=199), rank_intervals(s, s[0].result.main, 199)) for s in sides]
    for name in ("_ENTRIES", "_SWAPPED"):
        monkeypatch.setattr(resample, name, 7 * 60)
    assert [(compared(*s, resamples=199), rank_intervals(s, s[0].result.main, 199)) for s in sides] == whole


def test_of_few_queries_every_swap_is_tried():
    # Five queries, all better: of 32 swaps two are as far from 0.
    found = compared(means("a", [0.0] * 5), means("b", [0.5] * 5))
    assert figures(found) == [0.5, 0.5, 2 / 32]
    # 1, 1, 1, -1: the sums of the sixteen swaps are 4, 2 (four times), 0 (six), -2 (four), -4.
    found = compared(means("a", [0, 0, 0, 1.0]), means("b", [1.0, 1, 1, 0]))
    assert (found.difference, found.p) == (0.5, 2 * 5 / 16)


def test_a_higher_score_of_b_is_a_positive_difference():
    found = compared(means("a", [0.0, 0.5] * 50), means("b", [0.5, 1.0] * 50))
    assert (found.a, found.b, found.difference, found.p) == (0.25, 0.75, 0.5, 0.0002)


unit_interval = st.sampled_from([0.0, 1 / 3, 0.5, 0.63, 1.0])
scored = st.integers(3, 40).flatmap(
    lambda n: st.tuples(
        st.lists(unit_interval, min_size=n, max_size=n),
        st.lists(unit_interval, min_size=n, max_size=n),
        st.none() | st.lists(st.integers(0, 5), min_size=n, max_size=n).filter(lambda c: len(set(c)) > 1),
    )
)


@settings(max_examples=60, deadline=None)
@given(scored)
def test_swapping_the_models_negates_all(drawn):
    a, b, cluster = drawn
    one = compared(means("a", a, cluster), means("b", b, cluster), resamples=99)
    other = compared(means("b", b, cluster), means("a", a, cluster), resamples=99)
    assert other.difference == -one.difference
    assert [other.low, other.high] == pytest.approx([-one.high, -one.low], abs=1e-12)
    assert one.p is not None
    assert 0 < one.p <= 1
    assert one.low <= one.high
    if len(a) <= 6 and cluster is None:
        assert other.p == one.p  # every swap was tried


@settings(max_examples=30, deadline=None)
@given(scored)
def test_a_model_against_itself_differs_by_nothing(drawn):
    a, _, cluster = drawn
    found = compared(means("a", a, cluster), means("a", a, cluster), resamples=99)
    assert (found.difference, *figures(found)) == (0.0, 0.0, 0.0, 1.0)


def test_a_correlation_against_itself_differs_by_nothing():
    gold, a = RNG.normal(size=(2, 50))
    for measure in ("spearman", "pearson"):
        found = compared(*[pairs("a", measure, gold, a)] * 2, resamples=99)
        assert (found.difference, *figures(found)) == (0.0, 0.0, 0.0, 1.0)


def test_spearman_is_blind_to_each_models_scale():
    gold, a, b = RNG.normal(size=(3, 80))
    one = compared(pairs("a", "spearman", gold, a), pairs("b", "spearman", gold, b), resamples=199)
    other = compared(
        pairs("a", "spearman", gold, np.exp(a)), pairs("b", "spearman", gold, 0.9 + b / 1000), resamples=199
    )
    assert figures(one) == figures(other)


def test_the_cluster_bootstrap_covers_what_the_plain_one_does_not():
    """150 worlds of 30 paragraphs with 8 questions that share most of their luck; the true difference is 0."""
    covered = {True: 0, False: 0}
    widths = {True: 0.0, False: 0.0}
    cluster = np.repeat(np.arange(30), 8)
    for _ in range(150):
        gain = np.repeat(RNG.normal(0, 0.2, 30), 8) + RNG.normal(0, 0.1, 240)
        for clustered in covered:
            low, high = score_interval(means("d", gain, cluster if clustered else None), "ndcg@10", 199)
            covered[clustered] += low <= 0 <= high
            widths[clustered] += (high - low) / 150
    assert widths[True] > 2 * widths[False]
    assert 0.88 <= covered[True] / 150 <= 1
    assert covered[False] / 150 < 0.7


def test_a_bootstrap_interval_covers_its_score():
    values = means("a", RNG.random(500))
    low, high = score_interval(values, "ndcg@10", 999)
    error = np.std(values.columns["ndcg@10"]) / np.sqrt(500)
    assert [low, high] == pytest.approx(values.result.scores["ndcg@10"] + 1.96 * error * np.array([-1, 1]), abs=0.005)


def test_holms_correction_by_hand():
    # sorted 0.005 0.01 0.03 0.04, times 4 3 2 1: 0.02 0.03 0.06 0.04, and no smaller than the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == [0.03, 0.06, 0.06, 0.02]
    assert (holm([]), holm([0.2]), holm([0.6, 0.7])) == ([], [0.2], [1.0, 1.0])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-4, 1), min_size=1, max_size=9))
def test_a_corrected_p_is_never_smaller_and_keeps_the_order(ps):
    adjusted = holm(ps)
    assert all(p - 1e-12 <= q <= 1 for p, q in zip(ps, adjusted, strict=True))
    assert [q for _, q in sorted(zip(ps, adjusted, strict=True))] == sorted(adjusted)


def test_only_what_was_tested_is_corrected():
    a, b = means("a", [0.0] * 9), means("b", [0.5] * 9)
    untested = compare(a.result, b.result, "none lie there", "ndcg@10")
    first, second, third = corrected([compared(a, b), untested, compared(a, b)])
    assert (first.p, first.holm, third.holm) == (2 / 512, 4 / 512, 4 / 512)
    assert (first.significant, second.significant) == (True, False)
    assert (second.difference, second.p, second.holm, second.reason) == (0.5, None, None, "none lie there")


def test_rank_intervals_by_hand():
    noise = RNG.normal(0, 0.1, (4, 400))
    level = np.array([0.5, 0.8, 0.5, 0.2])
    rows = [means(str(i), v) for i, v in enumerate(noise + level[:, None])]
    found = rank_intervals([*rows[:2], None, *rows[2:]], "ndcg@10")
    assert found.ranks == ((2, 3), (1, 1), None, (2, 3), (4, 4))
    assert (found.resamples, found.seed, found.unit) == (9999, 0, "query")


def test_rank_intervals_of_two_rows_say_what_the_permutation_test_says():
    for gain in (0.0, 0.01, 0.02, 0.04):
        a = RNG.random(200)
        sides = means("a", a), means("b", a + gain + RNG.normal(0, 0.1, 200))
        significant = compared(*sides).p < 0.05
        assert rank_intervals(sides, "ndcg@10").ranks == (((2, 2), (1, 1)) if significant else ((1, 2), (1, 2)))


def test_rank_intervals_seldom_err_where_all_are_equal():
    """Of 60 worlds with six models that differ by luck alone, 5 % may tell two of them apart."""
    erred = 0
    for _ in range(60):
        rows = [means(str(i), v) for i, v in enumerate(RNG.random((6, 100)))]
        erred += set(rank_intervals(rows, "ndcg@10", 199).ranks) != {(1, 6)}
    assert erred <= 9


@pytest.mark.parametrize("measure", ["spearman", "pearson"])
def test_correlations_have_rank_intervals(measure):
    gold = RNG.normal(size=300)
    rows = [pairs(str(s), measure, gold, gold + RNG.normal(0, s, 300)) for s in (0.5, 1.0, 4.0)]
    assert rank_intervals(rows, measure).ranks == ((1, 1), (2, 2), (3, 3))
    assert rank_intervals([rows[0], rows[0]], measure).ranks == ((1, 2), (1, 2))
    assert rank_intervals(rows[:1], measure).ranks == ((1, 1),)


def test_many_rows_leave_their_resamples_enough():
    rows = [means(str(i), 0.01 * i + RNG.normal(0, 0.02, 300)) for i in range(40)]  # 780 pairs
    found = rank_intervals(rows, "ndcg@10", 999).ranks
    assert max(high - low for low, high in found) <= 3


def memories():
    """Every file in which intervals and ranks are remembered."""
    return [path for kind in ("intervals", "ranks") for path in sorted((cache_root() / kind).glob("*"))]


@pytest.mark.parametrize("held", ["[]", "null", '"x"', '{"a": 1}', "[[1, 2]]", "[[1, 2], [0, 2]]", "[" * 100_000])
def test_remembered_intervals_and_ranks_of_another_shape_are_drawn_again(held):
    rows = [means("a", RNG.random(20)), means("b", RNG.random(20))]
    found = statistics.spreads(rows, "ndcg@10")
    assert len(memories()) == 3
    for path in memories():
        path.write_text(held)
    assert statistics.spreads(rows, "ndcg@10") == found


@pytest.mark.parametrize("what", ["LEVEL", "ALPHA", "RESAMPLES", "SEED", "_METHOD", "version"])
def test_what_is_remembered_is_of_one_way_to_draw(what, monkeypatch):
    statistics._libraries.cache_clear()
    before = statistics._drawn([A], "ndcg@10")
    assert (numpy_version, scipy_version) == tuple(before[1:3])
    monkeypatch.setattr(statistics, what, (lambda name: "9") if what == "version" else 0.5)
    statistics._libraries.cache_clear()
    assert statistics._drawn([A], "ndcg@10") != before


A = means("a", [0.5] * 4)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": "u@v"}, "a and b cannot be compared: one is of t@v, the other of u@v"),
        ({"task_version": 2}, "cannot be compared on t@v: different versions of the task, 1 and 2"),
        ({"data": {"sha256": "e"}}, r"different data \(sha256\), d and e"),
        ({"definitions": {"ndcg@10": "ndcg@10/other"}}, "different definitions of ndcg@10, ndcg@10 and ndcg@10/other"),
    ],
)
def test_results_of_different_questions_are_not_compared(change, says):
    other = means("b", [0.5] * 4)
    other = replace(other, result=replace(other.result, **change))
    with pytest.raises(UsageError, match=says):
        compared(A, other)
    with pytest.raises(UsageError, match=says):
        rank_intervals([A, other], "ndcg@10")


def test_items_that_differ_are_never_intersected():
    other = replace(means("b", [0.5] * 4), items=("0", "1", "2", "9"))
    with pytest.raises(UsageError, match="different items, 4 and 4, only one has '3'"):
        compared(A, other)
    with pytest.raises(UsageError, match="in different orders"):
        compared(A, replace(other, items=("1", "0", "2", "3")))
    with pytest.raises(UsageError, match="clustered in different ways"):
        compared(A, means("b", [0.5] * 4, [0, 0, 1, 1]))
    with pytest.raises(UsageError, match="different values of gold"):
        compared(*(pairs(n, "pearson", g, [1.0, 2, 3]) for n, g in (("a", [1.0, 2, 4]), ("b", [1.0, 2, 5]))))


@pytest.mark.parametrize(("draws", "says"), [((98, 0), "98 resamples are too few: 99 or more"), ((99, -1), "seed -1")])
def test_draws_that_cannot_be_are_refused(draws, says):
    for work in (
        lambda: compared(A, A, resamples=draws[0], seed=draws[1]),
        lambda: rank_intervals([A], "ndcg@10", *draws),
    ):
        with pytest.raises(UsageError, match=says):
            work()


@pytest.mark.parametrize(
    ("a", "says"),
    [
        (means("a", [0.5]), "1 query cannot be resampled"),
        (means("a", [0.5, 0.7], [1, 1]), "1 cluster cannot be resampled"),
        (side("a", "ndcg@10", 0.5, {"map@10": [0.5, 0.5]}), "the per-query values lack ndcg@10"),
        (side("a", "ndcg@10", 0.6, {"ndcg@10": [0.5, 0.5]}), "give ndcg@10 0.500000, the result says 0.600000"),
        (pairs("a", "spearman", [1.0, 2, 2], [1.0, 2, 3]), "the measure is undefined on a resample: 3 are too few"),
    ],
)
def test_where_nothing_can_be_drawn_there_is_a_reason_and_no_interval(a, says):
    found = compared(a, a)
    assert says in found.reason
    assert (found.difference, *figures(found), found.interval) == (0.0, None, None, None, "")


@pytest.fixture
def stored(tmp_path):
    list(evaluate(["ngram"], find_tasks(["mini-qa"]), tmp_path))
    ((path, result),) = results.located([tmp_path], print).items()
    return path, result


def test_values_are_read_with_their_clusters(stored):
    values = resample.read(*stored)
    assert (len(values.items), values.units, values.clustered) == (112, 112, False)
    assert values.columns["recall@1"].mean() == pytest.approx(stored[1].scores["recall@1"], abs=1e-12)
    squad = results.located([ROOT / "leaderboards" / "results"], print)
    path, result = next((p, r) for p, r in squad.items() if (r.task, r.model) == ("jsquad@valid1145", "ngram"))
    values = resample.read(path, result)
    assert (len(values.items), values.units, values.drawn) == (4442, 1145, "cluster")


def test_values_that_are_not_the_results_own_are_refused(stored):
    path, result = stored
    beside = path.with_suffix(".values.parquet")
    beside.write_bytes(b"other")
    with pytest.raises(Unavailable, match="not those that were written with the result"):
        resample.read(path, result)
    forged = replace(result, host={**result.host, "values": results.file_sha256(beside)})
    with pytest.raises(Unavailable, match="cannot be read"):
        resample.read(path, forged)
    beside.unlink()
    with pytest.raises(Unavailable, match="no per-query values lie beside"):
        resample.read(path, result)


def test_jqaras_run_files_compare_as_scipy_says(mirror, tmp_path):
    models = [f"run:{mirror / RUNS / name}.lz4" for name in ("ruri-reranker-base", "ruri-large")]
    list(evaluate(models, find_tasks(["jqara@test"]), tmp_path))
    found = {result.model: (path, result) for path, result in results.located([tmp_path], print).items()}
    a, b = (resample.read(*found[name]) for name in ("ruri-reranker-base", "ruri-large"))
    comparison = compared(a, b)
    assert comparison == Comparison(
        task="jqara@test",
        task_version=1,
        measure="ndcg@10",
        a=a.result.scores["ndcg@10"],
        b=b.result.scores["ndcg@10"],
        difference=pytest.approx(-0.113840550187, abs=1e-6),
        low=pytest.approx(-0.122903986432, abs=1e-6),
        high=pytest.approx(-0.10527562797, abs=1e-6),
        p=pytest.approx(0.0002, abs=1e-6),
        items=1667,
        unit="query",
        interval="95 % percentile bootstrap",
        test="paired permutation, per-query values swapped",
        resamples=9999,
        seed=0,
    )
    gain = b.columns["ndcg@10"] - a.columns["ndcg@10"]
    low, high = stats.bootstrap((gain,), np.mean, method="percentile", batch=500, rng=seeded()).confidence_interval
    test = stats.permutation_test((gain,), np.mean, permutation_type="samples", batch=500, rng=seeded())
    assert [low, high, test.pvalue] == pytest.approx(figures(comparison), abs=1e-12)
    assert test.statistic == pytest.approx(comparison.difference, abs=1e-12)
    assert statistics.RESAMPLES == 9999
