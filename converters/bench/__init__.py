"""Reading measured: a store against what people keep skeletons in instead, on any set of annotations."""
