"""What lies on disk: runs, score tables, studies. Files appear whole or not at all."""
