"""Kinds of files that several dialects read: pickles of annotations, arrays, zip files, tables of videos, folders."""
