"""Kinds of files that stores are exported to: pickles of annotations, tables of contents with kpfiles, folders."""
