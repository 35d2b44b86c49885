"""The ways in: HTTP and the command line, over one composition root (`api/composition.py`)."""
