"""The arrays of the GCN code bases: CTR-GCN, ST-GCN, 2s-AGCN and the files that they make on the way."""
