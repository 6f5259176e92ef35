"""The steps of a training run, from a dataset to a bundle."""
