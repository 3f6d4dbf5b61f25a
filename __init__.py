"""Gristmill: raw text in; clean, unique, private, tokenised text out; a trained model at the end.

The map of the house, in the order in which the data meets its rooms:

- `document`, `config`, `console`, `exchange`, `text`: what every room shares. What flows, how it is configured, what is
  said of it, how it changes place, and how compiled loops read it.
- `pipelines`: the road. A recipe becomes phases, phases become units, units become committed outputs; the readers, the
  ledger, the report, and everything that knows Apache Beam.
- `filters`: verdicts and edits on one document: extraction, language, quality, personal data.
- `dedup`: verdicts across documents: exact, MinHash, verification, clusters; repeated lines and passages.
- `tokenize`: text to token ids to Arrow shards. It has no `__init__.py`, for ever: a regular package of that name in
the
  working directory would shadow the standard library's `tokenize`.
- `trainer`: shards to a streaming loader, a model, a training loop, checkpoints, generated text.
- `deploy`: what submits and launches, nothing else.
"""

__version__ = "0.1.0"
