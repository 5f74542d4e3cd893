"""Building: what is stored of a partition -> the file of its chunks, in this process or in several.

Belongs here: one partition (`partition.py`), several at once (`processes.py`, `worker.py`). Does not belong here: text,
chunks, files and their log (`text/`, `chunks/`), Dagster (`defs/assets/vector_inputs.py`).
"""
