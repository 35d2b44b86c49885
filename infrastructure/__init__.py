"""Everything that touches the outside: stores, settings, files, logging.

From a command to the disk: `writer.py` decides `batch.py` by batch, on what `ticket_log.py` reads;
it encodes (`codec.py`) and hands stored events to an `ordered_log.py`, which is kept by
`sqlite/log.py` and `mongodb/log.py`. Whoever has no commands to decide appends by `appender.py`.
Both doors queue in a `group_commit.py`.
"""
