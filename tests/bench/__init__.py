"""The benchmark this project ships: `make bench`, or `python -m tests.bench --help`.

Every number that is compared with another comes from the same run on the same machine, in turns
of a second or two. Nothing here is a test: a slow machine fails nobody's build.
"""
