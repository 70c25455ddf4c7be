"""What the cube declares of each coordinate and variable, and the dimensions of most of them."""

from __future__ import annotations

from typing import Final, NamedTuple

CELL: Final = ("scenario", "account", "leverage", "horizon")
LEVEL: Final = 0.95  # of every interval
COUNTED: Final = "Wilson; Clopper-Pearson where it happened on none or on all of the paths"


class Variable(NamedTuple):
    """A coordinate or a variable: name, dimensions in order, dtype, unit ("1" is a fraction or a count),
    a few words for an axis, and the sentence that defines it."""

    name: str
    dims: tuple[str, ...]
    dtype: str
    units: str
    long_name: str
    definition: str

    @property
    def attrs(self) -> dict[str, str]:
        """The attributes it carries. xarray keeps the unit of a timedelta in its encoding, not here."""
        attrs = {"long_name": self.long_name, "definition": self.definition}
        return attrs if self.dtype.startswith("timedelta") else {"units": self.units, **attrs}


def with_ends(
    name: str, dims: tuple[str, ...], units: str, long_name: str, definition: str, interval: str
) -> tuple[Variable, ...]:
    """An estimate, and the two ends of its interval."""
    return tuple(
        Variable(f"{name}{suffix}", dims, "float64", units, f"{long_name}{which}", text)
        for suffix, which, text in (
            ("", "", definition),
            ("_low", ", lower end", f"Lower end of the 95 % interval of {name}: {interval}."),
            ("_high", ", upper end", f"Upper end of the 95 % interval of {name}: {interval}."),
        )
    )
