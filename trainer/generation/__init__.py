"""Text from a model: how a token is drawn, how text grows out of tokens, and a conversation made of it."""
