"""A stand-in CourtListener server for demos and tests; it answers as the real one was recorded to.

Belongs here: everything that plays the server. Does not belong here: anything of its clients; the rest of the package
must not import it except to start it.
"""
