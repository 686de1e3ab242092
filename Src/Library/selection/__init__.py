"""The selection language: which originals are meant, in one argument (docs/SELECTION.md).

`grammar.py` reads the text, `fields.py` knows what can be asked of an original, and `selection.py` joins the two.
"""
