"""The tickets in use, as readers see them."""
