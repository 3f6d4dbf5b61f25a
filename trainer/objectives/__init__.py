"""What a model is trained for: each objective turns a batch of token ids into a sum of losses and a count of tokens."""
