"""What a reader sees: tables, figures, the HTML page."""
