"""One file per command; each has `run(invocation) -> exit code` and nothing that another command needs.

A command reads its options, calls the engine, and says what came of it. It raises MinirunError and lets cli/main say
it.
"""
