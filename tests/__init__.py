"""The tests; a package, so that a `tests` of another distribution cannot come before it."""
