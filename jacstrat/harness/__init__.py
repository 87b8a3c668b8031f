"""What is planned, measured and dispatched: the only room that knows both strategies and measuring."""
