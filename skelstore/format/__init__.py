"""The store format: what reading and writing agree on (docs/format.md)."""
