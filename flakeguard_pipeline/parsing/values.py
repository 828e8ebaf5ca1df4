"""Numbers and times as reports write them. Nothing here raises: what cannot be read is None."""

import re
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

MAX_DURATION_S = Decimal(366 * 24 * 3600)
"""Longer than a year is no duration of a test in seconds: such reports count in another unit."""

MAX_VALUE_CHARACTERS = 64
"""Characters of a number or a time: longer text is neither."""

_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+")
_LINE = re.compile(r"[0-9]{1,9}")
_MICRO = Decimal(1_000_000)
_ISO_DURATION = re.compile(r"P(?:([0-9.,]+)D)?(?:T(?:([0-9.,]+)H)?(?:([0-9.,]+)M)?(?:([0-9.,]+)S)?)?", re.IGNORECASE)
_CLOCK_DURATION = re.compile(r"(?:([0-9]+)[.])?([0-9]+):([0-9]{2}):([0-9]{2}(?:[.,][0-9]+)?)")
_SECONDS_OF = (Decimal(24 * 3600), Decimal(3600), Decimal(60), Decimal(1))


def duration_us(value: str | None) -> int | None:
    """Return the microseconds that a duration means, None where it means none.

    Decimal seconds, ISO 8601 (`PT1.2S`) and days, hours, minutes and seconds (`1.02:03:04.5`) are read. Commas
    group thousands (`1,234.5`) unless they can only be decimal commas (`0,25`). Not-a-number, infinite, negative
    and implausibly long durations are None. Halves round to even.
    """
    if value is None or len(value) > MAX_VALUE_CHARACTERS:
        return None
    text = value.strip()
    if "_" in text:  # Python's own way to group digits
        return None
    parts = _ISO_DURATION.fullmatch(text) or _CLOCK_DURATION.fullmatch(text)
    try:
        if parts is None:
            seconds = _decimal(text)
        elif any(parts.groups()):
            seconds = sum(
                (_decimal(part) * unit for part, unit in zip(parts.groups(), _SECONDS_OF, strict=True) if part),
                Decimal(),
            )
        else:
            return None
    except (InvalidOperation, ValueError):
        return None
    if not seconds.is_finite() or not 0 <= seconds <= MAX_DURATION_S:
        return None
    return int((seconds * _MICRO).to_integral_value(ROUND_HALF_EVEN))


def _decimal(text: str) -> Decimal:
    return Decimal(_without_commas(text) if "," in text else text)


def _without_commas(text: str) -> str:
    if "." in text:
        # whichever comes last separates the decimals: 1,234.5 and 1.234,5
        if text.rfind(",") < text.rfind("."):
            return text.replace(",", "")
        return text.replace(".", "").replace(",", ".")
    if text.count(",") > 1 or _THOUSANDS.fullmatch(text):
        return text.replace(",", "")
    return text.replace(",", ".")


def timestamp(value: str | None) -> datetime | None:
    """Return the UTC time of an ISO 8601 `timestamp`; one without a zone is UTC; None where unreadable."""
    if not value or len(value) > MAX_VALUE_CHARACTERS:
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def line_number(value: str | None) -> int | None:
    """Return a `line` attribute as a number, None where it is none."""
    if value is None or not _LINE.fullmatch(value.strip()):
        return None
    return int(value)
