"""Conversion between the messages of the contract and the records of the engine."""
