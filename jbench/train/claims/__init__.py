"""The reports' orderings, on small models that are trained for them: arms, commands, verdicts, the table."""
