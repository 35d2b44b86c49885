"""The commands of auditors: search, the past, exports and their verification."""
