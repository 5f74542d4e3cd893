"""CourtListener's bulk files: whole tables as CSV, published four times a year, which cost no request.

Belongs here: reading them, choosing rows, and making of them what the API would have served. Does not belong here:
storing (`resources/records/bulk.py`), Dagster (`courtlistener_assets/defs`).
"""
