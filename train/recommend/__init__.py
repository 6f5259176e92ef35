"""Training of recommendation: channels, the blend of channels, and the ranker."""
