"""What a log is to the domain: streams, the hash chain, and the ports."""
