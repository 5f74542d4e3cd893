"""Chunks: clean text -> chunks -> rows -> a Parquet file a partition; `chunking.py` and `table.py` are where to begin.

Belongs here: everything between clean text and the file. Does not belong here: cleaning (`text/`), Dagster
(`assets/vector_inputs.py`).
"""
