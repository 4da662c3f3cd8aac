"""Helpers of the tests: no test is here."""
