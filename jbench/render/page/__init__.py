"""The parts of the page over a board: what Python fills in, and what the browser runs."""
