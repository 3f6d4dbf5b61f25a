"""Shards to batches: which tokens a training step sees is a function of (manifest, seed, sequence number) alone."""
