"""The command line: data on stdout, everything else on stderr, an exit code per outcome."""
