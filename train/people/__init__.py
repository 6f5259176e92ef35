"""Training of the user tower: examples, residuals, the training itself, and its evaluation."""
