"""HTML to text: one engine a file."""

from .resiliparse import Extract, ExtractSettings

__all__ = ["Extract", "ExtractSettings"]
