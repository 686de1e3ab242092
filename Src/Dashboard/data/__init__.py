"""What the pages show, as plain data: each function asks one place, and is cached for a few seconds for all viewers.

Raises LedgerUnavailable or TooSlow where it asks the ledger.
"""
