"""Everything that knows Apache Beam: units in, hash blocks through the shuffle, the public transforms."""
