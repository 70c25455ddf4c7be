"""Resting orders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Order:
    """An order: side, size in base quantums, price in subticks; account and client_id name it."""

    account: str
    client_id: int
    is_buy: bool
    quantums: int
    subticks: int

    @property
    def key(self) -> tuple[str, int]:
        """What names the order: a later one of the same name replaces it."""
        return self.account, self.client_id

    def meets(self, is_buy: bool, subticks: int) -> bool:
        """Whether a taker of a side, willing to go to a price in subticks, can trade with this order."""
        if self.is_buy == is_buy:
            return False
        return self.subticks <= subticks if is_buy else self.subticks >= subticks


def best_first(orders: Iterable[Order], *, is_buy: bool) -> list[Order]:
    """One side of the orders, best price first; among equals the one that comes first."""
    side = [order for order in orders if order.is_buy == is_buy]
    return sorted(side, key=lambda order: -order.subticks if is_buy else order.subticks)


@dataclass
class Book:
    """Resting orders in order of time, and how much of each is filled, base quantums. `x/clob/memclob`."""

    resting: dict[tuple[str, int], Order] = field(default_factory=dict)
    filled: dict[tuple[str, int], int] = field(default_factory=dict)

    def place(self, order: Order) -> None:
        """Adds an order, last in time; one of the same name is replaced."""
        self.resting.pop(order.key, None)
        self.resting[order.key] = order

    def remove(self, order: Order) -> None:
        """Takes an order off the book; what was filled of it stays known."""
        self.resting.pop(order.key, None)

    def remaining(self, order: Order) -> int:
        """What is left to fill of an order, base quantums."""
        return order.quantums - self.filled.get(order.key, 0)

    def take(self, order: Order, quantums: int) -> None:
        """Fills so much of an order; one that is full leaves the book."""
        self.filled[order.key] = self.filled.get(order.key, 0) + quantums
        if self.remaining(order) == 0:
            self.remove(order)

    def opposite(self, is_buy: bool) -> list[Order]:
        """The orders that a taker of a side meets, best first."""
        return best_first(self.resting.values(), is_buy=not is_buy)
