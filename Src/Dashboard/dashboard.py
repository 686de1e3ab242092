"""The dashboard's entry, which Streamlit runs for each viewer: login, then the page that was asked for.

The pages are in `views/`, a name that means nothing to Streamlit: it would serve the files of a folder `pages` by
itself, without asking for the password.
"""

from __future__ import annotations

import streamlit as st

from Src.Dashboard.login import require_login
from Src.Dashboard.look import set_up
from Src.Dashboard.views import activity, library, map, overview, phone, problems, services


def main() -> None:
    set_up()
    require_login()
    st.navigation(
        [
            st.Page(overview.show, title="Overview", icon=":material/speed:", default=True),
            st.Page(library.show, title="Library", icon=":material/photo_library:", url_path="library"),
            st.Page(map.show, title="Map", icon=":material/map:", url_path="map"),
            st.Page(activity.show, title="Activity", icon=":material/history:", url_path="activity"),
            st.Page(problems.show, title="Problems", icon=":material/error_outline:", url_path="problems"),
            st.Page(services.show, title="Services", icon=":material/dns:", url_path="services"),
            st.Page(phone.show, title="Phone", icon=":material/smartphone:", url_path="phone"),
        ]
    ).run()


main()
