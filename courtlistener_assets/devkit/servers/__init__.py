"""Embedded servers: a real Postgres and a real Redis-compatible server from wheels, for one machine.

Belongs here: starting, stopping and finding them again. Does not belong here: what is stored in them, and any use in
production; there, `POSTGRES_URL` and `REDIS_URL` name servers that others run.
"""
