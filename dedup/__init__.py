"""Verdicts across documents. Functions over Arrow batches and NumPy arrays; nothing here knows Beam."""
