"""The rows of wanted courts as a dataset of Parquet files by court and year, without a database.

Belongs here: types, order and files of the dataset, and reading documents from it. Does not belong here: choosing rows
(`download/bulk/passes.py`), plans and words (`operations/corpus.py`).
"""
