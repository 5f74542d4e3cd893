"""Asset checks of the stored rows and the chunks; their SQL is in `resources/records/audit.py`."""
