"""The XMP files beside originals: they say what people decided, and what other programs write there is taken over.

`writing.py` writes what is not said yet, a batch at a time; `foreign.py` knows what another program has changed;
`looking.py` notices that one has. docs/OVERLAY.md has the rules.
"""
