"""One file per command of `minirun-oci`: read what was asked, call the runtime, say the answer.

Each has `run(invocation) -> exit code`, and imports what it uses and no more.
"""
