"""Accounts: who may look, and how the factory knows. For the dashboard now, for the web API later."""
