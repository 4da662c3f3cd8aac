"""Reading a store: one video, some frames of it, many videos, the view of PYSKL's DecompressPose."""
