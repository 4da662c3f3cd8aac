"""``skelstore view``: a server on this machine that shows the skeletons of stores in a browser."""
