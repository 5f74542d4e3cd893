"""`courtlistener doctor`: looks for what is set up wrong, and says what to do about it.

Each module checks one thing that can be wrong and returns findings; `examination.py` runs them all.
"""
