"""Making stores from stores: merging, subsetting, and revising tables."""
