"""Benchmarks: minirun beside docker, podman, runc and crun, in one run on one machine. `make bench`."""
