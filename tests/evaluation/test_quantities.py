"""Numbers with units, dates and times: what is the same, and what only looks so."""

import pytest

from doctune.evaluation.quantities import read_names, read_quantities


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("4,000 litres", "4000 l"),
        ("sixty-six litres", "66 litres a day"),
        ("15 minutes", "a quarter of an hour"),
        ("14 days", "two weeks"),
        ("16 metres per second", "16 m/s"),
        ("24,689 million dollars", "$24.689 billion"),
        ("7 %", "seven per cent"),
        ("-9 degrees Celsius", "minus 9 °C"),
        ("25 °C", "25 degrees"),
        ("14 May 2024", "May 14th, 2024"),
        ("14 May 2024", "2024-05-14"),
        ("19:00", "7 pm"),
        ("10:30", "half past ten"),
        ("12 working days", "twelve days"),
        ("512 MB", "512 megabytes"),
        ("3.5 days", "three and a half days"),
        ("20 crowns", "20"),
        ("1.4 µA", "1.4 microamperes"),
        ("6 layers", "six identical layers"),
    ],
)
def test_the_same_quantity(first: str, second: str) -> None:
    (one,), (other,) = read_quantities(first), read_quantities(second)
    assert one.same(other)
    assert other.same(one)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("16 metres per second", "16 km/h"),
        ("512 MB", "512 GB"),
        ("48 hours", "48 minutes"),
        ("24,689 million dollars", "$24,689"),
        ("25 °C", "25 °F"),
        ("14 May 2024", "15 May 2024"),
        ("07:00", "7 pm"),
        ("210 pounds", "210 euros"),
        ("10 ml", "10 mg"),
        ("6 layers", "6 heads"),
        ("9 degrees", "-9 degrees"),
    ],
)
def test_another_quantity(first: str, second: str) -> None:
    (one,), (other,) = read_quantities(first), read_quantities(second)
    assert not one.same(other)
    assert not other.same(one)


def test_numbers_in_names_are_no_quantities() -> None:
    text = "The Nimbrel 7 takes SK-2040 at A02; /etc/doc/a.conf has 3 lines."
    assert [one.text for one in read_quantities(text)] == ["3 lines"]
    assert [name for _, name in read_names(text)] == [
        "nimbrel 7",
        "sk2040",
        "a02",
        "/etc/doc/a.conf",
    ]


@pytest.mark.parametrize("text", ["Every 180 days", "Until 30 September 2031", "About 20 litres"])
def test_a_capital_at_the_start_makes_no_name(text: str) -> None:
    assert read_names(text) == []
    assert len(read_quantities(text)) == 1
