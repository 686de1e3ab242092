"""The commands against the running stack of this checkout.

Nothing but the standard library: whoever runs the stack has no .venv.
"""
