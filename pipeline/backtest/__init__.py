"""The honest judge: forecasts of P(liquidation) for standard books, held against what then happened."""
