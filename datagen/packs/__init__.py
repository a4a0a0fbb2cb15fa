"""Tools for people who write prompt packs: a new one from their data, a lint, a comparison of two versions.

`new.py` writes a pack that knows the data (`figures.py`, `known.py`, `checklist.py`); `check.py` finds what
is wrong with one (`mending.py`, `seeds.py`); `diff.py` runs two over the same images (`page.py`).
"""
