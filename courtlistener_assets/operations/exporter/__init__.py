"""`courtlistener metrics`: everything that Prometheus may want to know, from one process for all workers.

What workers count comes from their totals in Postgres (`resources/telemetry/metrics.py` says why), everything else is
read from Postgres, Redis and Dagster's storage at each scrape. The exporter keeps nothing: it may be stopped, moved and
started at will.
"""
