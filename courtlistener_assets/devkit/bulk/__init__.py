"""Bulk files as CourtListener publishes them, invented, at any size: for tests, benchmarks and the demo."""
