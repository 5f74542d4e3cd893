"""The permit path as an explicit model, and a checker that visits all its states: `make prove`."""
