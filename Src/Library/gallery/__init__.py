"""The originals as people look through them: in an order, by days, a piece of a day at a time (`feed.py`), and taken
out as they are (`handing_out.py`)."""
