"""Stores that are read over the network: URLs, object stores, byte ranges, retries and the cache."""
