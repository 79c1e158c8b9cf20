"""Adapters: one file for each way to score text. `load` chooses by the model string."""
