"""Training data that a language model writes: the kinds, the endpoint, the pipeline."""
