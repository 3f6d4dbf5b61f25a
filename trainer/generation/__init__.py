"""Decoding a model: samplers, text from prompts, chat."""
