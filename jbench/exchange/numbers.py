"""Numbers that others measured: ``summary.json`` of JMTEB v1, and long tables. They are shown, never measured here."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from jbench.files import safe_name, write
from jbench.published import COLUMNS, IMPORTED, VERSION, PublishedCell, collected, imported
from jbench.registry import own_tasks
from jbench.types import InvalidScores, Unavailable, UsageError

JMTEB = {
    "amazon_counterfactual_classification": "amazon-counterfactual-ja",
    "amazon_review_classification": "amazon-reviews-ja",
    "massive_intent_classification": "massive-intent-ja",
    "massive_scenario_classification": "massive-scenario-ja",
    "livedoor_news": "livedoor-news",
    "mewsc16": "mewsc16-ja",
    "jsick": "jsick",
    "jsts": "jsts",
    "paws_x_ja": "paws-x-ja",
    "jagovfaqs_22k": "jagovfaqs",
    "jaqket": "jaqket",
    "mrtydi": "mrtydi-ja",
    "nlp_journal_abs_intro": "nlp-journal-abs-intro",
    "nlp_journal_title_abs": "nlp-journal-title-abs",
    "nlp_journal_title_intro": "nlp-journal-title-intro",
    "esci": "esci-ja",
}
"""The 16 data sets of github.com/sbintuitions/JMTEB v1.3.3 by their names there, and the tasks ``NAME@jmteb-v1``."""

_V1_ALONE = "paws_x_ja"
"""The data set that JMTEB v1.4.0 no longer has (its src/jmteb/configs); it has the other 15, and 13 more."""

_NEEDED = COLUMNS[:4]
_WRITTEN = [*COLUMNS, VERSION]
_DECIMALS, _OF_JMTEB = 6, 7  # of a binary float; see `jbench.published`
_PLAIN = re.compile(rf"-?\d\.\d{{1,{_DECIMALS}}}", re.ASCII)

Rows = list[tuple[str, list[str]]]
"""Where in a file each number stands, and its row of `_WRITTEN`."""


def bring(path: Path, name: str | None, root: Path, say: Callable[[str], None]) -> tuple[PublishedCell, ...]:
    """Import a file of numbers into ``RESULTS/imported``: all of it or, where anything is amiss, nothing.

    ``.json`` is a ``summary.json`` of JMTEB v1, of the model ``name`` or of that in its path,
    ``results/ORG/NAME/summary.json``; ``.csv`` and ``.parquet`` are tables as `COLUMNS`, where decimals,
    source and note may lack. Other columns are named to ``say``. The same file may be imported again.

    :raises Unavailable: when there is no such file.
    :raises UsageError: naming the file and the place in it of what is no number of a known task, or was
        imported from another file.
    :raises InvalidScores: for a number that is not finite.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from error
    mark = sha256(raw).hexdigest()[:12]
    source = f"{IMPORTED}: {path.name}, sha256 {mark}"
    try:
        label, rows = _read(path, raw, name, source, say)
        cells = collected(rows, _WRITTEN, IMPORTED)
        if not cells:
            raise UsageError("it holds no number")
        _new(cells, source, root, say)
        text = _csv_of(cells).encode()
    except (UsageError, InvalidScores) as error:
        raise type(error)(f"{path.name}: {error}") from error
    except UnicodeEncodeError as error:
        raise UsageError(f"{path.name!r}: a name that is no text ({error})") from error
    write(root / IMPORTED / f"{safe_name(label)}.{mark}.csv", text)
    return cells


def _read(path: Path, raw: bytes, name: str | None, source: str, say: Callable[[str], None]) -> tuple[str, Rows]:
    """What to call the import, and the rows of the file."""
    if path.suffix == ".json":
        model = name or _named(path)
        return model, _summary(raw, model, source)
    if path.suffix not in (".csv", ".parquet"):
        raise UsageError("numbers come as .json (summary.json of JMTEB), .csv or .parquet; a run file needs --task ID")
    if name:
        raise UsageError("--name does not apply: a table names its models")
    return path.stem, _table(raw, source, path, say)


def _csv_of(cells: tuple[PublishedCell, ...]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)  # else a lone carriage return stands bare
    writer.writerow(_WRITTEN)
    for one in cells:
        writer.writerow(
            [one.model, one.task, one.measure, one.printed, one.decimals, one.source, one.note, one.version]
        )
    return text.getvalue()


def _new(cells: tuple[PublishedCell, ...], source: str, root: Path, say: Callable[[str], None]) -> None:
    """Refuse numbers that another file gave: which of the two is right is not for a machine to say."""
    known = {cell.place: cell for cell in imported([root], say) if not cell.source.startswith(source)}
    if twice := next((known[cell.place] for cell in cells if cell.place in known), None):
        raise UsageError(
            f"{twice.measure} of {twice.task} of {twice.model} was imported before ({twice.source}); "
            f"to replace it, delete that file in {root / IMPORTED}"
        )


def _named(path: Path) -> str:
    """The model in a path like JMTEB's own, ``docs/results/ORG/NAME/summary.json``."""
    *_, home, organisation, model, _ = ("", "", "", *Path(os.path.abspath(path)).parts)
    if home != "results":
        raise UsageError("it does not say whose numbers it holds: give --name NAME")
    return f"{organisation}/{model}"


