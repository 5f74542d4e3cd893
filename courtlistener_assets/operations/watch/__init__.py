"""`courtlistener watch`: what is under way, as it changes."""
