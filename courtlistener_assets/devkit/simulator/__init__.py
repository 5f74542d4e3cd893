"""A stand-in CourtListener server for demos and tests; it answers as the real one was recorded to.

Belongs here: everything that plays the server. Does not belong here: anything of its clients; the rest of the package
must not import it except to start it.
"""

from courtlistener_assets.devkit.simulator.accounts import Account
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.expected import expected
from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.devkit.simulator.generator import generate
from courtlistener_assets.devkit.simulator.server import Simulator

__all__ = ["Account", "Corpus", "Fault", "Simulator", "expected", "generate"]
