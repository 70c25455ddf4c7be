"""The accounts of a case as `accounts:`, `prices:` and `venue:` of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.conformance.inputs import Inputs, Unsupported

SPOT = 100.0
RATE = 0.01  # maintenance margin of accounts made to be hit at a price; without any none would be


@dataclass(frozen=True)
class Account:
    """Signed quantities by asset, opened at the spot price, on so much collateral."""

    name: str
    quantities: dict[str, float]
    wallet: float


@dataclass(frozen=True)
class Book:
    """Accounts, what the assets cost now, and their maintenance margin as a fraction of notional."""

    accounts: list[Account]
    prices: dict[str, float]
    maintenance: dict[str, float]

    @property
    def assets(self) -> list[str]:
        return list(self.prices)

    def document(self, funding_interval_s: int) -> dict[str, Any]:
        """The parts of a plan that say who holds what, at which prices, on which venue."""
        markets = {
            f"{asset}-USD": {
                "asset": asset,
                "type": "perpetual",
                "initial_margin": min(1.0, max(0.02, 2 * rate)),
                "maintenance_margin": rate,
                "funding_interval": f"{funding_interval_s}s",
            }
            for asset, rate in self.maintenance.items()
        }
        accounts = [
            {
                "name": account.name,
                "collateral": {"USDC": account.wallet},
                "positions": [
                    {"market": f"{asset}-USD", "size": quantity, "entry": self.prices[asset]}
                    for asset, quantity in account.quantities.items()
                ],
            }
            for account in self.accounts
        ]
        venue = {"rules": "dydx_v4", "as_of": "2026-01-01", "taker_fee": 0.0, "markets": markets}
        return {"prices": self.prices, "venue": venue, "accounts": accounts}


def book_of(inputs: Inputs) -> Book:
    """Reads accounts in any of the ways that cases give them; Unsupported where there is none."""
    if "positions" in inputs:
        return _from_positions(inputs)
    if "notional_signed" in inputs:
        return _from_notionals(inputs)
    if "long_leverage" in inputs:
        sides = {"long": inputs.need("long_leverage"), "short": inputs.need("short_leverage")}
        accounts = [_levered(side, "X", side, leverage) for side, leverage in sides.items()]
        return Book(accounts, {"X": SPOT}, {"X": inputs.need("maintenance_margin_rate")})
    if "account1" in inputs:
        return _from_accounts(inputs)
    if "side" in inputs:
        return _from_side(inputs)
    raise Unsupported("no account is given")


def book_hit_at(accounts: list[Account]) -> Book:
    """The book of accounts made by `long_hit_at` and `short_hit_at`."""
    return Book(accounts, {"X": SPOT}, {"X": RATE})


def long_hit_at(price: float) -> Account:
    """A long of one unit of X, at SPOT, that is liquidated where X falls to a price."""
    return Account("long", {"X": 1.0}, SPOT - price * (1 - RATE))


def short_hit_at(price: float) -> Account:
    """A short of one unit of X, at SPOT, that is liquidated where X rises to a price."""
    return Account("short", {"X": -1.0}, price * (1 + RATE) - SPOT)


def hit_price(book: Book) -> float:
    """The price at which the only position of the only account is liquidated."""
    [account], [(asset, quantity)] = book.accounts, book.accounts[0].quantities.items()
    sign = 1.0 if quantity > 0 else -1.0
    rate = book.maintenance[asset]
    return (book.prices[asset] - sign * account.wallet / abs(quantity)) / (1 - sign * rate)


def _levered(name: str, asset: str, side: str, leverage: float) -> Account:
    if side not in ("long", "short"):
        raise Unsupported(f"side {side!r}")
    return Account(name, {asset: 1.0 if side == "long" else -1.0}, SPOT / leverage)


def _from_side(inputs: Inputs) -> Book:
    leverage = inputs.take("leverage") or inputs.need("leverages")[0]
    account = _levered("one", "X", inputs.need("side"), leverage)
    price = inputs.take("spot0", SPOT)
    # where a case gives quantity and wallet they say the same as its leverage
    size = abs(inputs.take("quantity", 1.0))
    wallet = inputs.take("wallet", size * price / leverage)
    account = Account("one", {"X": account.quantities["X"] * size}, wallet)
    return Book([account], {"X": price}, {"X": inputs.need("maintenance_margin_rate")})


def _from_positions(inputs: Inputs) -> Book:
    positions = inputs.need("positions")
    if any(set(position) != {"qty", "spot0"} for position in positions.values()):
        raise Unsupported("positions say more than quantity and price")
    prices = {asset: position["spot0"] for asset, position in positions.items()}
    quantities = {asset: position["qty"] for asset, position in positions.items()}
    wallet = inputs.take("wallet")
    if wallet is None:
        wallet = inputs.need("cash") + sum(quantities[asset] * prices[asset] for asset in prices)
    rate = inputs.need("maintenance_margin_rate")
    maintenance = rate if isinstance(rate, dict) else dict.fromkeys(prices, rate)
    return Book([Account("one", quantities, wallet)], prices, maintenance)


def _from_notionals(inputs: Inputs) -> Book:
    notionals = inputs.need("notional_signed")
    if inputs.take("N", len(notionals)) != len(notionals):
        raise Unsupported("as many notionals as assets are expected")
    quantities = {f"A{i}": notional / SPOT for i, notional in enumerate(notionals)}
    rate = inputs.need("maintenance_margin_rate")
    account = Account("one", quantities, inputs.need("wallet"))
    return Book([account], dict.fromkeys(quantities, SPOT), dict.fromkeys(quantities, rate))


def _from_accounts(inputs: Inputs) -> Book:
    accounts = []
    for name in ("account1", "account2"):
        given = dict(inputs.need(name))
        accounts.append(_levered(name, given.pop("asset"), given.pop("side"), given.pop("leverage")))
        if given:
            raise Unsupported(f"{name} has {', '.join(given)}")
    assets = sorted({asset for account in accounts for asset in account.quantities})
    rate = inputs.need("maintenance_margin_rate")
    return Book(accounts, dict.fromkeys(assets, SPOT), dict.fromkeys(assets, rate))
