"""Data files as tables: each cell as it stands in its file, text where the file has no types."""
