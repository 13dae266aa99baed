"""Where samples come from and how a kind of task is judged: one file a kind."""
