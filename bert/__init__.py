"""BERT in Flax: the model, its Hugging Face weights, tokens, compiled shapes, and numerics."""
