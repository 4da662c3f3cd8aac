"""Stores made of stores: merged, cut down, or with other tables."""
