"""Containers for other people's tests: the pytest plugin. Loaded by pytest alone, through the entry point `pytest11`."""
