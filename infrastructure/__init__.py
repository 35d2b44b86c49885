"""Everything that touches the outside: stores, settings, files, logging.

From a command to the disk: `log/writer.py` collects commands and has `domain/deciding.py` decide
them, a batch at a time, on histories that `log/ticket_log.py` reads. The events are encoded by
`log/codec.py` and committed to the store's `OrderedLog` (`sqlite/log.py` or `mongodb/log.py`).
`log/appender.py` appends events that were decided elsewhere. Both queue in a `log/group_commit.py`.
"""
