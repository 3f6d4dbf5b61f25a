"""The road: a recipe becomes phases, phases become units of work, units become committed outputs."""
