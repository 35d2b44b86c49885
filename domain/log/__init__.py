"""The log of events, as the domain sees it: its ports and its hash chain."""
