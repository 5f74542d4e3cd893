"""Everything on one machine: the servers, the simulator and Dagster for `courtlistener dev`, `run` and `demo`."""
