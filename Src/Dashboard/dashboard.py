"""The dashboard's entry, which Streamlit runs for each viewer: login, then the page that was asked for.

The pages are in `views/`, a name that means nothing to Streamlit: it would serve the files of a folder `pages` by
itself, without asking for the password.
"""

from __future__ import annotations

import streamlit as st

from Src.Dashboard import act_bar, addresses, resources
from Src.Dashboard.login import require_login
from Src.Dashboard.look import set_up


def main() -> None:
    set_up()
    require_login(resources.settings().dashboard_users)
    names = [name for name in addresses.PAGES if name != "logins" or resources.sessions is not None]
    chosen = st.navigation([addresses.page(name) for name in names])
    st.set_page_config(page_title=f"{chosen.title} · Photo Factory")
    act_bar.show()
    photo = addresses.asked("photo")
    if photo is not None and chosen.url_path != "gallery":  # once each page showed photos
        addresses.link("Open this photo in the gallery", "gallery", icon=":material/photo:", photo=photo)
    chosen.run()


main()
