"""Tests of the objects."""
