"""Writing a store: parts, their joining, and files that appear whole."""
