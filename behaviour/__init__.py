"""What people do: their events, as arrays, and the models that count these events."""
