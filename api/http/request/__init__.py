"""Parts of a request, read and checked: caller, conditions, page, moment, filter."""
