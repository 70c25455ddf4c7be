"""Caps that a desk sets itself for an account: what may be in one position, in a bucket, and in all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from pipeline.faults import Fault, Part, refuse_value, unknown
from pipeline.units import Finite, Name, Positive

Share = Annotated[Finite, Field(gt=0, le=1)]


class BucketCap(Part):
    """The most that the positions of a bucket may be: of the account's gross notional, of its initial margin.

    At least one of the two.
    """

    notional: Share | None = None
    margin: Share | None = None

    @model_validator(mode="after")
    def _check_said(self) -> Self:
        if self.notional is None and self.margin is None:
            raise refuse_value("`notional`, `margin` or both", "give a share, such as `notional: 0.25`")
        return self


class Caps(Part):
    """The most that an account may have, None without a cap.

    `concentration` is of every position: its initial margin over the account's equity, haircuts taken off.
    `leverage` is gross notional over that equity. `buckets` are by the label of positions.
    """

    concentration: Positive | None = None
    leverage: Positive | None = None
    buckets: dict[Name, BucketCap] = Field(default={})


def find_cap_faults(caps: dict[str, Any], positions: Sequence[dict[str, Any]]) -> Iterator[Fault]:
    """Caps of buckets that no position of the account is labelled with; any key may be missing."""
    known = dict.fromkeys(position["bucket"] for position in positions if position.get("bucket"))
    for name in caps.get("buckets") or ():
        if name not in known:
            expected = "a bucket that some position of the account is labelled with"
            yield unknown(("buckets", name), expected, name, known)
