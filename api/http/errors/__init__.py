"""Problem documents (RFC 9457): the closed list, and which error becomes which problem."""
