"""dYdX v4 in the chain's own integers: margin, funding, liquidation, deleveraging, to the quantum.

Units, unless a name says otherwise: amounts of USDC are quote quantums (1e-6 USDC); sizes are base quantums
(10^atomic_resolution coins), signed, long positive; rates are parts per million (`_ppm`); order prices are
subticks. All is exact: Python integers, and fractions where the chain keeps a rational. Where the chain draws
a pseudo-random order, the caller passes an order. Paths in docstrings are files of dydxprotocol/v4-chain
under `protocol/`.

    units, tier, market              roundings; margin fractions of a tier; a market and its order grid
    account, funding, risk           positions; premium, rate, index and settlement; net collateral and margin
    update, isolated, leverage       what an update may do; isolated markets, collateral pools; leverage set
    gate, fees                       when withdrawals and transfers are blocked; trading fees
    prices, limits, insurance        liquidation, bankruptcy and fillable price; limits; the insurance fund
    book, state                      resting orders; everything a block changes
    liquidation, fill, deleveraging  which position and how much; fills; closing against other accounts
    block                            the liquidations of one block, in the chain's order
"""
