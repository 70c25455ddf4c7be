"""What the dYdX vectors write as JSON, read as markets, accounts, orders and updates, and written back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pipeline.dydx.account import Account, Position
from pipeline.dydx.book import Book, Order
from pipeline.dydx.limits import LiquidationConfig
from pipeline.dydx.market import Market, Pair
from pipeline.dydx.tier import Tier
from pipeline.dydx.update import Update
from tests.conformance.inputs import Inputs, Unsupported

T = TypeVar("T")
Record = Mapping[str, Any]
MARKET_TYPES = {"CROSS": False, "ISOLATED": True}


def only(record: Record, *keys: str) -> Record:
    """The record; Unsupported where it says more than these keys."""
    if more := sorted(set(record) - set(keys)):
        raise Unsupported(f"keys that are not known: {', '.join(more)}")
    return record


def one_of(meanings: Mapping[str, T], word: str) -> T:
    """What a word means; Unsupported where it is not known."""
    if word not in meanings:
        raise Unsupported(f"{word!r} is none of {', '.join(meanings)}")
    return meanings[word]


def tier_of(record: Record) -> Tier:
    return Tier(
        record["initial_margin_ppm"],
        record["maintenance_fraction_ppm"],
        record.get("open_interest_lower_cap", 0),
        record.get("open_interest_upper_cap", 0),
    )


def market_of(record: Record) -> Market:
    only(
        record,
        "perpetual_id",
        "ticker",
        "market_type",
        "atomic_resolution",
        "price",
        "price_exponent",
        "liquidity_tier",
        "initial_margin_ppm",
        "maintenance_fraction_ppm",
        "open_interest_lower_cap",
        "open_interest_upper_cap",
        "open_interest",
        "funding_index",
        "default_funding_ppm",
    )
    return Market(
        record["perpetual_id"],
        record["atomic_resolution"],
        record["price"],
        record["price_exponent"],
        tier_of(record),
        record.get("open_interest", 0),
        record.get("funding_index", 0),
        record.get("default_funding_ppm", 0),
        one_of(MARKET_TYPES, record.get("market_type", "CROSS")),
    )


def markets_of(inputs: Inputs) -> dict[int, Market]:
    return {record["perpetual_id"]: market_of(record) for record in inputs.need("markets")}


def position_of(record: Record) -> Position:
    only(record, "perpetual_id", "quantums", "funding_index", "quote_balance")
    return Position(record["quantums"], record.get("funding_index", 0), record.get("quote_balance", 0))


def account_of(record: Record) -> Account:
    only(record, "asset_positions", "perpetual_positions")
    return Account(
        {
            only(p, "asset_id", "quantums")["asset_id"]: p["quantums"]
            for p in record.get("asset_positions", ())
        },
        {p["perpetual_id"]: position_of(p) for p in record.get("perpetual_positions", ())},
    )


def account_in(inputs: Inputs) -> Account:
    keys = ("asset_positions", "perpetual_positions")
    return account_of({key: inputs.take(key, []) for key in keys})


def accounts_of(inputs: Inputs) -> dict[str, Account]:
    return {name: account_of(record) for name, record in inputs.need("subaccounts").items()}


def pair_of(record: Record, *, final_settlement: bool = False) -> Pair:
    only(record, "quantum_conversion_exponent", "step_base_quantums", "subticks_per_tick")
    return Pair(
        record["quantum_conversion_exponent"],
        record.get("step_base_quantums", 1),
        record.get("subticks_per_tick", 1),
        final_settlement,
    )


def config_of(inputs: Inputs) -> LiquidationConfig:
    try:
        return LiquidationConfig(**inputs.need("config"))
    except TypeError as error:
        raise Unsupported(f"config: {error}") from error


def order_of(record: Record) -> Order:
    only(record, "subaccount", "client_id", "order_key", "is_buy", "quantums", "subticks")
    owner = record.get("subaccount") or record["order_key"]
    return Order(owner, record.get("client_id", 0), record["is_buy"], record["quantums"], record["subticks"])


def book_of(records: Iterable[Record]) -> Book:
    book = Book()
    for record in records:
        book.place(order_of(record))
    return book


def update_of(record: Record) -> Update:
    only(record, "subaccount", "asset_updates", "perpetual_updates")
    return Update(
        _totals(record.get("asset_updates", ()), "asset_id"),
        _totals(record.get("perpetual_updates", ()), "perpetual_id"),
    )


def account_record(account: Account) -> dict[str, Any]:
    return {
        "asset_positions": [
            {"asset_id": asset, "quantums": quantums} for asset, quantums in sorted(account.assets.items())
        ],
        "perpetual_positions": [
            {
                "perpetual_id": perpetual_id,
                "quantums": position.quantums,
                "funding_index": position.funding_index,
                "quote_balance": position.quote_balance,
            }
            for perpetual_id, position in sorted(account.positions.items())
        ],
    }


def _totals(records: Iterable[Record], key: str) -> dict[int, int]:
    totals: dict[int, int] = {}
    for record in records:
        only(record, key, "delta")
        totals[record[key]] = totals.get(record[key], 0) + record["delta"]
    return totals
