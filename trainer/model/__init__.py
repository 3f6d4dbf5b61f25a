"""The model, in parts: config, norms, positions, attention, feed-forward, the decoder made of them, and its size."""
