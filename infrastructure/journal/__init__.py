"""The journal: reads of the audit log, and the actions of operators."""
