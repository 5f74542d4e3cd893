"""Asset checks, by what they judge.

Belongs here: what is asked about the stored rows and the chunks. Does not belong here: the SQL
(`resources/records/audit.py`).
"""
