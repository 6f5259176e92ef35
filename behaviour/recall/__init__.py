"""The recall of recommendation: count channels, their candidates, and the blend of channels."""
