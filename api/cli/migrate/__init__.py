"""The commands of a migration: each calls one use case and prints the outcome."""
