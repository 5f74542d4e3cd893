"""Text: a field of the API -> clean text, in pure functions; `cleaning.py` is where to begin.

Belongs here: what a cleaner takes out, joins and keeps. Does not belong here: how clean text is cut (`chunks/`).
"""
