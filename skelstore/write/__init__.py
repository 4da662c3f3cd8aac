"""Writing a store: parts, joining them, and files that appear only when they are complete."""
