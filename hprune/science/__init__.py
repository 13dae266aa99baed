"""Pure functions on arrays: records, scores, selections, statistics, cost. No torch, no files."""
