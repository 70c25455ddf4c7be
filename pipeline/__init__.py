"""The domain: plans, markets, margin, runs and cubes. Never imports prefect."""
