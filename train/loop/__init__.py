"""The training loop, its checkpoints and its mesh of devices."""
