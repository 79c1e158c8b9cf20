"""Boards made up for the page: as large as a field's, with everything a cell can have, and with hostile names."""

from __future__ import annotations

import random
from dataclasses import replace

from jbench.board import Cell, Row, Table
from jbench.exposure import SEEN, Evidence, Exposure, means
from jbench.registry import Average, Board, Column

MEASURES = ("ndcg@10", "recall@1", "map@10", "spearman")
HOSTILE = (
    "<script>document.title='owned'</script>",
    "</script><img src=x onerror=alert(1)>",
    "<!-- <script>",
    "\"><b onmouseover='alert(1)'>bold</b>&amp;",
    "evil\u202egpj.exe",
    "zero\u200bwidth\x07bell",
    '=HYPERLINK(1), "quoted"\nline',
    '{{script}} {n} data-t="close"',
    "日本語／モデル",
)


def board(tasks: int, name: str = "made-up") -> Board:
    columns = tuple(
        Column(task=f"task-{i}@made-up", version=1, measure=MEASURES[i % len(MEASURES)], title=f"Task {i}")
        for i in range(tasks)
    )
    return Board(
        name=name,
        version=1,
        title=f"{name}: a board of {tasks} tasks",
        status="draft",
        columns=columns,
        average=Average(name=f"mean of {tasks}", over=tuple(column.id for column in columns)),
        published=("ruri", "jmteb-v1"),
        note="Every figure is made up.",
    )


def exposed(dice: random.Random, task: str) -> Exposure | None:
    flag = dice.choice(["unseen"] * 5 + ["unknown"] * 3 + [*SEEN, ""])
    if not flag:
        return None
    domain = "in-domain" if flag in SEEN else "out-of-domain" if flag == "unseen" else "unknown"
    said = Evidence(f"{task}:test", task, flag, f"table {dice.randrange(9)} of a report", "stated")
    against = replace(said, flag="unseen", said="a model card", confidence="inferred", conflicts=True)
    conflict = flag in SEEN and dice.random() < 0.2
    return Exposure(flag, domain, (said, against) if conflict else () if flag == "unknown" else (said,))


def cell(dice: random.Random, column: Column, skill: float, published: bool) -> Cell | None:
    if dice.random() < 0.04:
        return None
    value = min(max(dice.gauss(skill, 0.06), 0.01), 0.99)
    exposure = exposed(dice, column.task)
    if published:
        notes = ("512 tokens at most",) + (("printed with a slip",) if dice.random() < 0.05 else ())
        return Cell(round(value, 4), decimals=4, source="a report, table 2", notes=notes, exposure=exposure)
    counts = tuple(dice.randrange(400) for _ in range(20)) if column.measure != "spearman" else None
    low = dice.randrange(1, 60)
    return Cell(
        value,
        ties=(value - 0.004, value + 0.003) if dice.random() < 0.1 else None,
        apart="measured on other data (sha256 0123456789ab; the column's is ba9876543210)"
        if dice.random() < 0.01
        else "",
        exposure=exposure,
        interval=(value - 0.013, value + 0.013),
        ranks=(low, low + dice.randrange(9)),
        histogram=counts,
    )


def made_up(models: int = 200, tasks: int = 16, seed: int = 0, names: tuple[str, ...] = ()) -> Table:
    """Rows in the order of `draw`: complete ones by their average, then the others."""
    dice = random.Random(seed)
    shape = board(tasks)
    rows = []
    for i in range(models):
        label = (
            names[i]
            if i < len(names)
            else f"maker-{dice.randrange(40)}/model-{i}-{dice.choice(['small', 'base', 'large'])}"
        )
        published = "" if dice.random() < 0.5 else dice.choice(["Ruri report", "JMTEB v1"])
        skill = dice.uniform(0.45, 0.85)
        cells = tuple(cell(dice, column, skill, bool(published)) for column in shape.columns)
        counted = [one.value if one and not one.apart else None for one in cells]
        cost = {"parameters": float(dice.choice([0, 33, 118, 337, 560, 7110]) * 10**6)} if dice.random() < 0.8 else {}
        if cost and not published:
            cost |= {"dimension": float(dice.choice([384, 768, 1024])), "ms_per_query": round(dice.uniform(1, 40), 2)}
        rows.append(
            Row(
                label=label,
                model=label,
                revision="" if published else f"{dice.randrange(16**12):012x}",
                adapter="" if published else dice.choice(["dense", "colbert", "sparse"]),
                variant={"pooling": "cls"} if dice.random() < 0.05 else {},
                unprompted=("query",) if dice.random() < 0.05 else (),
                truncated=0 if published or dice.random() < 0.7 else dice.randrange(1, 900),
                cells=cells,
                average=None if None in counted else sum(counted) / len(counted),
                published=published,
                means={
                    domain: mean
                    for domain, mean in means(counted, [one.exposure if one else None for one in cells]).items()
                    if mean.columns
                },
                cost=cost,
            )
        )
    ordered = tuple(sorted(rows, key=lambda row: (-2 if row.average is None else -row.average, row.label)))
    ordered = tuple(sorted(ordered, key=lambda row: row.average is None))
    return Table(shape, ordered, method="95 % percentile bootstrap over queries", complaints=("nothing was left out",))
