"""Tracking: persons of a compressed store as rows of a dense one."""