def _summary(raw: bytes, model: str, source: str) -> Rows:
    """Kind of task, data set, metric and score, a fraction, as JMTEB v1 writes them (score_recorder.py)."""
    try:
        tree = json.loads(raw, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"it is no JSON ({error})") from error
    rows = []
    for kind, sets in _inside(tree, "it"):
        for data, metrics in _inside(sets, kind):
            where = f"{kind}/{data}"
            if data not in JMTEB:
                unknown = [name for one in tree.values() if isinstance(one, dict) for name in one if name not in JMTEB]
                raise UsageError(
                    f"no data set of JMTEB v1, so of another version or one's own: {', '.join(unknown):.300}"
                )
            task = own_tasks()[f"{JMTEB[data]}@jmteb-v1"]
            if kind.lower() != task.kind.replace("-", ""):
                raise UsageError(f"{where}: {data} is not of this kind but {task.kind}")
            for metric, score in _inside(metrics, where):
                if metric.removesuffix("_score") != task.main:
                    raise UsageError(f"{where}: {metric!r} is not its metric in JMTEB v1, {task.main}")
                figure = _figure(score, f"{where}/{metric}", _OF_JMTEB)
                rows.append((f"{where}/{metric}", [model, task.id, task.main, *figure, source, "", str(task.version)]))
    if rows and not any(task == f"{JMTEB[_V1_ALONE]}@jmteb-v1" for _, (_, task, *_) in rows):
        raise UsageError(
            f"all its data sets are in JMTEB v1 and in v1.4 alike (v1 alone has {_V1_ALONE}), whose figures differ; "
            "give the whole summary of v1, or a table (model, task, measure, value) that names the tasks, such as "
            "jsts@jmteb-v1"
        )
    return rows


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return found


def _inside(tree: Any, where: str) -> list[tuple[str, Any]]:
    if not isinstance(tree, dict):
        raise UsageError(
            f"{where} is no object: expected {{kind: {{data set: {{metric: score}}}}}}, as JMTEB v1 writes "
            "summary.json (a run file needs --task ID)"
        )
    return list(tree.items())


def _table(raw: bytes, source: str, path: Path, say: Callable[[str], None]) -> Rows:
    columns, table = _parquet(raw) if path.suffix == ".parquet" else _csv(raw)
    if twice := next((column for column in columns if columns.count(column) > 1), None):
        raise UsageError(f"column {twice!r} stands twice")
    if missing := [column for column in _NEEDED if column not in columns]:
        raise UsageError(
            f"it has no column {', '.join(missing)}; a table has {', '.join(COLUMNS)}, the last three at will"
        )
    if stray := [column for column in columns if column not in _WRITTEN]:
        say(f"{path.name}: not read: column {', '.join(stray)}")
    rows = []
    for number, given in enumerate(table, 1):
        where = f"row {number}"
        texts = [given.get(column) for column in ("model", "task", "measure", "source", "note")]
        if wrong := next((text for text in texts if not isinstance(text, str | None)), None):
            raise UsageError(f"{where}: {wrong!r} is no text")
        model, task, measure, said, note = (text or "" for text in texts)
        known, asked = own_tasks().get(task), given.get(VERSION)
        version = str(known.version) if known else ""
        if known and asked not in (None, "") and str(asked) != version:
            raise UsageError(f"{where}: a number under version {asked} of {task}, which is at {version} here")
        figure = _figure(given["value"], where, given.get("decimals"))
        rows.append((where, [model, task, measure, *figure, f"{source}: {said}" if said else source, note, version]))
    return rows


def _csv(raw: bytes) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        lines = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True)
        columns, *rows = [line for line in lines if line] or [[]]
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"it is no CSV ({error})") from error
    if wrong := next((i for i, row in enumerate(rows, 1) if len(row) != len(columns)), None):
        raise UsageError(f"row {wrong} has {len(rows[wrong - 1])} fields, not {len(columns)}")
    return columns, [dict(zip(columns, row, strict=True)) for row in rows]


def _parquet(raw: bytes) -> tuple[list[str], list[dict[str, Any]]]:
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(raw))
        return table.column_names, table.to_pylist()
    except Exception as error:  # pyarrow's errors are many
        raise UsageError(f"it is no parquet file ({' '.join(str(error).split())[:200]})") from error


def _figure(given: Any, where: str, decimals: Any = None) -> list[str]:
    """A value as `jbench.published` writes it, and its decimals: as printed, or six of a binary float.

    :raises UsageError: for what is no number between -1 and 1.
    :raises InvalidScores: for one that is not finite.
    """
    if isinstance(given, bool) or not isinstance(given, int | float | str) or "_" in str(given):
        raise UsageError(f"{where}: value {given!r:.40} is no number")
    try:
        value = float(given)
        places = _DECIMALS if decimals in (None, "") else int(decimals)
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(f"{where}: value {given!r:.40} with decimals {decimals!r:.40} is no number") from error
    if not math.isfinite(value):
        raise InvalidScores(f"{where}: value {given!r:.40} is not finite")
    if not -1 <= value <= 1 or not 1 <= places <= 16:
        raise UsageError(
            f"{where}: value {given!r:.40} with {places} decimals is no fraction between -1 and 1, such as 0.83"
        )
    printed = decimals in (None, "") and isinstance(given, str) and _PLAIN.fullmatch(given)
    text = str(given) if printed else f"{value:.{places}f}"
    return [text, str(len(text.partition(".")[2]))]
