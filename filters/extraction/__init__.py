"""HTML to text: one engine a file."""
