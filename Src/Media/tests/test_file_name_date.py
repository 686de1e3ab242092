"""Dates in file names: what cameras, dash cameras, messengers and screenshots of many languages write."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Media import file_name_date


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IMG_20231225_123456.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("IMG_20231225_123456(1).jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("IMG_20231225_123456_BURST002.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("PXL_20231225_123456789.jpg", datetime(2023, 12, 25, 12, 34, 56, 789000)),
        ("PXL_20231225_123456789.MP.jpg", datetime(2023, 12, 25, 12, 34, 56, 789000)),
        ("VID-20231225-WA0001.mp4", datetime(2023, 12, 25)),
        ("IMG-20231225-WA0001.jpg", datetime(2023, 12, 25)),
        ("Screenshot_2023-12-25-12-34-56.png", datetime(2023, 12, 25, 12, 34, 56)),
        ("Screenshot_20231225-123456.png", datetime(2023, 12, 25, 12, 34, 56)),
        ("2023-12-25 12.34.56.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("2023-12-25 12.34.56-1.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("2023-12-25_12-34-56.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("2023-12-25T12:34:56.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("photo_2023-12-25_12-34-56.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("Screenshot 2023-12-25 at 12.34.56.png", datetime(2023, 12, 25, 12, 34, 56)),
        ("Screenshot 2023-12-25 at 1.34.56\u202fPM.png", datetime(2023, 12, 25, 13, 34, 56)),
        ("Screenshot 2023-12-25 at 12.34.56 AM.png", datetime(2023, 12, 25, 0, 34, 56)),
        ("WhatsApp Image 2023-12-25 at 12.34.56.jpeg", datetime(2023, 12, 25, 12, 34, 56)),
        ("signal-2023-12-25-123456.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("20231225123456.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("20231225.jpg", datetime(2023, 12, 25)),
        ("20231225", datetime(2023, 12, 25)),
        ("2023_12_25 Christmas.jpg", datetime(2023, 12, 25)),
        ("holiday-2023.12.25.heic", datetime(2023, 12, 25)),
        ("20231225_0001.jpg", datetime(2023, 12, 25)),
        ("20231225_999999.jpg", datetime(2023, 12, 25)),
        ("caf\udce9 20231225_123456.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("IMG20231225123456.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("VID20231225123456.mp4", datetime(2023, 12, 25, 12, 34, 56)),
        ("Captura de ecrã 2023-12-25, às 12.34.56.png", datetime(2023, 12, 25, 12, 34, 56)),
        ("Photo 2019-03-04 05 06 07.jpg", datetime(2019, 3, 4, 5, 6, 7)),
        ("2026_0820_045542_F.jpg", datetime(2026, 8, 20, 4, 55, 42)),
        ("2017_0115_120312_345.jpg", datetime(2017, 1, 15, 12, 3, 12)),
        ("20231225_123456_NF.mp4", datetime(2023, 12, 25, 12, 34, 56)),
        ("20231225123456_000123A.MP4", datetime(2023, 12, 25, 12, 34, 56)),
        ("2020_0101_120000_001F.MP4", datetime(2020, 1, 1, 12)),
        ("NO20231225-123456-000001F.MP4", datetime(2023, 12, 25, 12, 34, 56)),
        ("REC_2023_12_25_12_34_56_F.MP4", datetime(2023, 12, 25, 12, 34, 56)),
        ("photo_1@25-12-2023_12-34-56.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("WhatsApp Image 2023-12-25 um 12.34.56.jpg", datetime(2023, 12, 25, 12, 34, 56)),
        ("WhatsApp Image 2023-12-25 at 1.34.56 PM (1).jpeg", datetime(2023, 12, 25, 13, 34, 56)),
        ("Bildschirmfoto 2023-12-25 um 12.34.56.png", datetime(2023, 12, 25, 12, 34, 56)),
        ("Capture d’écran 2023-12-25 à 12.34.56.png", datetime(2023, 12, 25, 12, 34, 56)),
        ("Captura de pantalla 2023-12-25 a las 1.34.56 p. m..png", datetime(2023, 12, 25, 13, 34, 56)),
        ("Schermata 2023-12-25 alle 12.34.56.png", datetime(2023, 12, 25, 12, 34, 56)),
        ("Schermafbeelding 2023-12-25 om 12.34.56.png", datetime(2023, 12, 25, 12, 34, 56)),
        ("Skärmavbild 2023-12-25 kl. 12.34.56.png", datetime(2023, 12, 25, 12, 34, 56)),
        ("Снимок экрана 2023-12-25 в 12.34.56.png", datetime(2023, 12, 25, 12, 34, 56)),
        ("截屏2023-12-25 下午1.34.56.png", datetime(2023, 12, 25, 13, 34, 56)),
        ("스크린샷 2023-12-25 오후 1.34.56.png", datetime(2023, 12, 25, 13, 34, 56)),
        ("スクリーンショット 2023-12-25 12.34.56.png", datetime(2023, 12, 25, 12, 34, 56)),
    ],
)
def test_dates_in_file_names(name: str, expected: datetime) -> None:
    found = next(file_name_date.from_file_name(name), None)
    assert found is not None and found.when == expected


@pytest.mark.parametrize(
    "name",
    [
        "IMG_1234.JPG", "DSC00042.ARW", "20231301_123456.jpg", "20230230.jpg", "12345678.jpg", "30001225.jpg",
        "120231225.jpg", "202312251.jpg", "1703504096789.jpg", "FB_IMG_1703504096789.jpg", "25-12-2023.jpg",
        "scan of 1931-05-01.tif", "VID_19190107_003919_772.jpg", "19700101_010000.jpg", "f20231225e.jpg",
        "a20231225.jpg", "20231225b.jpg", "abc20231225123456.jpg", "2023-1225.jpg", "2023-12.jpg", "",
        ".jpg", "٢٠٢٣١٢٢٥.jpg",
    ],
)  # fmt: skip
def test_no_date_in_the_file_name(name: str) -> None:
    assert list(file_name_date.from_file_name(name)) == []


@pytest.mark.parametrize(
    ("name", "is_utc"),
    [
        ("PXL_20231225_123456789.jpg", True), ("20231225_123456Z.jpg", True), ("2023-12-25T12:34:56Z.jpg", True),
        ("2023-12-25T12_34_56.789Z.jpg", True),
        ("GMT20231225-123456_Recording.mp4", True), ("IMG_20231225_123456.jpg", False),
        ("20231225_123456Zoo.jpg", False),
    ],
)  # fmt: skip
def test_some_names_are_utc(name: str, is_utc: bool) -> None:
    assert next(file_name_date.from_file_name(name)).is_utc is is_utc


def test_a_name_says_how_exact_it_is() -> None:
    assert next(file_name_date.from_file_name("VID-20231225-WA0001.mp4")).precision == "day"
    assert next(file_name_date.from_file_name("IMG_20231225_123456.jpg")).precision == "second"


MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31))


@given(MOMENTS.map(lambda moment: moment.replace(microsecond=0)))
def test_every_date_is_read_back_from_a_name(when: datetime) -> None:
    for form in ("IMG_%Y%m%d_%H%M%S.jpg", "%Y-%m-%d %H.%M.%S.jpg", "x@%d-%m-%Y_%H-%M-%S.jpg"):
        assert next(file_name_date.from_file_name(when.strftime(form))).when == when


@given(st.text())
def test_no_name_is_a_trap(name: str) -> None:
    list(file_name_date.from_file_name(name))
