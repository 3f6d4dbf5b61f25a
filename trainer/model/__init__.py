"""The model family and its parts."""
