"""Small exchanges to test on: markets with the venue's resolutions, accounts in USD and coins."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from pipeline.dydx.account import Account, Position
from pipeline.dydx.book import Book, Order
from pipeline.dydx.insurance import InsuranceFund
from pipeline.dydx.limits import LiquidationConfig
from pipeline.dydx.market import Market, Pair
from pipeline.dydx.state import State
from pipeline.dydx.tier import Tier

BTC, ETH = 0, 1
LARGE_CAP = Tier(20_000, 600_000)
# one base quantum at a price of one is one quote quantum
PLAIN = Market(7, -6, 1, 0, Tier(100_000, 600_000))
MARKETS = {
    BTC: Market(BTC, -10, 6_000_000_000, -5, LARGE_CAP, open_interest=10**15),
    ETH: Market(ETH, -9, 3_000_000_000, -6, LARGE_CAP, open_interest=10**15),
}
PAIRS = {BTC: Pair(-9, 1_000_000, 100_000), ETH: Pair(-9, 1_000_000, 100_000)}
MAINNET = LiquidationConfig(
    max_liquidation_fee_ppm=15_000,
    bankruptcy_adjustment_ppm=1_000_000,
    spread_to_maintenance_margin_ratio_ppm=1_500_000,
    min_position_notional_liquidated=1_000_000_000,
    max_position_portion_liquidated_ppm=100_000,
    max_notional_liquidated=100_000_000_000,
    max_quantums_insurance_lost=1_000_000_000_000,
)


def usd(amount: str | int) -> int:
    """USD in quote quantums."""
    return int(Fraction(amount) * 10**6)


def coins(size: str | int, perpetual_id: int = BTC) -> int:
    """Coins in base quantums."""
    return int(Fraction(size) * Fraction(10) ** -MARKETS[perpetual_id].atomic_resolution)


def subticks(price: str | int, perpetual_id: int = BTC) -> int:
    """USD per coin in subticks."""
    power = 6 + MARKETS[perpetual_id].atomic_resolution - PAIRS[perpetual_id].quantum_conversion_exponent
    return int(Fraction(price) * Fraction(10) ** power)


def account(usdc: str | int = 0, btc: str | int = 0, eth: str | int = 0) -> Account:
    """An account of so many USD and coins."""
    sizes = {BTC: coins(btc), ETH: coins(eth, ETH)}
    return Account({0: usd(usdc)}, {key: Position(size) for key, size in sizes.items() if size})


def two_sided() -> Account:
    """10 BTC long at 60,000, 200 ETH short at 3,000, equity 13,400 under a maintenance margin of 14,400."""
    return account(13_400, 10, -200)


def offer(name: str, size: str | int, price: str | int, client_id: int = 0) -> Order:
    """A resting offer of BTC."""
    return Order(name, client_id, False, coins(size), subticks(price))


def bid(name: str, size: str | int, price: str | int, client_id: int = 0) -> Order:
    """A resting bid for BTC."""
    return Order(name, client_id, True, coins(size), subticks(price))


def exchange(accounts: dict[str, Account], *orders: Order, fund: str | int = 0, **changes: Any) -> State:
    """A state with these accounts, BTC orders in order of time, and USD in the shared insurance fund."""
    book = Book()
    for order in orders:
        book.place(order)
    parts: dict[str, Any] = {
        "markets": dict(MARKETS),
        "pairs": dict(PAIRS),
        "config": MAINNET,
        "funds": {"cross": InsuranceFund(usd(fund))},
        "books": {BTC: book},
    }
    return State(accounts=dict(accounts), **(parts | changes))
