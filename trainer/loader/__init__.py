"""Token shards to batches: which sequence is which, exactly resumable."""
