"""Pickles read as data, without running what they say, and written."""
