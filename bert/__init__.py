"""Flax BERT: the model, Hugging Face weights, tokens, shape buckets and numerics."""
