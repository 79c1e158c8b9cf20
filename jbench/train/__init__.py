"""Reference trainers: the reports' recipes, the losses that no library has, training by sentence-transformers."""
