"""Vectors: a vector store that is kept equal to the chunks by following their change log.

Belongs here: which vector store, and what is done with each change. Does not belong here: the change log (`chunks/`),
Dagster (`defs/assets/vector_store.py`).
"""
