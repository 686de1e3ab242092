"""Export: originals that a selection means, copied to a folder outside the factory (docs/EXPORT.md).

Nothing here writes in the vault, and nothing replaces what stands at the destination.
"""
