"""One table at the end of ``nox -s bench``."""

from tests.benchmarks.rows import ROWS


def pytest_terminal_summary(terminalreporter):
    if not ROWS:
        return
    terminalreporter.section("jbench against its peers: ratios below 1 are in its favour")
    fixed = ("row", "median", "least", "most", "rounds", "goal")
    for row in ROWS:
        more = ", ".join(f"{key} {value}" for key, value in row.items() if key not in fixed)
        goal = f", goal {row['goal']}" if row["goal"] else ""
        spread = f"{row['median']:.3f} ({row['least']:.3f} to {row['most']:.3f}, {row['rounds']} rounds{goal})"
        terminalreporter.write_line(f"{row['row']}: {spread} {more}".rstrip())
