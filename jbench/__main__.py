"""``python -m jbench``."""

from jbench.cli import main

main()
