"""The recommender of a bundle, which serves the code that evaluation measures."""
