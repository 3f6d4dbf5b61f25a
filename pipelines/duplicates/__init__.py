"""Phase 2, across documents: who is a duplicate of whom, and what of a text stands elsewhere.

Steps in their order, each a list of units; text never crosses a shuffle, hashes do:

    urls, exact          of documents with one address, or one content, one stays (a sieve in front, if the recipe says)
    candidates           documents that agree in a band of their signatures
    components           provisional clusters of these, dealt to partitions
    shingles             the sets, or signatures, of the candidates, to their partitions
    verify               each candidate pair measured, and who stays
    paragraphs, substring  repeated lines and passages, cut out
    index                what later runs need, so as to be deduplicated against this one

Each step sees what the steps before it left (see `standing`). Documents of earlier runs take part as more units, whose
records nobody drops (see `index`).
"""

VERSION = 3
