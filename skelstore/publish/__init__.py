"""Stores that are published at a URL, and copied from there: push and pull."""
