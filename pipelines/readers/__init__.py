"""Input files to batches of documents: one format a file."""
