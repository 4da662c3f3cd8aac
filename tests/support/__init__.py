"""Helpers of the tests. No tests are here."""
