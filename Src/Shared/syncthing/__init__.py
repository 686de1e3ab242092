"""Syncthing, which brings photos from phones and PCs into the inbox: asked and set up through its REST interface.

`client.py` asks it, `inbox_folders.py` says what a folder of the inbox must be like, `provision.py` makes it so,
`devices.py` lets phones in, `overview.py` is all there is to show or to watch.
"""
