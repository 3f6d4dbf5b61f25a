"""Quality rules: one family a file."""
