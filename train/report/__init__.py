"""The report of a training run as a page of HTML."""
