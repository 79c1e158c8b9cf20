"""A board's definition, results and published numbers make one table, which `jbench.render` turns into text."""

from jbench.board.draw import draw
from jbench.board.rows import full_revision, is_older, labels, of_tasks, row_of
from jbench.board.table import COSTS, Cell, Row, Table

__all__ = ["COSTS", "Cell", "Row", "Table", "draw", "full_revision", "is_older", "labels", "of_tasks", "row_of"]
