"""Verdicts and edits on one document. Functions over Arrow batches; nothing here knows Beam."""
