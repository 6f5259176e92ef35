"""Turn exports of shops and public datasets into a dataset directory."""
