"""Values of options: text in, one frozen value out, each read once, at the edge.

Each module is a topic; the option table names a function as "topic.function". A function takes the text as it was
given and raises InvalidInput with a sentence in docker's words where docker has one. For a list option it gives a
tuple (one `-p 80-82:80-82` is three port mappings, `-e NAME` of an unset variable is none), for a map option a tuple
of (key, value).
"""
