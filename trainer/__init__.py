"""Token shards to a streaming loader, a model, a training loop, checkpoints and generated text."""
