"""Subcommands of `courtlistener` that have a module of their own; `cli.py` adds them.

Belongs here: names, options and help. Does not belong here: what they do (`operations/`, `defs/`).
"""
